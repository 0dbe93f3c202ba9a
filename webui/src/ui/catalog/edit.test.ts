import { expect, test } from "vitest";
import { editOf, patchOf, willSay, withRow } from "./edit";
import { type LayerView, placeOf, rowsFrom, type Setting, valueFrom } from "./layers";
import { RENDERERS } from "./scalar";
import { fromUnit, inUnit } from "./words";

const setting = (over: Partial<Setting>): Setting => ({ key: "a.b", area: "a", area_label: "A", type: "int", label: "B", help: "", apply: "reload", needs: "", advanced: false, default: 1, scope: ["fleet", "group", "device"], ...over });
const number = setting({}), list = setting({ key: "a.l", type: "list", default: {} });
const layer = (name: LayerView["layer"], settings: LayerView["settings"]): LayerView => ({ layer: name, id: name, name, settings });

test("there is a renderer for every type of the catalog", () => {
  interface Area { settings: { type: string; row_key?: { type: string }; fields?: { type: string }[] }[] }
  const areas = Object.values(import.meta.glob<Area>("../../../../api/catalog/*.json", { eager: true, import: "default" })), drawn = new Set([...Object.keys(RENDERERS), "list"]);
  const types = areas.flatMap((a) => a.settings).flatMap((s) => [s.type, ...(s.row_key ? [s.row_key.type] : []), ...(s.fields ?? []).map((x) => x.type)]);
  expect(types.length).toBeGreaterThan(50);
  expect([...new Set(types)].filter((x) => !drawn.has(x))).toEqual([]);
});

test("the highest layer that says something wins, a marker goes back to the default", () => {
  expect(valueFrom(number, [layer("fleet", { "a.b": 5 }), layer("group", {})])).toMatchObject({ value: 5, from: { layer: "fleet" } });
  expect(valueFrom(number, [layer("fleet", { "a.b": 5 }), layer("device", { "a.b": { $unset: true } })])).toMatchObject({ value: 1, from: { layer: "device" } });
});

test("rows of lists come together, a layer can hide one", () => {
  const rows = rowsFrom(list, [layer("fleet", { "a.l": { x: { n: 1 }, y: {} } }), layer("device", { "a.l": { x: { $remove: true }, z: {} } })]);
  expect(rows.map((r) => [r.key, r.from.layer, r.hidden])).toEqual([["x", "device", true], ["y", "fleet", false], ["z", "device", false]]);
});

test("an edit is the smallest patch over what is published and drafted", () => {
  expect(editOf(5, 5, undefined)).toBeUndefined();
  expect(editOf(5, 5, 6)).toBeNull();
  expect(editOf(7, 5, 6)).toBe(7);
  expect(editOf(undefined, 5, undefined)).toEqual({ $inherit: true });
  expect(editOf(undefined, 5, { $inherit: true })).toBeUndefined();
});

test("a row taken out, changed and put back", () => {
  const published = { "a.l": { x: { n: 1 } } };
  const out = withRow({}, list, "x", undefined, published["a.l"], undefined);
  expect(out).toEqual({ "a.l": { x: { $inherit: true } } });
  expect(willSay(list, published, {}, out)).toBeUndefined();
  expect(withRow(out, list, "x", { n: 1 }, published["a.l"], undefined)).toEqual({});
  const drafted = { "a.l": { x: { n: 2, note: "old" } } };
  const edit = withRow({}, list, "x", { n: 3 }, published["a.l"], drafted["a.l"]);
  expect(patchOf([list], drafted, edit)).toEqual({ "a.l": { x: { n: 3, note: null } } });
  expect(willSay(list, published, drafted, edit)).toEqual({ x: { n: 3 } });
  expect(willSay(list, published, drafted, withRow({}, list, "x", { n: 1 }, published["a.l"], drafted["a.l"]))).toEqual({ x: { n: 1 } });
});

test("pointers of findings lead to layer, setting and row", () => {
  expect(placeOf("/changes/fleet/a.b")).toEqual({ part: "fleet", id: "", key: "a.b", rest: [] });
  expect(placeOf("/changes/groups/g1/a.l/10.0.0.0~18/note")).toEqual({ part: "groups", id: "g1", key: "a.l", rest: ["10.0.0.0/8", "note"] });
  expect(placeOf("/query/x")).toBeNull();
});

test("units: the largest that is whole, and back", () => {
  expect(inUnit("duration", 5400)).toEqual({ count: 90, unit: "min" });
  expect(inUnit("bytes", 31457280)).toEqual({ count: 30, unit: "MiB" });
  expect(inUnit("duration", 0)).toEqual({ count: 0, unit: "s" });
  expect(fromUnit("bytes", 30, "MiB")).toBe(31457280);
});
