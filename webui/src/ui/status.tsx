// A state: its word, a colour and a sign; never the colour alone.  Drawn with the looks of the kit's label but without the component:
// a list has hundreds of them, and each of the kit's measures itself and listens to every key that is typed on the page.
import { css } from "@patternfly/react-styles";
import looksOf from "@patternfly/react-styles/css/components/Label/label.mjs";
import { CheckCircleIcon, ExclamationCircleIcon, ExclamationTriangleIcon, InfoCircleIcon, InProgressIcon } from "./icons";

export type Tone = "good" | "busy" | "warn" | "bad" | "neutral";
const looks = {
  good: { color: looksOf.modifiers.green, icon: <CheckCircleIcon /> },
  busy: { color: looksOf.modifiers.blue, icon: <InProgressIcon /> },
  warn: { color: looksOf.modifiers.orange, icon: <ExclamationTriangleIcon /> },
  bad: { color: looksOf.modifiers.red, icon: <ExclamationCircleIcon /> },
  neutral: { color: "", icon: <InfoCircleIcon /> },
} as const;

export function Status({ tone, text }: { tone: Tone; text: string }) {
  const { color, icon } = looks[tone];
  return (
    <span className={css(looksOf.label, looksOf.modifiers.filled, looksOf.modifiers.compact, color)}>
      <span className={looksOf.labelContent}><span className={looksOf.labelIcon}>{icon}</span><span className={looksOf.labelText}>{text}</span></span>
    </span>
  );
}
