// The end: signing out leaves nothing on the page.
import assert from "node:assert/strict";

export default async ({ page, test, open, user, password, axe }) => {
  await test("a session that ended: the login opens over the page, which stays, and the request is sent again", async () => {
    await open("/devices");
    await page.locator("tbody tr").filter({ hasText: "mx-odd" }).waitFor();
    await page.evaluate(() => fetch("/api/v1/session", { method: "DELETE", headers: { "X-Inari-Request": "1" } }));
    await page.getByRole("heading", { name: "The session has ended" }).waitFor();
    await axe("sign in again");
    assert.ok((await page.locator("tbody tr").count()) > 0);
    assert.equal(await page.getByRole("textbox", { name: "User name" }).inputValue(), user);
    await page.getByRole("textbox", { name: "Password" }).fill(password);
    await page.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator("tbody tr").filter({ hasText: "mx-odd" }).waitFor();
  });
  await test("sign out ends the session", async () => {
    await page.getByRole("button", { name: /^Account of/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.locator("tbody tr").count(), 0);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });
};
