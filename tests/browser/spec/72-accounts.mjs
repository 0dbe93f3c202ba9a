// Accounts and tokens: made, changed, switched off and back, deleted; a token is shown once and works.
import assert from "node:assert/strict";

export default async ({ page, test, open, language, everyLook, call, axe, shots, base, fresh, user, password }) => {
  const field = (name) => page.getByRole("textbox", { name, exact: true });
  const go = (name) => page.getByRole("button", { name, exact: true }).click();
  const row = (name) => page.locator("tbody tr").filter({ hasText: name });
  const name = `browser-${Date.now().toString(36)}`;
  await test("accounts: a new account, its role, switched off and back by the toast", async () => {
    await open("/accounts");
    await go("New account");
    await field("Name").fill(name);
    await page.getByRole("combobox", { name: "Role" }).selectOption("viewer");
    await page.getByRole("textbox", { name: "First password" }).fill("too");
    await go("Make the account");
    await page.getByRole("dialog").getByRole("alert").waitFor(); // refused: what is wrong stays over the form
    assert.equal(await field("Name").inputValue(), name);
    await page.getByRole("textbox", { name: "First password" }).fill("A-first-password-42");
    await axe("new account");
    await page.screenshot({ path: `${shots}/account-new-en.png` });
    await go("Make the account");
    await row(name).getByText("has to choose a password").waitFor();
    await go(`Edit: ${name}`);
    await page.getByRole("combobox", { name: "Role" }).selectOption("operator");
    await go("Save");
    await row(name).getByText("operator").waitFor();
    await go(`Disable: ${name}`);
    await row(name).getByText("disabled").waitFor();
    await go("Undo");
    await row(name).getByText("has to choose a password").waitFor();
    const there = (await call("GET", "/accounts")).data.items.find((a) => a.name === name);
    assert.equal(there.role, "operator");
    assert.equal(there.disabled, false);
  });
  await test("accounts: a first password given anew; deleting wants the name", async () => {
    await go(`Reset password: ${name}`);
    await page.getByRole("textbox", { name: "First password" }).fill("Another-first-one-43");
    await page.getByRole("dialog").getByRole("button", { name: "Reset password" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await go(`Delete: ${name}`);
    assert.ok(await page.getByRole("button", { name: "Delete the account" }).isDisabled());
    await page.getByRole("dialog").getByRole("textbox").fill(name);
    await go("Delete the account");
    await row(name).waitFor({ state: "detached" });
  });
  await test("tokens: shown once, works, is refused when deleted; in Japanese", async () => {
    await language("ja");
    await page.getByRole("tab", { name: "API トークン" }).click();
    await page.getByRole("button", { name: "トークンの追加" }).first().click();
    await field("トークンの名前").fill(name);
    await page.getByRole("checkbox", { name: "デバイスの参照" }).check();
    await go("トークンを作成");
    await page.getByText("この内容は今しか表示されません。").waitFor();
    const token = (await page.getByRole("dialog").locator("pre").innerText()).trim();
    const ask = () => page.request.get(`${base}/api/v1/devices`, { headers: { Authorization: `Bearer ${token}`, Cookie: "" } });
    assert.equal((await ask()).status(), 200);
    await go("保存しました");
    await row(name).waitFor();
    assert.ok(!(await page.content()).includes(token));
    await go(`削除: ${name}`);
    await page.getByRole("dialog").getByRole("button", { name: "トークンを削除" }).click();
    await row(name).waitFor({ state: "detached" });
    assert.equal((await ask()).status(), 401);
    await language("en");
  });
  await test("accounts: every language and theme", async () => {
    await open("/accounts");
    await everyLook("accounts");
    await open("/accounts?tab=tokens");
    await everyLook("tokens");
  });
};
