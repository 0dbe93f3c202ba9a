// Alerts: what fires, silences with an end, rules, channels whose secrets never come back, a test that says what it met.
import assert from "node:assert/strict";
import { until } from "../mail.mjs";

export default async (kit) => {
  const { page, test, open, everyLook, axe, language, call } = kit;
  const row = (text) => page.locator("tbody tr").filter({ hasText: text }), dialog = page.getByRole("dialog");
  const button = (name) => page.getByRole("button", { name, exact: true });
  await test("alerts: one that fires is listed, and somebody says so", async () => {
    await until("mx-odd to be missed", async () => (await call("GET", "/alerts?state=open")).data.items.some((a) => a.name === "mx-odd"), 240);
    await open("/alerts");
    await row("mx-odd").first().waitFor();
    await everyLook("alerts");
    await row("mx-odd").first().getByRole("link").click();
    await page.locator("dt").filter({ hasText: "Severity" }).waitFor();
    await everyLook("alert");
  });
  await test("alerts: a silence with an end and a reason, ended again", async () => {
    await open("/alerts?tab=silences");
    await button("New silence").click();
    await dialog.getByRole("combobox", { name: "Rule" }).selectOption("device-late");
    await dialog.getByRole("textbox", { name: "Device (none: all)" }).fill("mx-odd");
    await dialog.getByRole("textbox", { name: "Reason" }).fill("<b>known</b> to be odd");
    await axe("silence");
    await dialog.getByRole("button", { name: "Silence", exact: true }).click();
    await row("<b>known</b> to be odd").filter({ hasText: "active" }).first().waitFor();
    assert.ok((await call("GET", "/alert-silences?state=active")).data.items.some((s) => s.device?.name === "mx-odd"));
    await row("<b>known</b> to be odd").filter({ hasText: "active" }).first().getByRole("button", { name: "End now" }).click();
    await page.getByText("The silence has ended.").waitFor();
    assert.ok(!(await call("GET", "/alert-silences?state=active")).data.items.some((s) => s.device?.name === "mx-odd"));
  });
  await test("alerts: a rule is turned off and on again, changed, made and removed", async () => {
    await open("/alerts?tab=rules");
    await row("device-clock").locator("label").last().click();
    await page.getByRole("button", { name: "Undo" }).waitFor();
    assert.equal((await call("GET", "/alert-rules/device-clock")).data.enabled, false);
    await page.getByRole("button", { name: "Undo" }).click();
    await until("the rule to be on", async () => (await call("GET", "/alert-rules/device-clock")).data.enabled);
    await button("New rule").click();
    await dialog.getByRole("textbox", { name: "Name" }).fill("many-wait");
    await dialog.getByRole("spinbutton", { name: "Over", exact: true }).fill("5000");
    await dialog.getByRole("combobox", { name: "Looks at" }).selectOption("one device");
    await dialog.getByRole("combobox", { name: "Device" }).fill("mx-odd");
    await dialog.getByRole("spinbutton", { name: "At least between two notices (s)" }).fill("600");
    await dialog.getByRole("spinbutton", { name: /^Number of its SNMP trap/ }).fill("77");
    await axe("rule");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row("many-wait").waitFor();
    const made = (await call("GET", "/alert-rules/many-wait")).data;
    assert.deepEqual([made.parameters.over, made.scope.kind, made.scope.name, made.group_interval_s, made.trap], [5000, "device", "mx-odd", 600, 77]);
    await row("many-wait").getByRole("button", { name: "Edit" }).click();
    assert.equal(await dialog.getByRole("combobox", { name: "Device" }).inputValue(), "mx-odd");
    await dialog.getByRole("combobox", { name: "Looks at" }).selectOption("all devices");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.equal((await call("GET", "/alert-rules/many-wait")).data.scope.kind, "fleet");
    // every kind that the API has can be made with what the form begins with
    await button("New rule").click();
    const kinds = await dialog.getByRole("combobox", { name: "Kind" }).locator("option").evaluateAll((all) => all.map((o) => o.value));
    assert.equal(kinds.length, 11);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    for (const kind of ["device-disk", "device-condition", "rollout-halted", "parent-certificate"]) {
      await button("New rule").click();
      await dialog.getByRole("textbox", { name: "Name" }).fill(`one-${kind}`);
      await dialog.getByRole("combobox", { name: "Kind" }).selectOption(kind);
      assert.equal(await dialog.getByRole("combobox", { name: "Looks at" }).count(), kind.startsWith("device") ? 1 : 0);
      await dialog.getByRole("button", { name: "Save" }).click();
      await row(`one-${kind}`).waitFor();
      assert.equal((await call("GET", `/alert-rules/one-${kind}`)).data.kind, kind);
      await call("DELETE", `/alert-rules/one-${kind}`, undefined, { "If-Match": (await call("GET", `/alert-rules/one-${kind}`)).etag });
    }
    await row("many-wait").getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await row("many-wait").waitFor({ state: "detached" });
    await everyLook("alert-rules");
  });
  await test("alerts: a channel is set up; its test says each step", async () => {
    const there = await call("GET", "/alert-channels/ops").catch(() => null); // of a run before that failed here
    if (there !== null) await call("DELETE", "/alert-channels/ops", undefined, { "If-Match": there.etag });
    await open("/alerts?tab=channels");
    await language("ja");
    await button("通知先を追加").click();
    await dialog.waitFor();
    await axe("channel ja");
    await dialog.locator("#channel-name").fill("ops");
    await dialog.locator("#channel-host").fill("127.0.0.1");
    await dialog.locator("#channel-port").fill("9");
    await dialog.locator("#channel-tls").selectOption("none");
    await dialog.locator("#channel-from").fill("inari@example.test");
    await dialog.locator("#channel-to").fill("ops@example.test");
    await dialog.getByRole("button", { name: /^(Save|保存)$/ }).click();
    await row("ops@example.test").waitFor();
    await row("ops@example.test").getByRole("button", { name: /^(Test|テスト)$/ }).click();
    await dialog.getByRole("button", { name: /^(Send the test|テストを送信)$/ }).click();
    await dialog.getByText(/It was not taken|受け付けられませんでした/).waitFor();
    await dialog.getByRole("button", { name: /^(Close|閉じる)$/ }).last().click();
    await language("en");
    await call("DELETE", "/alert-channels/ops", undefined, { "If-Match": (await call("GET", "/alert-channels/ops")).etag });
    await everyLook("alert-channels");
  });
  await test("alerts: an SNMP receiver's secret goes in and never comes out, and stays when something else is changed", async () => {
    const community = "sesame-of-the-gate";
    await open("/alerts?tab=channels");
    await button("New channel").click();
    await dialog.locator("#channel-kind").selectOption("snmp");
    assert.equal(await dialog.locator("#channel-port").inputValue(), "162");
    await dialog.locator("#channel-name").fill("noc");
    await dialog.locator("#channel-host").fill("127.0.0.1");
    await dialog.locator("#channel-version").selectOption("v2c");
    await dialog.locator("#channel-secret").fill(community);
    await axe("channel snmp");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row("noc").getByText("set", { exact: true }).waitFor();
    await row("noc").getByRole("button", { name: "Edit" }).click();
    assert.equal(await dialog.locator("#channel-secret").inputValue(), "");
    await dialog.locator("#channel-port").fill("1162");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    const { data, etag } = await call("GET", "/alert-channels/noc");
    assert.equal(data.config.port, 1162);
    assert.equal(data.has_secret, true);
    assert.ok(!JSON.stringify(data).includes(community) && !(await page.content()).includes(community));
    await call("DELETE", "/alert-channels/noc", undefined, { "If-Match": etag });
    await open("/alerts?tab=notices");
    await everyLook("alert-notices");
  });
};
