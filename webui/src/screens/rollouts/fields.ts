// How a rollout goes, member by member as the API's Strategy has them: what kind of value each is and its bounds.  A text that is
// empty says nothing: then the policy's value counts, or the built-in one.
import type { TFunction } from "i18next";
import type { Schemas } from "../../api/client";
import { currentLanguage } from "../../i18n";
import { durationText, numberText } from "../../ui";

export type Strategy = Partial<Schemas["Strategy"]>;
export type Member = Exclude<keyof Strategy, "expedite">;
export type Field = { only?: "policy" } & (
  | { name: "strategy" | "on_failure" | "shadow"; kind: "choice"; options: readonly string[] }
  | { name: Member; kind: "yes" | "waves" | "share" }
  | { name: Member; kind: "number"; unit: "second" | "percent" | "device" | "message" | "times"; min: number; max: number });

const seconds = (name: Member, min: number, max: number): Field => ({ name, kind: "number", unit: "second", min, max });
export const GROUPS: { key: "order" | "watch" | "failure" | "first" | "guards" | "people"; fields: Field[] }[] = [
  { key: "order", fields: [
    { name: "strategy", kind: "choice", options: ["auto", "all", "waves"] },
    { name: "small_fleet", kind: "number", unit: "device", min: 0, max: 1000000 },
    { name: "waves", kind: "waves" },
    { name: "max_unavailable", kind: "share" },
  ] },
  { key: "watch", fields: [seconds("canary_bake_s", 0, 86400), seconds("bake_s", 0, 86400), seconds("expedite_bake_s", 0, 3600), seconds("soak_s", 0, 3600)] },
  { key: "failure", fields: [
    { name: "max_failures", kind: "share" },
    { name: "on_failure", kind: "choice", options: ["halt", "revert"] },
    seconds("apply_deadline_s", 10, 86400), seconds("offline_after_s", 10, 86400),
  ] },
  { key: "first", fields: [{ name: "shadow", kind: "choice", options: ["auto", "always", "never"] }, seconds("shadow_s", 10, 3600)] },
  { key: "guards", fields: [
    { name: "guard_messages", kind: "number", unit: "message", min: 0, max: 1000000 },
    { name: "guard_factor", kind: "number", unit: "times", min: 2, max: 100 },
    { name: "guard_rejected", kind: "number", unit: "percent", min: 0, max: 100 },
    { name: "guard_deferred", kind: "number", unit: "percent", min: 0, max: 100 },
    seconds("guard_latency_s", 0, 300),
    { name: "guard_queue", kind: "number", unit: "message", min: 0, max: 1000000 },
  ] },
  { key: "people", fields: [
    { name: "approval", kind: "yes" },
    { name: "confirm_above", kind: "number", unit: "percent", min: 0, max: 100, only: "policy" },
    { name: "confirm_min", kind: "number", unit: "device", min: 1, max: 1000000, only: "policy" },
  ] },
];
export const FIELDS = GROUPS.flatMap((g) => g.fields);

/** What counts where neither the publication nor the policy says anything (api/openapi.yaml; max_unavailable goes by the number of devices). */
export const BUILT_IN: Strategy = {
  strategy: "auto", waves: ["1", "per-group", "10%", "50%"], canary_bake_s: 600, bake_s: 300, apply_deadline_s: 600, offline_after_s: 180, max_failures: "5%", on_failure: "halt", approval: false, expedite: false,
  expedite_bake_s: 30, small_fleet: 10, confirm_above: 50, confirm_min: 20, shadow: "auto", shadow_s: 60, soak_s: 0, guard_messages: 20, guard_factor: 3, guard_rejected: 10, guard_deferred: 10, guard_latency_s: 30, guard_queue: 50,
};

export type Entered = Partial<Record<Member, string>>;
const parts = (text: string) => text.split(/[\s,、]+/).filter((x) => x !== "");

/** As it stands in its input. */
export function enteredOf(s: Strategy): Entered {
  const e: Entered = {};
  for (const { name } of FIELDS) {
    const v = s[name];
    if (v !== undefined && v !== null) e[name] = Array.isArray(v) ? v.join(", ") : typeof v === "boolean" ? (v ? "yes" : "no") : String(v);
  }
  return e;
}

/** The value of the API; undefined: not one. */
export function valueOf(f: Field, text: string): Strategy[Member] | undefined {
  if (text.trim() === "") return null;
  if (f.kind === "number") return /^[0-9]+$/.test(text.trim()) && Number(text) >= f.min && Number(text) <= f.max ? Number(text) : undefined;
  if (f.kind === "yes") return text === "yes";
  if (f.kind === "share") return /^([1-9][0-9]{0,6}|[1-9][0-9]?%|100%)$/.test(text.trim()) ? text.trim() : undefined;
  if (f.kind === "waves") return parts(text).length <= 19 && parts(text).every((x) => /^(per-group|[1-9][0-9]{0,6}|[1-9][0-9]?%|100%)$/.test(x)) ? parts(text) : undefined;
  return text as "auto";
}

/** What has to be said so that `before` becomes what was entered: null takes a value back. */
export function patchOf(before: Entered, now: Entered): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const f of FIELDS) {
    const is = valueOf(f, now[f.name] ?? "");
    if (is !== undefined && JSON.stringify(is) !== JSON.stringify(valueOf(f, before[f.name] ?? ""))) patch[f.name] = is;
  }
  return patch;
}
export const faultsOf = (entered: Entered): Member[] => FIELDS.filter((f) => valueOf(f, entered[f.name] ?? "") === undefined).map((f) => f.name);

const shareText = (t: TFunction, x: string) => (x === "per-group" ? t("per_group") : x.endsWith("%") ? t("share", { share: x }) : t("devices", { count: Number(x), n: numberText(Number(x)) }));
/** A value as a sentence has it: "10 min", "1 device → one of each group → …". */
export function valueText(t: TFunction, f: Field, v: Strategy[Member] | undefined): string {
  if (v === null || v === undefined) return f.name === "max_unavailable" ? t("max_unavailable_auto") : "";
  if (Array.isArray(v)) return [...v.map((x) => shareText(t, x)), t("the_rest")].join(" → ");
  if (typeof v === "boolean") return t(v ? "common:yes" : "common:no");
  if (f.kind === "choice") return t(`${f.name}_${v}`);
  if (typeof v === "string") return shareText(t, v);
  if (f.kind !== "number") return String(v);
  if (f.unit === "second") return durationText(v);
  if (f.unit === "percent") return new Intl.NumberFormat(currentLanguage(), { style: "percent" }).format(v / 100);
  return f.unit === "device" ? t("devices", { count: v, n: numberText(v) }) : f.unit === "message" ? t("messages", { count: v, n: numberText(v) }) : t("times", { count: v });
}
