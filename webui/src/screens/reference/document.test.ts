// The reference shows the description that the parent serves, whole.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { areas, example, matching, operations, resolved, typeText } from "./document";

const text = readFileSync("../api/openapi.yaml", "utf8");
test("every operation of api/openapi.yaml, each in an area that is described", () => {
  expect(operations.map((o) => o.operationId).toSorted()).toEqual([...text.matchAll(/^ {6}operationId: (\w+)$/gm)].map((m) => m[1]).toSorted());
  for (const o of operations) expect(areas.map((a) => a.name)).toContain(o.tags[0]);
});
test("each reference leads somewhere", () => {
  for (const o of operations) for (const x of [...(o.parameters ?? []), ...Object.values(o.responses)]) expect(resolved(x).value).not.toEqual({});
});
test("operations are found by words in any order", () => {
  expect(matching("PATCH device").map((o) => o.operationId)).toContain("device_change");
  expect(matching("no-such-word")).toEqual([]);
});
test("limits stand with the type; a body to begin with has what must be there", () => {
  expect(typeText({ type: "string", minLength: 1, maxLength: 64, pattern: "^[a-z]+$" })).toBe("string, 1–64 chars, ^[a-z]+$");
  expect(typeText({ type: ["integer", "null"], minimum: 0, maximum: 5, default: 3 })).toBe("integer | null, 0–5, = 3");
  expect(example({ $ref: "#/components/schemas/Publish" })).toEqual({ reason: "…" });
});
