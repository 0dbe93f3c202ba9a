// The form knows every member that the API has, with the API's bounds and choices.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BUILT_IN, enteredOf, faultsOf, FIELDS, patchOf, valueOf } from "./fields";

const text = readFileSync("../api/openapi.yaml", "utf8"), of = text.slice(text.indexOf("\n    Strategy:\n"));
const members = [...of.slice(0, of.indexOf("\n    EventPolicy:")).matchAll(/^ {8}(\w+): \{(.*)\}$/gm)].map((m) => ({ name: m[1] ?? "", says: m[2] ?? "" }));

test("every member but expedite, which is a way to publish", () => {
  expect([...FIELDS.map((f) => f.name), "expedite"].toSorted()).toEqual(members.map((m) => m.name).toSorted());
});
test("bounds and choices are the API's", () => {
  for (const f of FIELDS) {
    const says = members.find((m) => m.name === f.name)?.says ?? "";
    if (f.kind === "number") expect(says).toContain(`minimum: ${f.min}, maximum: ${f.max}`);
    if (f.kind === "choice") expect(says).toContain(`enum: [${f.options.join(", ")}, null]`);
    expect(says.includes("of the policy only")).toBe(f.only === "policy");
  }
});
test("what is built in is what the API says", () => {
  const said = members.flatMap((m) => { const d = /default: (\[.*?\]|[^,}]+)/.exec(m.says)?.[1]; return d === undefined ? [] : [[m.name, d]]; });
  const ours = Object.entries(BUILT_IN).map(([k, v]) => [k, Array.isArray(v) ? `[${v.map((x) => (/^[0-9]+%?$/.test(x) ? `'${x}'` : x)).join(", ")}]` : String(v)]);
  expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(said));
});
test("what was not touched is not said; what was emptied is taken back", () => {
  const before = enteredOf({ bake_s: 60, waves: ["1", "20%"], approval: true });
  expect(before).toEqual({ bake_s: "60", waves: "1, 20%", approval: "yes" });
  expect(patchOf(before, { ...before, waves: " 1,20% " })).toEqual({});
  expect(patchOf(before, { ...before, bake_s: "", waves: "2 per-group", approval: "no", max_failures: "3" })).toEqual({ bake_s: null, waves: ["2", "per-group"], approval: false, max_failures: "3" });
});
test("what is no value is a fault at its field", () => {
  expect(faultsOf({ bake_s: "5m", waves: "1, half", max_unavailable: "0", guard_factor: "1", soak_s: "3600" })).toEqual(["waves", "max_unavailable", "bake_s", "guard_factor"]);
  const waves = FIELDS.find((f) => f.name === "waves");
  expect(waves && valueOf(waves, Array.from({ length: 20 }, () => "1").join(","))).toBeUndefined();
});
