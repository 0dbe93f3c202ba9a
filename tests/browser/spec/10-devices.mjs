// The devices: the list, and one device in full.
import assert from "node:assert/strict";

const HOSTILE = "<img src=x onerror=\"document.title='owned'\">";

export default async ({ page, test, open, call, everyLook, children, language }) => {
  const row = (name) => page.locator("tbody tr").filter({ hasText: name });
  const to = async (name, tab = "") => {
    const { data } = await call("GET", `/devices/${name}`);
    await open(`/devices/${data.id}${tab === "" ? "" : `?tab=${tab}`}`);
    await page.getByRole("heading", { name, level: 1 }).waitFor();
    return data;
  };
  const order = async (name) => {
    await page.getByRole("button", { name: "Actions" }).click();
    await page.getByRole("menuitem", { name, exact: true }).click();
  };
  await test("devices: what is in sync, what refuses", async () => {
    await open("/devices");
    for (const c of children) {
      await row(c.name).getByText("in sync").waitFor();
      await row(c.name).getByText("online").waitFor();
    }
    await row("mx-odd").getByText(/^(failed|pending)$/).waitFor(); // pending: a lab that another run has published in
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
  await test("devices: what asks for attention comes first; a part of the name finds one, in both languages", async () => {
    await call("POST", `/devices/${children[1].name}/hold`, { minutes: 5, reason: "browser" }, { "If-Match": (await call("GET", `/devices/${children[1].name}`)).etag });
    try {
      await open("/devices");
      const names = () => page.locator("tbody tr td:first-child").allTextContents();
      await page.waitForFunction(([a, b]) => { const all = [...document.querySelectorAll("tbody tr td:first-child")].map((x) => x.textContent); return all.includes(a) && all.indexOf(b) >= 0 && all.indexOf(b) < all.indexOf(a); }, [children[0].name, children[1].name]);
      await page.getByRole("combobox", { name: "Order" }).selectOption("name");
      await page.waitForURL(/order=name/);
      await page.waitForFunction(([a]) => document.querySelector("tbody tr td:first-child")?.textContent === a, [children[0].name]);
      await page.getByRole("combobox", { name: "Order" }).selectOption("only");
      await row(children[0].name).waitFor({ state: "detached" });
      assert.ok((await names()).includes(children[1].name));
    } finally {
      await call("POST", `/devices/${children[1].name}/release`, {}, { "If-Match": (await call("GET", `/devices/${children[1].name}`)).etag });
    }
    await open("/devices");
    await language("ja");
    await page.getByRole("textbox", { name: "名前またはアドレス" }).fill("ODD");
    await page.waitForURL(/q=ODD/);
    await row(children[0].name).waitFor({ state: "detached" });
    await row("mx-odd").waitFor();
    await language("en");
    await open("/devices");
    await row(children[0].name).waitFor();
  });
  await test("devices: every language and theme", async () => { await everyLook("devices"); });
  await test("device: desired, on disk and running are told apart", async () => {
    await open("/devices");
    await row(children[0].name).getByRole("link", { name: children[0].name }).click();
    await page.getByRole("heading", { name: children[0].name, level: 1 }).waitFor();
    assert.equal(await row("On disk").getByText("the same").count(), 1);
    assert.equal(await row("Running").getByText("the same").count(), 1);
    await to("mx-odd");
    await page.getByText("refused by the device").waitFor();
    await page.getByText("This was not applied").waitFor();
    assert.equal(await row("Running").getByText("nothing yet").count(), 1);
  });
  await test("what a device says is text, never markup", async () => {
    await page.getByText(HOSTILE, { exact: false }).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    assert.match(await page.title(), /^mx-odd/);
  });
  await test("device: held with a reason, released again, in both languages", async () => {
    await to("mx-odd");
    await order("Hold");
    const dialog = page.getByRole("dialog");
    assert.ok(await dialog.getByRole("button", { name: "Hold", exact: true }).isDisabled(), "a reason is needed");
    await dialog.getByRole("textbox", { name: "Reason" }).fill("the disk is being changed");
    await dialog.getByRole("button", { name: "Hold", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator("dd").getByText("the disk is being changed").waitFor();
    assert.equal((await call("GET", "/devices/mx-odd")).data.state, "held");
    await language("ja");
    await page.getByRole("button", { name: "保留を解除" }).click();
    await page.getByText("mx-odd の保留を解除しました。").waitFor();
    await page.getByRole("button", { name: "操作" }).click();
    await page.getByRole("menuitem", { name: "保留", exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await language("en");
    assert.equal((await call("GET", "/devices/mx-odd")).data.state, "managed");
  });
  await test("device: its history has the rollouts and who changed what about it, in both languages", async () => {
    const { id } = await to(children[1].name, "history");
    const part = (name) => page.getByRole("region", { name, exact: true });
    await part("Rollouts").getByText("running it").first().waitFor();
    await part("Who changed what about it").getByText("device.hold", { exact: true }).first().waitFor();
    await language("ja");
    await part("ロールアウト").getByText("稼働中").first().waitFor();
    await language("en");
    await page.getByRole("link", { name: "All in the audit log" }).click();
    await page.waitForURL((u) => u.searchParams.get("object") === `device/${id}`);
    assert.equal(await page.getByRole("textbox", { name: "Of what" }).inputValue(), `device/${id}`);
    await to(children[1].name, "history");
    await part("Rollouts").getByText("running it").first().waitFor();
    await everyLook("device-history");
  });
  await test("device: what cannot be taken back needs its name typed in", async () => {
    await to("mx-odd");
    await order("Revoke");
    const dialog = page.getByRole("dialog"), go = dialog.getByRole("button", { name: "Revoke", exact: true });
    await dialog.getByRole("textbox", { name: "Reason" }).fill("stolen");
    assert.ok(await go.isDisabled());
    await dialog.getByRole("textbox", { name: "Type mx-odd to confirm" }).fill("mx-odd");
    assert.ok(await go.isEnabled());
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.equal((await call("GET", "/devices/mx-odd")).data.state, "managed");
  });
  await test("device: every language and theme", async () => {
    await to("mx-odd");
    await everyLook("devices-status");
  });
};
