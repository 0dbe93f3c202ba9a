// One moment in several zones; what is copied names its offset.
import { beforeEach, expect, test } from "vitest";
import { setLanguage } from "../i18n";
import { currentZone, durationText, isoText, keepZone, relativeText, timeText } from "./time";

const AT = "2026-11-22T15:04:05Z";
beforeEach(async () => { localStorage.clear(); await setLanguage("en"); });

test("exact times are in the zone that was chosen, 24 hours", async () => {
  expect(timeText(AT, "Asia/Tokyo")).toMatch(/23,? 2026.* 00:04:05$/);
  expect(timeText(AT, "UTC")).toMatch(/15:04:05$/);
  await setLanguage("ja");
  expect(timeText(AT, "Asia/Tokyo")).toBe("2026/11/23 0:04:05");
});
test("what is copied is ISO 8601 with its offset", () => {
  expect(isoText(AT, "UTC")).toMatch(/^2026-11-22T15:04:05(Z|\+00:00)$/);
  expect(isoText(AT, "Asia/Tokyo")).toBe("2026-11-23T00:04:05+09:00");
  expect(isoText(AT, "America/St_Johns")).toBe("2026-11-22T11:34:05-03:30");
});
test("the zone is the browser's until one is chosen", () => {
  expect(currentZone()).toBe(Intl.DateTimeFormat().resolvedOptions().timeZone);
  keepZone("Asia/Tokyo");
  expect(currentZone()).toBe("Asia/Tokyo");
});
test("relative times and durations", async () => {
  const now = new Date(AT).getTime();
  expect(relativeText(now - 90_000, now)).toBe("1 minute ago");
  expect(relativeText(now + 7_200_000, now)).toBe("in 2 hours");
  expect(durationText(16_200)).toBe("4 hr 30 min");
  expect(durationText(0)).toBe("0 sec");
  await setLanguage("ja");
  expect(relativeText(now - 86_400_000, now)).toBe("昨日");
});
