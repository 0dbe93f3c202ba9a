// Keys and help: the same on every screen, and switched off for whoever wants to.
import assert from "node:assert/strict";

export default async ({ page, test, open, language, axe, shots }) => {
  const at = (path) => page.waitForURL((u) => u.pathname === path);
  await test("keys: g and a letter goes to a screen, ? helps about it, / searches", async () => {
    await open("/overview");
    await page.getByRole("heading", { name: "Overview", level: 1, exact: true }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await at("/devices");
    await page.keyboard.press("?");
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Every child device with what it should have").waitFor();
    await dialog.getByText("g m", { exact: true }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("m");
    assert.ok(page.url().includes("/devices"), "a key acted behind the dialog");
    await axe("help en");
    await page.screenshot({ path: `${shots}/help-en.png` });
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await page.keyboard.press("/");
    await dialog.getByRole("searchbox", { name: "Search" }).waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  });
  await test("keys: what is typed into a field is text", async () => {
    const field = page.getByRole("textbox", { name: "Name or address" });
    await field.fill("");
    await field.pressSequentially("g?/");
    assert.equal(await field.inputValue(), "g?/");
    assert.equal(await page.getByRole("dialog").count(), 0);
  });
  await test("keys: help in Japanese, by its button", async () => {
    await open("/messages");
    await language("ja");
    await page.getByRole("button", { name: "ヘルプ" }).click();
    await page.getByRole("dialog").getByText("全デバイスのメッセージを検索します").waitFor();
    await axe("help ja");
    await page.keyboard.press("Escape");
    await language("en");
  });
  await test("keys: switched off with the account they do nothing", async () => {
    const choose = async (on) => {
      await page.getByRole("button", { name: /^Account of/ }).click();
      await page.getByRole("menuitem", { name: "Preferences" }).click();
      await page.getByRole("checkbox", { name: "Single keys act" }).setChecked(on);
      await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
    };
    await choose(false);
    await page.evaluate(() => localStorage.removeItem("inari.keys"));
    await open("/messages"); // the account knows
    await page.waitForFunction(() => localStorage.getItem("inari.keys") === "off");
    for (const key of ["?", "g", "d"]) await page.keyboard.press(key);
    await page.waitForTimeout(300);
    assert.ok(page.url().includes("/messages"));
    assert.equal(await page.getByRole("dialog").count(), 0);
    await choose(true);
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await at("/devices");
    await page.evaluate(() => fetch("/api/v1/session/preferences", { method: "PATCH", body: JSON.stringify({ keys: null, lang: null, theme: null, zone: null, page_size: null }),
      headers: { "Content-Type": "application/merge-patch+json", "X-Inari-Request": "1" } }));
  });
};
