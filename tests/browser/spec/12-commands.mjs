// Orders given to devices: the list, and one of them as a job with its own address.
import assert from "node:assert/strict";

export default async ({ page, test, open, call, everyLook, children, language }) => {
  const row = (text) => page.locator("tbody tr").filter({ hasText: text });
  await test("commands: one that is done, with what it found; one that waits is taken back", async () => {
    const { data: check } = await call("POST", `/devices/${children[0].name}/commands`, { kind: "self-check", reason: "from the spec" });
    await open(`/commands/${check.id}`);
    await page.getByRole("status").getByText("done").waitFor();
    await page.getByText("Postfix runs").waitFor();
    assert.ok((await page.locator("dd").getByText("fine", { exact: true }).count()) > 5);
    const { data: waits } = await call("POST", "/devices/mx-odd/commands", { kind: "self-check", reason: "nobody takes it" });
    await open("/commands");
    await row("nobody takes it").getByText("waiting for the device").first().waitFor();
    await row("nobody takes it").getByRole("link", { name: "Self-check" }).first().click();
    await language("ja");
    await page.getByRole("button", { name: "取り消す" }).click();
    await page.getByRole("status").getByText("取り消し済み").waitFor();
    await language("en");
    assert.equal((await call("GET", `/commands/${waits.id}`)).data.state, "cancelled");
    await everyLook("commands-one");
  });
  await test("commands: filtered by device and state, in the URL", async () => {
    await open("/commands?state=cancelled");
    await row("nobody takes it").first().waitFor();
    assert.equal(await row("from the spec").count(), 0);
    await page.getByRole("textbox", { name: "Name of a device" }).fill(children[0].name);
    await page.waitForURL(/device=/);
    await page.getByText("Nothing matches the filter.").waitFor();
    await page.getByRole("combobox", { name: "State" }).selectOption("");
    await row("from the spec").first().waitFor();
    await page.getByRole("button", { name: "Clear" }).click();
    await everyLook("commands");
    await open("/commands/00000000-0000-4000-8000-000000000000");
    await page.getByRole("heading", { name: "There is no such command." }).first().waitFor();
  });
};
