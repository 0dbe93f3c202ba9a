// The list of devices.
import assert from "node:assert/strict";

export default async ({ page, test, open, everyLook, children }) => {
  const row = (name) => page.locator("tbody tr").filter({ hasText: name });
  await test("devices: what is in sync, what refuses", async () => {
    await open("/devices");
    for (const c of children) {
      await row(c.name).getByText("in sync").waitFor();
      await row(c.name).getByText("online").waitFor();
    }
    await row("mx-odd").getByText("failed").waitFor();
  });
  await test("devices: the filter is in the URL, survives a reload and Back", async () => {
    await page.getByRole("combobox", { name: "State" }).selectOption("managed");
    await page.waitForURL(/state=managed/);
    await page.reload();
    await row("mx-odd").waitFor();
    assert.equal(await page.getByRole("combobox", { name: "State" }).inputValue(), "managed");
    await page.getByRole("combobox", { name: "State" }).selectOption("pending");
    await page.getByText("Nothing matches the filter.").waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await row("mx-odd").waitFor();
  });
  await test("devices: every language and theme", async () => { await everyLook("devices"); });
};
