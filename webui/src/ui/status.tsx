// A state: its word, a colour and a sign; never the colour alone.
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import InfoCircleIcon from "@patternfly/react-icons/dist/esm/icons/info-circle-icon";
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
