// What several screens of a device say in the same way.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { currentLanguage } from "../../i18n";
import { AreaLink } from "../../frame/arealink";
import { groupLink, revisionLink } from "../../frame/links";
import { Status, type Tone } from "../../ui";

export type Device = Schemas["Device"];
export type Truth = Schemas["Truth"];

export const syncTone: Record<string, Tone> = { "in-sync": "good", observing: "neutral", pending: "busy", applying: "busy", failed: "bad", held: "warn", unknown: "neutral" };
export const presenceTone: Record<string, Tone> = { online: "good", late: "warn", lost: "bad", never: "neutral" };
export const stateTone: Record<string, Tone> = { pending: "warn", reattach: "warn", rejected: "neutral", observing: "neutral", managed: "good", held: "warn", quarantined: "bad", revoked: "bad", retired: "neutral" };
export const resultTone: Record<string, Tone> = { committed: "good", observed: "neutral", held: "warn", rejected: "bad", reverted: "bad", interrupted: "bad", degraded: "bad" };
export const STATES = ["pending", "reattach", "rejected", "observing", "managed", "held", "quarantined", "revoked", "retired"] as const;

export const inService = (d: Device) => ["observing", "managed", "held", "quarantined"].includes(d.state);
export const nameQuoted = (name: string) => `'${name}'`; // names of devices have no quotes

export function Revision({ pub }: { pub: number | null | undefined }) {
  const { t } = useTranslation();
  if (pub === null || pub === undefined || pub === 0) return <>{t("none")}</>;
  return <AreaLink to={revisionLink(pub)}>{pub}</AreaLink>;
}

export function GroupLinks({ names }: { names: unknown[] | undefined }) {
  const { t } = useTranslation(), list = (names ?? []).map(String);
  if (list.length === 0) return <>{t("none")}</>;
  return <>{list.map((n, i) => <span key={n}>{i > 0 ? ", " : ""}<AreaLink to={groupLink(n)}>{n}</AreaLink></span>)}</>;
}

export function Digest({ value }: { value: string | null | undefined }) {
  const { t } = useTranslation();
  return value ? <code title={value}>{value.slice(0, 12)}</code> : <>{t("none")}</>;
}

export function SyncStatus({ device }: { device: Device }) {
  const { t } = useTranslation("devices"), sync = device.sync ?? "unknown";
  return <Status tone={syncTone[sync] ?? "neutral"} text={t(`sync_${sync}`)} />;
}
export function PresenceStatus({ device }: { device: Device }) {
  const { t } = useTranslation("devices");
  return <Status tone={presenceTone[device.presence] ?? "neutral"} text={t(`presence_${device.presence}`)} />;
}

/** Bytes as people say them; 1 kB = 1000 bytes, as the unit says. */
export function sizeText(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const, step = bytes < 1000 ? 0 : bytes < 1e6 ? 1 : bytes < 1e9 ? 2 : 3;
  return new Intl.NumberFormat(currentLanguage(), { style: "unit", unit: units[step] ?? "byte", unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits: step === 0 ? 0 : 1 }).format(bytes / 1000 ** step);
}
