// The audit log: what was just done is in it, filters are in the URL, the chain is whole, markup in it is text.
import assert from "node:assert/strict";

export default async ({ page, test, open, everyLook, call, language }) => {
  const row = (text) => page.locator("tbody tr").filter({ hasText: text });
  await test("audit: what a name carries is text, the entry says before and after", async () => {
    const token = (await call("POST", "/enrolment-tokens", { name: "<img src=x onerror=document.title='owned'>" })).data;
    await call("DELETE", `/enrolment-tokens/${token.id}`);
    await open("/audit?action=enrolment-token.");
    const entries = (await call("GET", "/audit?limit=3")).data.items;
    await open(`/audit?action=${entries[0].action}`);
    await page.getByRole("button", { name: `Details: Entry ${entries[0].seq}` }).click();
    await page.getByRole("heading", { name: `Entry ${entries[0].seq}` }).waitFor();
    assert.match(page.url(), new RegExp(`entry=${entries[0].seq}`));
    assert.notEqual(await page.title(), "owned");
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("heading", { name: `Entry ${entries[0].seq}` }).waitFor({ state: "detached" });
  });
  await test("audit: filters, pages, the chain; in Japanese", async () => {
    await open("/audit?limit=20");
    const first = await page.locator("tbody tr").first().innerText();
    await page.getByRole("button", { name: "Next page" }).click();
    await page.waitForURL(/cursor=/);
    await page.waitForFunction((was) => document.querySelector("tbody tr")?.innerText !== was, first);
    await page.goBack();
    await page.waitForFunction((was) => document.querySelector("tbody tr")?.innerText === was, first);
    await page.getByRole("textbox", { name: /^Action/ }).fill("session.");
    await page.waitForURL(/action=session/);
    await row("session.start").first().waitFor();
    await page.waitForFunction(() => !document.querySelector("tbody")?.innerText.includes("device.enrol")); // until then the page before stands there
    await language("ja");
    await page.getByRole("button", { name: "改ざんを検査" }).click();
    await page.getByText(/の連鎖に異常はありません/).waitFor();
    await language("en");
  });
  await test("audit: every language and theme", async () => {
    await open("/audit?limit=20");
    await everyLook("audit");
  });
};
