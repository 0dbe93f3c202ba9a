// The search over everything, by keyboard, and the alerts in the header.
import assert from "node:assert/strict";

export default async ({ page, test, open, axe, fits, shots, language, children }) => {
  const box = page.getByRole("searchbox", { name: "Search" }), results = page.locator(".inari-results a");
  await test("search: '/' opens it, the arrows go through what was found, Enter goes there, Escape closes", async () => {
    await open("/devices");
    for (let i = 0; i < 20 && !(await box.isVisible()); i++) { // a page that is drawn listens a moment later
      await page.keyboard.press("/");
      await box.waitFor({ timeout: 1000 }).catch(() => undefined);
    }
    await box.fill(children[0].name);
    await results.filter({ hasText: children[0].name }).first().waitFor();
    await axe("search");
    await page.screenshot({ path: `${shots}/search-en.png` });
    await box.focus();
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction((href) => document.activeElement?.getAttribute("href") === href, `/devices/${children[0].name}`);
    await page.keyboard.press("Enter");
    await page.waitForURL(new RegExp(`/devices/${children[0].name}$`));
    await page.keyboard.press("/");
    await box.fill("<b>x</b>@y.test");
    await results.filter({ hasText: "Messages from <b>x</b>@y.test" }).click();
    await page.waitForURL(/\/messages\?sender=/);
    await page.keyboard.press("/");
    await box.waitFor();
    await page.keyboard.press("Escape");
    await box.waitFor({ state: "detached" });
    await fits("the header");
  });
  await test("search: not while one types; a screen is found by its Japanese name", async () => {
    await open("/devices");
    await language("ja");
    await page.getByRole("button", { name: "検索", exact: true }).click();
    await page.getByRole("searchbox", { name: "検索" }).fill("メッセージ");
    await page.keyboard.type("/");
    assert.equal(await page.getByRole("dialog").count(), 1);
    await page.getByRole("searchbox", { name: "検索" }).fill("メッセージ追跡");
    await results.first().click();
    await page.waitForURL(/\/messages$/);
    await language("en");
  });
};
