// What layers say, as the parent merges them (lib/catalog/merge.c): the forms show where a value comes from and what a
// change in the draft makes of it.  Pure; the parent decides, this only shows.
import type { Schemas } from "../../api/client";

export type Setting = Schemas["Setting"];
export type SettingField = Schemas["SettingField"];
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Rows = Record<string, Json>;
/** A layer, or the changes of a draft at one. */
export type Values = Record<string, Json>;

export type Marker = "$unset" | "$inherit" | "$remove";
export const marker = (m: Marker): Json => ({ [m]: true });
export function isMarker(v: Json | undefined, m: Marker): boolean {
  return typeof v === "object" && v !== null && !Array.isArray(v) && v[m] === true;
}
export function rowsOf(v: Json | undefined): Rows {
  return typeof v === "object" && v !== null && !Array.isArray(v) && !isMarker(v, "$unset") && !isMarker(v, "$inherit") ? v : {};
}

/** What the layer says of a setting with a change laid on it; undefined: nothing. */
export function laidOn(s: Pick<Setting, "type">, own: Json | undefined, change: Json | undefined): Json | undefined {
  if (change === undefined || change === null) return own;
  if (isMarker(change, "$inherit")) return undefined;
  if (s.type !== "list" || isMarker(change, "$unset")) return change;
  const rows = { ...rowsOf(own) };
  for (const [key, row] of Object.entries(rowsOf(change))) {
    if (isMarker(row, "$inherit") || row === null) delete rows[key];
    else rows[key] = row;
  }
  return Object.keys(rows).length === 0 ? undefined : rows;
}

/** Two changes after one another as one: what the merge patch `later` makes of what is in the draft. */
export function laterChange(s: Pick<Setting, "type">, change: Json | undefined, later: Json | undefined): Json | undefined {
  if (later === undefined) return change;
  if (later === null) return undefined;
  if (s.type !== "list" || isMarker(later, "$unset") || isMarker(later, "$inherit")) return later;
  const rows = { ...rowsOf(change) };
  for (const [key, row] of Object.entries(rowsOf(later))) {
    if (row === null) delete rows[key];
    else rows[key] = row;
  }
  return Object.keys(rows).length === 0 ? undefined : rows;
}

/** A layer for people: "fleet", "group" with its name, "device" with its name. */
export interface LayerView { layer: "builtin" | "fleet" | "group" | "device"; id: string; name: string; settings: Values }
export interface From { value: Json | undefined; from: LayerView }

const builtin = (s: Setting): LayerView => ({ layer: "builtin", id: "", name: "", settings: { [s.key]: s.default as Json } });

/** The value below these layers (lowest first) and which of them says it. */
export function valueFrom(s: Setting, layers: LayerView[]): From {
  let found: From = { value: s.default as Json, from: builtin(s) };
  for (const layer of layers) {
    const v = layer.settings[s.key];
    if (v === undefined) continue;
    found = { value: isMarker(v, "$unset") ? (s.default as Json) : v, from: layer };
  }
  return found;
}

export interface RowFrom { key: string; row: Json; from: LayerView; hidden: boolean }

/** The rows of a list in force, lowest layer first, and those that a layer hides. */
export function rowsFrom(s: Setting, layers: LayerView[]): RowFrom[] {
  const rows = new Map<string, RowFrom>();
  for (const layer of [builtin(s), ...layers]) {
    const v = layer.settings[s.key];
    if (v === undefined) continue;
    if (isMarker(v, "$unset")) rows.clear();
    for (const [key, row] of Object.entries(rowsOf(v))) {
      const hidden = isMarker(row, "$remove"), below = rows.get(key);
      if (hidden && below === undefined) continue;
      rows.set(key, { key, row: hidden ? (below?.row ?? {}) : row, from: layer, hidden });
    }
  }
  return [...rows.values()].sort((a, b) => a.key.localeCompare(b.key, "en", { numeric: true }));
}

/** Where a finding belongs: its layer, setting and what is left of its RFC 6901 pointer ("/changes/groups/ID/KEY/ROW/next_hop"). */
export interface Place { part: "fleet" | "groups" | "devices"; id: string; key: string; rest: string[] }
export function placeOf(pointer: string): Place | null {
  const [, root, ...steps] = pointer.split("/").map((x) => x.replaceAll("~1", "/").replaceAll("~0", "~"));
  if (root === "settings") return steps.length === 0 ? null : { part: "fleet", id: "", key: steps[0] ?? "", rest: steps.slice(1) };
  if (root !== "changes") return null;
  const part = steps[0];
  if (part === "fleet" && steps.length >= 2) return { part, id: "", key: steps[1] ?? "", rest: steps.slice(2) };
  if ((part === "groups" || part === "devices") && steps.length >= 3) return { part, id: steps[1] ?? "", key: steps[2] ?? "", rest: steps.slice(3) };
  return null;
}

export const same = (a: Json | undefined, b: Json | undefined): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
function sorted(v: Json | undefined): Json | undefined {
  if (typeof v !== "object" || v === null || Array.isArray(v)) return v;
  return Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k]) as Json]));
}
