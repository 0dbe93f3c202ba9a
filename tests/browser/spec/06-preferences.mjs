// What one chose for the console: kept with the account, so that a browser that was never here shows it too.
import assert from "node:assert/strict";

export default async ({ page, browser, test, open, axe, base, user, password, shots }) => {
  const save = async (zone) => {
    await page.getByRole("button", { name: /^Account of/ }).click();
    await page.getByRole("menuitem", { name: "Preferences" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Time zone" }).selectOption(zone);
    await dialog.getByRole("combobox", { name: "Rows" }).selectOption("100");
    await axe("preferences");
    await page.screenshot({ path: `${shots}/preferences-en.png` });
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
  };
  await test("preferences: the time zone and the rows of a list are another browser's too", async () => {
    await open("/devices");
    await save("Asia/Tokyo");
    await page.getByText("Times in Asia/Tokyo").waitFor();
    const other = await browser.browser().newContext({ ignoreHTTPSErrors: true, locale: "en-GB", viewport: { width: 1280, height: 800 } });
    const there = await other.newPage();
    await there.goto(`${base}/devices`);
    await there.getByRole("textbox", { name: "User name" }).fill(user);
    await there.getByRole("textbox", { name: "Password" }).fill(password);
    await there.getByRole("button", { name: "Sign in" }).click();
    await there.getByText("Times in Asia/Tokyo").waitFor();
    assert.equal(await there.getByRole("combobox", { name: "Rows" }).inputValue(), "100");
    await other.close();
  });
  await test("preferences: a zone that this browser does not know is shown as UTC, not as an error", async () => {
    await page.evaluate(() => fetch("/api/v1/session/preferences", { method: "PATCH", body: JSON.stringify({ zone: "Mars/Olympus_Mons" }),
      headers: { "Content-Type": "application/merge-patch+json", "X-Inari-Request": "1" } }));
    await open("/devices");
    await page.getByText("Times in UTC").waitFor();
    await save("UTC");
    await page.evaluate(() => fetch("/api/v1/session/preferences", { method: "PATCH", body: JSON.stringify({ page_size: null }),
      headers: { "Content-Type": "application/merge-patch+json", "X-Inari-Request": "1" } }));
    await page.evaluate(() => localStorage.removeItem("inari.rows"));
  });
};
