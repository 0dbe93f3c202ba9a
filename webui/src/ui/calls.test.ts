// What is copied as curl can be pasted into a shell, whatever stands in it.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { type Call, curlText } from "./calls";

/** The words a shell makes of it; $TOKEN stays what it is. */
function words(call: Call): string[] {
  const text = curlText(call, "https://parent:8445");
  return execFileSync("sh", ["-c", `TOKEN='$TOKEN'; printf '%s\\0' ${text}`], { encoding: "utf8" }).split("\0").slice(0, -1);
}

test("reading", () => {
  expect(words({ path: "/api/v1/devices?limit=50&state=managed" })).toEqual([
    "curl", "-H", "Authorization: Bearer $TOKEN", "https://parent:8445/api/v1/devices?limit=50&state=managed"]);
});
test("a quote, a dollar and a line in what is sent are not read by the shell", () => {
  const body = { reason: "it's $(id) `id` \"so\"\nhere" }, sent = words({ method: "POST", path: "/api/v1/x", body });
  expect(sent.slice(3, 5)).toEqual(["-X", "POST"]);
  expect(JSON.parse(sent[8] ?? "")).toEqual(body);
});
