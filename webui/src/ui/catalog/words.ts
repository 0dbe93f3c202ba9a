// Values of settings as people read and write them: durations and sizes with a unit, choices by their label.
import type { TFunction } from "i18next";
import { currentLanguage } from "../../i18n";
import { isMarker, type Json, rowsOf, type Setting, type SettingField } from "./layers";

export const UNITS = {
  duration: [["s", 1], ["min", 60], ["h", 3600], ["d", 86400]],
  bytes: [["B", 1], ["KiB", 1024], ["MiB", 1024 ** 2], ["GiB", 1024 ** 3]],
} as const;
export type UnitKind = keyof typeof UNITS;

/** The largest unit in which the number is whole. */
export function inUnit(kind: UnitKind, n: number): { count: number; unit: string } {
  let best: { count: number; unit: string } = { count: n, unit: UNITS[kind][0][0] };
  for (const [unit, size] of UNITS[kind]) if (n !== 0 && n % size === 0) best = { count: n / size, unit };
  return best;
}
export function fromUnit(kind: UnitKind, count: number, unit: string): number {
  return count * (UNITS[kind].find(([u]) => u === unit)?.[1] ?? 1);
}
const number = (n: number) => new Intl.NumberFormat(currentLanguage()).format(n);

/** A number of a setting with its unit: "5 min", "30 MiB", "1,000". */
export function numberWords(type: string, n: number, t: TFunction): string {
  if (type !== "duration" && type !== "bytes") return type === "port" ? String(n) : number(n);
  const { count, unit } = inUnit(type, n);
  return t("catalog:with_unit", { count: number(count), unit: t(`catalog:unit_${unit}`) });
}

/** A value as one line of text. */
export function valueWords(s: Pick<Setting | SettingField, "type" | "enum"> & { fields?: SettingField[] }, v: Json | undefined, t: TFunction): string {
  if (v === undefined || v === null) return t("catalog:nothing");
  if (isMarker(v, "$unset")) return t("catalog:to_default");
  if (isMarker(v, "$remove")) return t("catalog:row_hidden");
  if (isMarker(v, "$inherit")) return t("catalog:inherited_again");
  if (s.type === "bool") return v === true ? t("common:yes") : t("common:no");
  if (s.type === "enum") return s.enum?.find((x) => x.value === v)?.label ?? String(v);
  if (s.type === "secret") return v === "" ? t("catalog:secret_not_set") : t("catalog:secret_set");
  if (typeof v === "number") return numberWords(s.type, v, t);
  if (s.type === "list") {
    const rows = rowsOf(v);
    return t("catalog:rows", { count: Object.keys(rows).length });
  }
  return v === "" ? t("catalog:empty_text") : typeof v === "string" ? v : JSON.stringify(v);
}

/** A row of a list as one line: its members that say something. */
export function rowWords(fields: SettingField[], row: Json | undefined, t: TFunction): string {
  if (row === undefined || row === null) return t("catalog:nothing");
  if (isMarker(row, "$remove")) return t("catalog:row_hidden");
  if (isMarker(row, "$inherit")) return t("catalog:inherited_again");
  const o = rowsOf(row);
  const parts = fields.filter((f) => o[f.name] !== undefined && o[f.name] !== "").map((f) => t("catalog:member", { label: f.label, value: valueWords(f, o[f.name], t) }));
  return parts.length === 0 ? t("catalog:listed") : new Intl.ListFormat(currentLanguage(), { style: "short", type: "unit" }).format(parts);
}
