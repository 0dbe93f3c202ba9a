// Groups: make one, put a device in, its settings, take it out, delete it.
import assert from "node:assert/strict";

export default async ({ page, test, open, everyLook, call, language, children }) => {
  const NAME = "browser-mx", button = (name) => page.getByRole("button", { name, exact: true });
  const groups = async () => (await call("GET", "/groups")).data.items;
  for (const g of await groups()) if (g.name === NAME) await call("DELETE", `/groups/${g.id}`, undefined, { "If-Match": (await call("GET", `/groups/${g.id}`)).etag });
  await test("groups: make an MX set, put a device in, take it out again in Japanese, delete it by its name", async () => {
    await open("/groups");
    await button("New group").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox", { name: "Name" }).fill(NAME);
    await dialog.getByRole("radio", { name: "MX set" }).check();
    await dialog.getByRole("button", { name: "Make the group" }).click();
    await page.getByRole("heading", { name: `Group ${NAME}` }).waitFor();
    assert.equal((await groups()).find((g) => g.name === NAME).kind, "mx");
    await page.getByRole("combobox", { name: "Name of a device" }).fill(children[0].name);
    await button("Add").click();
    await page.getByRole("link", { name: children[0].name, exact: true }).waitFor();
    await everyLook("group");
    await page.getByRole("link", { name: "Settings of this group" }).click();
    await page.getByRole("combobox", { name: "Settings of" }).waitFor();
    assert.equal(await page.getByRole("combobox", { name: "Settings of" }).inputValue(), `group:${NAME}`);
    await page.goBack();
    await language("ja");
    await button(`${children[0].name} を外す`).click();
    await page.getByRole("dialog").getByRole("button", { name: "外す", exact: true }).click();
    await page.getByText("メンバーはいません。").waitFor();
    await language("en");
    await button("Delete the group").click();
    const verb = page.getByRole("dialog").getByRole("button", { name: "Delete the group" });
    assert.ok(await verb.isDisabled());
    await page.getByRole("dialog").getByRole("textbox").fill(NAME);
    await verb.click();
    await page.waitForURL(/\/groups$/);
    assert.equal((await groups()).some((g) => g.name === NAME), false);
    await everyLook("groups");
  });
};
