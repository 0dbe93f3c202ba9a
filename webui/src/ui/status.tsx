// A state: its word, a colour and a sign; never the colour alone.
import { CheckCircleIcon, ExclamationCircleIcon, ExclamationTriangleIcon, InfoCircleIcon, InProgressIcon } from "./icons";
import { Label } from "./kit";

export type Tone = "good" | "busy" | "warn" | "bad" | "neutral";
const looks = {
  good: { color: "green", icon: <CheckCircleIcon /> },
  busy: { color: "blue", icon: <InProgressIcon /> },
  warn: { color: "orange", icon: <ExclamationTriangleIcon /> },
  bad: { color: "red", icon: <ExclamationCircleIcon /> },
  neutral: { color: "grey", icon: <InfoCircleIcon /> },
} as const;

export function Status({ tone, text }: { tone: Tone; text: string }) {
  return <Label color={looks[tone].color} icon={looks[tone].icon} isCompact>{text}</Label>;
}
