// Events: the list, its filters, live as they come, everything one event says; and the figures.
import assert from "node:assert/strict";
import { mail } from "../mail.mjs";

export default async (kit) => {
  const { page, test, open, everyLook, axe, shots, language, onHost, children } = kit;
  const rows = page.locator("tbody tr");
  let made;
  await test("events: filters are in the URL, an event tells all it has, markup as text", async () => {
    made = await mail(kit);
    await open("/events");
    await page.getByRole("combobox", { name: "Kind" }).selectOption("message.rejected");
    await page.waitForURL(/kind=message.rejected/);
    const row = rows.filter({ hasText: `@${made.mark}.test` }).filter({ hasText: "message.rejected" });
    await row.waitFor();
    await row.getByRole("button", { name: "message.rejected" }).click();
    await page.locator("dd").filter({ hasText: "<img src=x" }).first().waitFor();
    await page.locator("dd").filter({ hasText: "stranger@elsewhere.test" }).first().waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    await page.screenshot({ path: `${shots}/event-en.png` });
    await axe("event");
    await page.getByRole("button", { name: "Close" }).click();
    await page.reload();
    await row.waitFor();
  });
  await test("events: live, as they are stored, and pause", async () => {
    await page.locator("label[for=events-live]").click();
    await page.waitForURL(/live=1/);
    await page.getByText("live", { exact: true }).waitFor();
    const knock = (name) => { try { onHost("outside", "swaks", "--server", children[0].address, "--from", `x@${name}.test`, "--to", "stranger@elsewhere.test", "--helo", "<b>odd</b>", "--timeout", "20", "--hide-all"); } catch { /* refused */ } };
    const first = `${made.mark}live`, second = `${made.mark}late`;
    knock(first);
    await rows.filter({ hasText: `${first}.test` }).first().waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    knock(second);
    await page.getByText("paused", { exact: true }).waitFor();
    await page.waitForTimeout(1500);
    assert.equal(await rows.filter({ hasText: `${second}.test` }).count(), 0);
    await language("ja");
    await page.getByText("一時停止中").waitFor();
    await language("en");
    await page.locator("label[for=events-live]").click();
    await rows.filter({ hasText: `${second}.test` }).first().waitFor();
    await open("/events?kind=auth.failed");
    await page.getByText("Nothing matches the filter.").waitFor();
    await open("/events?kind=message.rejected&limit=20");
    await rows.first().waitFor();
    await everyLook("events");
  });
  await test("figures: a chart, its table, a copy as CSV; what is shown is in the URL", async () => {
    await open("/figures");
    await page.getByRole("combobox", { name: "Points" }).selectOption("60");
    await page.waitForURL(/step=60/);
    await page.locator("canvas").waitFor();
    await page.getByRole("button", { name: "Copy as CSV" }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(text, /^time,accepted,delivered,deferred,bounced,expired,refused\r\n/);
    const sum = text.trim().split("\r\n").slice(1).reduce((n, line) => n + Number(line.split(",")[6]), 0);
    assert.ok(sum >= 1, text);
    await page.getByRole("combobox", { name: "Show" }).selectOption("queue");
    await page.locator("figure").getByText("On hold").waitFor();
    await page.getByRole("combobox", { name: "Show" }).selectOption("");
    await everyLook("figures");
  });
};
