// States of rollouts and devices as words and colours.
import { useTranslation } from "../../i18n/use";
import { currentLanguage } from "../../i18n";
import type { Tone } from "../../ui";

export const rolloutTone: Record<string, Tone> = {
  shadow: "busy", "awaiting-approval": "warn", running: "busy", baking: "busy", paused: "warn", halted: "bad", reverting: "warn", completed: "good", superseded: "neutral", cancelled: "neutral", reverted: "neutral", waiting: "neutral", done: "good",
};
export const deviceTone: Record<string, Tone> = {
  queued: "neutral", offered: "busy", fetched: "busy", confirmed: "good", observed: "good", rejected: "bad", reverted: "bad", interrupted: "busy", degraded: "bad", held: "warn", "timed-out": "bad", unhealthy: "bad", skipped: "warn", superseded: "neutral",
};
const REASONS = ["refused-by-devices", "untried", "failures", "unhealthy", "inconclusive", "revert-stopped", "revert-refused", "urgent-first", "fleet-silent", "nobody-there",
  "held", "offline", "quarantined", "gone", "cancelled", "waits", "deadline", "joined", "catching-up"];

export function useRolloutWords() {
  const { t } = useTranslation("rollouts");
  return {
    /** The parent's own words for why, or what a person wrote. */
    reason: (r: string): string => (REASONS.includes(r) ? t(`reason_${r}`) : r),
    /** "2 confirmed, 1 offered". */
    counts: (counts: Record<string, number>): string =>
      new Intl.ListFormat(currentLanguage(), { style: "short", type: "unit" }).format(Object.entries(counts).filter(([, n]) => n > 0).map(([state, count]) => t("count_of", { count, state: t(`device_${state}`) }))),
  };
}
