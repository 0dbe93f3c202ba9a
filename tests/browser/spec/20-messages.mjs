// Message tracking: the search, the time line, why a message waits; what mail carries stays text.
import assert from "node:assert/strict";
import { mail } from "../mail.mjs";

export default async (kit) => {
  const { page, test, open, everyLook, language, call } = kit;
  const row = (text) => page.locator("tbody tr").filter({ hasText: text });
  const sound = async () => {
    assert.doesNotMatch(await page.title(), /^owned/);
    assert.equal(await page.locator("main img").count(), 0);
  };
  let made;
  await test("messages: mail of every fate is found, with its markup as text", async () => {
    made = await mail(kit);
    await open(`/messages?sender=%40${made.mark}.test`);
    await row("delivered").waitFor();
    await row("deferred").getByText("no connection").waitFor();
    await row("refused").waitFor();
    await row("delivered").getByText(made.markup, { exact: false }).first().waitFor();
    await page.getByText("3 messages.").waitFor();
    await sound();
  });
  await test("messages: filters are in the URL, survive a reload, and are cleared", async () => {
    await page.getByRole("combobox", { name: "Status" }).selectOption("rejected");
    await page.waitForURL(/status=rejected/);
    await page.reload();
    await row("refused").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.getByRole("searchbox", { name: "Recipient or @domain" }).or(page.getByRole("textbox", { name: "Recipient or @domain" })).fill("@nobody.test");
    await page.getByText("No message fits.").waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await page.waitForURL((u) => u.search === "");
    await open(`/messages?subject=${made.mark}&limit=20`);
    await row("delivered").waitFor();
  });
  await test("messages: a file has the rows of the search", async () => {
    await open(`/messages?sender=%40${made.mark}.test`);
    await page.getByRole("button", { name: "Export" }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "As CSV" }).click()]);
    const text = await (await import("node:fs/promises")).readFile(await file.path(), "utf8");
    assert.equal(text.trim().split(/\r?\n/).length, 4);
    assert.ok(text.includes(`@${made.mark}.test`));
  });
  await test("messages: every language and theme", async () => { await everyLook("messages"); });
  await test("message: why it waits, in whose words, what to do, and what the device ran", async () => {
    await row("deferred").getByRole("link").filter({ hasText: made.mark }).click();
    await page.getByRole("heading", { name: /It waits in the queue and is tried again: no connection/ }).waitFor();
    await page.locator("main q").filter({ hasText: "Connection refused" }).waitFor();
    await page.getByText("What to do").waitFor();
    assert.match(await page.getByRole("link", { name: /^To the queue of/ }).getAttribute("href"), /^\/devices\/.+queue/);
    const { data } = await call("GET", `/messages/${made.deferred.id}`);
    const ran = data.events.find((e) => e.ran)?.ran;
    assert.ok(ran);
    await page.locator(".inari-step").getByText(`Revision ${ran.pub}`).first().waitFor();
    assert.equal(await page.locator(".inari-step").count(), data.events.length);
    await sound();
  });
  await test("message: the same in Japanese, the parent's sentences too", async () => {
    await language("ja");
    await page.getByRole("heading", { name: /キューで待機中です/ }).waitFor();
    await page.locator(".inari-step").filter({ hasText: "受け取りました" }).first().waitFor();
    await language("en");
    await everyLook("message");
  });
};
