// What several screens of a device say in the same way.
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "../../api/client";
import { areas } from "../../frame/areas";
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

/** An area that this console has; without it a value is a text and no link. */
const has = (path: string) => areas.some((a) => a.path === path);

export function Revision({ pub }: { pub: number | null | undefined }) {
  const { t } = useTranslation();
  if (pub === null || pub === undefined || pub === 0) return <>{t("none")}</>;
  return has("changes") ? <Link to={revisionLink(pub)}>{pub}</Link> : <>{pub}</>;
}

export function GroupLinks({ names }: { names: unknown[] | undefined }) {
  const { t } = useTranslation(), list = (names ?? []).map(String);
  if (list.length === 0) return <>{t("none")}</>;
  return <>{list.map((n, i) => <span key={n}>{i > 0 ? ", " : ""}{has("groups") ? <Link to={groupLink(n)}>{n}</Link> : n}</span>)}</>;
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
