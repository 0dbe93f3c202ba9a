// What alerts, their severity and their state look like.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { Status, type Tone } from "../../ui";

export type Alert = Schemas["Alert"];
export const SEVERITIES = ["info", "warning", "critical"] as const;
export const severityTone: Record<Alert["severity"], Tone> = { info: "neutral", warning: "warn", critical: "bad" };
const stateTone: Record<Alert["state"], Tone> = { pending: "busy", firing: "bad", resolved: "good" };

export function Severity({ of: severity }: { of: Alert["severity"] }) {
  const { t } = useTranslation("alerts");
  return <Status tone={severityTone[severity]} text={t(`severity_${severity}`)} />;
}
export function State({ alert: a }: { alert: Alert }) {
  const { t } = useTranslation("alerts");
  return (
    <>
      <Status tone={stateTone[a.state]} text={t(`state_${a.state}`)} />
      {a.silenced ? <> <Status tone="neutral" text={t("silenced")} /></> : null}
      {a.acked_by ? <> <Status tone="neutral" text={t("acked")} /></> : null}
    </>
  );
}
