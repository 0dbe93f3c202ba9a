// Times: kept in UTC, shown in one zone that is always named in the frame; relative only beside the exact one.
import { useSyncExternalStore } from "react";
import { useTranslation } from "../i18n/use";
import { currentLanguage } from "../i18n";

const KEPT = "inari.zone";
const known = new Map<string, boolean>();
/** Kept with the account, chosen in another browser: this one may be older than the zone's name. */
function isKnown(zone: string): boolean {
  const before = known.get(zone);
  if (before !== undefined) return before;
  let ok = true;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
  } catch {
    ok = false;
  }
  known.set(zone, ok);
  return ok;
}
let own = "";
export function currentZone(): string {
  const chosen = localStorage.getItem(KEPT);
  if (chosen === null) return (own ||= Intl.DateTimeFormat().resolvedOptions().timeZone);
  return isKnown(chosen) ? chosen : "UTC";
}
export function keepZone(zone: string): void {
  localStorage.setItem(KEPT, zone);
}

/** Formats are dear to make and a list asks for hundreds of them: each is made once. */
function kept<T>(make: (lang: string, zone: string) => T): (lang: string, zone?: string) => T {
  const all = new Map<string, T>();
  return (lang, zone = "") => {
    const key = `${lang} ${zone}`, before = all.get(key);
    if (before !== undefined) return before;
    const f = make(lang, zone);
    all.set(key, f);
    return f;
  };
}
const exact = kept((lang, timeZone) => new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23", timeZone }));
const wall = kept((lang, timeZone) => new Intl.DateTimeFormat(lang, { dateStyle: "short", timeStyle: "medium", timeZone }));
const offsets = kept((lang, timeZone) => new Intl.DateTimeFormat(lang, { timeZone, timeZoneName: "longOffset" }));
const relatives = kept((lang) => new Intl.RelativeTimeFormat(lang, { numeric: "auto" }));
const numbers = kept((lang) => new Intl.NumberFormat(lang));

/** Exact, to the second, 24 hours. */
export function timeText(at: string | number | Date, zone = currentZone()): string {
  return exact(currentLanguage(), zone).format(new Date(at));
}

/** ISO 8601 with the zone's offset: what is copied. */
export function isoText(at: string | number | Date, zone = currentZone()): string {
  const d = new Date(at);
  const parts = wall("sv", zone).format(d).replace(" ", "T");
  const offset = offsets("en", zone).formatToParts(d).find((p) => p.type === "timeZoneName")?.value.slice(3) ?? "";
  return parts + (offset === "" ? "Z" : offset);
}

/** For a time field: "2026-11-22T10:00:00" on the clock of the zone, and back. */
export function wallText(at: string | number | Date, zone = currentZone()): string {
  return wall("sv", zone).format(new Date(at)).replace(" ", "T");
}
export function wallTime(text: string, zone = currentZone()): Date | null {
  const want = Date.parse(`${text}Z`);
  if (Number.isNaN(want)) return null;
  let at = want;
  for (let i = 0; i < 2; i++) at += want - Date.parse(`${wallText(at, zone)}Z`); // twice: the offset may differ on either side of a change of the clocks
  return new Date(at);
}

export function relativeText(at: string | number | Date, now = Date.now()): string {
  const s = Math.round((new Date(at).getTime() - now) / 1000), f = relatives(currentLanguage());
  const a = Math.abs(s);
  if (a < 60) return f.format(s, "second");
  if (a < 3600) return f.format(Math.round(s / 60), "minute");
  if (a < 86400) return f.format(Math.round(s / 3600), "hour");
  return f.format(Math.round(s / 86400), "day");
}

/** Seconds as people say them: "4 h 30 min". */
export function durationText(seconds: number): string {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]] as const;
  const parts: string[] = [];
  let rest = Math.max(0, Math.round(seconds));
  for (const [unit, n] of units) {
    const k = Math.floor(rest / n);
    if (k > 0 && parts.length < 2) parts.push(new Intl.NumberFormat(currentLanguage(), { style: "unit", unit, unitDisplay: "short" }).format(k));
    rest %= n;
  }
  return parts.join(" ") || new Intl.NumberFormat(currentLanguage(), { style: "unit", unit: "second", unitDisplay: "short" }).format(0);
}

export function numberText(n: number): string {
  return numbers(currentLanguage()).format(n);
}

/** "3 minutes ago" grows older without anybody asking the parent: one clock for all of them, while there are any. */
const TICK_MS = 5000, waiting = new Set<() => void>();
let ticks = 0, timer = 0;
function onTick(again: () => void): () => void {
  waiting.add(again);
  timer ||= window.setInterval(() => { ticks++; for (const x of waiting) x(); }, TICK_MS);
  return () => {
    waiting.delete(again);
    if (waiting.size > 0) return;
    window.clearInterval(timer);
    timer = 0;
  };
}
const never = () => () => {};

export function Time({ at, relative = false }: { at: string | number | null | undefined; relative?: boolean }) {
  const { t } = useTranslation(); // also: shown anew when the language changes
  useSyncExternalStore(relative ? onTick : never, () => (relative ? ticks : 0));
  if (at === null || at === undefined || at === "") return <>{t("none")}</>;
  return <time dateTime={isoText(at)} title={relative ? timeText(at) : isoText(at)}>{relative ? relativeText(at) : timeText(at)}</time>;
}
