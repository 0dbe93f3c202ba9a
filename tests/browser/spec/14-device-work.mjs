// Working with one device: its mail path, its queue, Postfix, drift, the settings in force, what happened, and letting one join.
import assert from "node:assert/strict";
import { mail } from "../mail.mjs";

export default async (kit) => {
  const { page, test, open, call, onHost, everyLook, axe, children, language } = kit;
  const [child] = children, row = (text) => page.locator("tbody tr").filter({ hasText: text }), dialog = page.getByRole("dialog");
  const tab = (name) => open(`/devices/${child.name}?tab=${name}`);
  const job = (state) => page.locator(".inari-job").getByRole("status").getByText(state).first().waitFor({ timeout: 60000 });
  await language("en");
  await test("device: the mail path is drawn hop by hop and checked live", async () => {
    await tab("path");
    const hop = (name) => page.locator(".inari-hop").filter({ has: page.getByRole("heading", { name }) });
    await hop("Listener").getByText("0.0.0.0:25").waitFor();
    await hop("Next hop").getByText("example.test").waitFor();
    assert.equal(await hop("Scan service").count(), 0, "the direct path has no scan service");
    await page.getByRole("button", { name: "Check now" }).click();
    await job("done");
    await hop("Listener").getByText("answers").waitFor();
    await hop("Postfix").getByText("running").waitFor();
    await page.reload();
    await hop("Listener").getByText("answers").waitFor();
    onHost(child.name, "postfix", "stop");
    try {
      await page.getByRole("button", { name: "Check now" }).click();
      await hop("Postfix").getByText("stopped").waitFor({ timeout: 60000 });
    } finally {
      onHost(child.name, "postfix", "start");
    }
    await page.getByRole("button", { name: "Check now" }).click();
    await hop("Listener").getByText("answers").waitFor({ timeout: 60000 });
    await everyLook("devices-path");
  });
  await test("device: behind the sender filter the path begins with it, and Postfix stands where only it can reach", async () => {
    const devices = (await call("GET", "/devices")).data.items, id = devices.find((d) => d.name === child.name).id;
    const publish = async (value, reason) => {
      const draft = (await call("POST", "/drafts", {})).data.id;
      await call("PATCH", `/drafts/${draft}`, { devices: { [id]: { "path.mode": value } } }, { "If-Match": "*" });
      await call("POST", `/drafts/${draft}/publish`, { reason });
    };
    const hop = (name) => page.locator(".inari-hop").filter({ has: page.getByRole("heading", { name }) });
    await publish("front", "browser: the sender filter first");
    try {
      await tab("path");
      await hop("Sender filter").getByText("0.0.0.0:25").waitFor({ timeout: 60000 });
      await hop("Postfix").getByText("127.0.0.1:2500").waitFor();
      await page.getByRole("button", { name: "Check now" }).click();
      await job("done");
      await hop("Sender filter").getByText("answers").waitFor({ timeout: 60000 });
      await everyLook("devices-path-front");
    } finally {
      await publish({ $inherit: true }, "browser: back to the fleet's path");
    }
    await page.reload();
    await hop("Listener").getByText("0.0.0.0:25").waitFor({ timeout: 60000 });
  });
  await test("device: why a message waits; it is held and deleted, and deleting needs its number", async () => {
    const { spare, markup } = await mail(kit);
    await open("/devices");
    await row(child.name).getByRole("link", { name: child.name }).click();
    await page.getByRole("tab", { name: "Queue" }).click();
    await page.getByRole("button", { name: /^Look/ }).click();
    await row("Connection refused").first().waitFor({ timeout: 60000 });
    await row("Connection refused").getByText(markup.replaceAll('"', ""), { exact: false }).first().waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    assert.doesNotMatch(await page.title(), /^owned/);
    await everyLook("devices-queue");
    const of = row(spare);
    await of.waitFor();
    const act = async (name, verb = name) => {
      await of.getByRole("checkbox").check();
      await page.getByText("1 selected").waitFor();
      await page.getByRole("button", { name, exact: true }).first().click();
      if (name === "Delete") {
        assert.ok(await dialog.getByRole("button", { name: verb, exact: true }).isDisabled());
        await dialog.getByRole("textbox", { name: "Type 1 to confirm" }).fill("1");
      }
      await dialog.getByRole("button", { name: verb, exact: true }).click();
      await dialog.waitFor({ state: "detached" });
      await job("done");
      await page.getByRole("button", { name: /^Look/ }).click();
    };
    await act("Hold");
    await of.getByText("on hold").waitFor({ timeout: 60000 });
    await act("Delete");
    await of.waitFor({ state: "detached", timeout: 60000 });
  });
  await test("device: a test message is followed to the next hop's answer; draining asks first", async () => {
    await tab("service");
    await page.getByRole("textbox", { name: "Recipient" }).fill("probe@example.test");
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await job("done");
    await page.locator("dd").getByText("sent", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Drain", exact: true }).click();
    await dialog.getByRole("button", { name: "Drain", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Take mail again" }).waitFor({ timeout: 60000 });
    await language("ja");
    await page.getByRole("button", { name: "受け付けを再開" }).click();
    await page.getByRole("button", { name: "受け付けを停止" }).waitFor({ timeout: 60000 });
    await language("en");
    await everyLook("devices-service");
  });
  await test("device: a hand edit is seen with who set the value, and put back", async () => {
    onHost(child.name, "postconf", "-e", "message_size_limit=33554432");
    await tab("drift");
    await row("message_size_limit").getByText("33554432").waitFor({ timeout: 90000 });
    await everyLook("devices-drift");
    await row("message_size_limit").getByRole("checkbox").check();
    await page.getByRole("button", { name: "Put back" }).click();
    await dialog.getByRole("button", { name: "Put back" }).click();
    await dialog.waitFor({ state: "detached" });
    await job("done");
    await page.getByText("Nothing differs.").waitFor({ timeout: 60000 });
    assert.notEqual(onHost(child.name, "postconf", "-h", "message_size_limit").trim(), "33554432");
  });
  await test("device: any value explains itself; the address says which", async () => {
    await tab("settings");
    await page.getByRole("textbox", { name: "Name of a setting" }).fill("smtp.routes");
    await row("smtp.routes").getByRole("button", { name: "Explain" }).click();
    await page.waitForURL(/key=smtp\.routes/);
    await dialog.getByRole("row").filter({ hasText: "fleet" }).getByText("in force").waitFor();
    await dialog.getByText("example.test").first().waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await dialog.waitFor({ state: "detached" });
    await everyLook("devices-settings");
  });
  await test("device: what was ordered and what happened", async () => {
    await tab("history");
    await row("Test message").first().waitFor();
    await everyLook("devices-history");
  });
  await test("join: a token is shown once, and revoked", async () => {
    await open("/devices");
    await page.getByRole("link", { name: "Join a device" }).click();
    await page.getByText("Nobody waits.").waitFor();
    await page.getByRole("button", { name: "Make a join token" }).click();
    await dialog.getByRole("textbox", { name: "Name" }).fill("spec");
    await dialog.getByRole("button", { name: "Make", exact: true }).click();
    await dialog.getByText("inari-agent join --join-file -").waitFor();
    const string = await dialog.locator(".inari-join").textContent();
    assert.ok(string.length > 40);
    await axe("join token");
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await dialog.waitFor({ state: "detached" });
    await page.reload();
    await row("spec").first().waitFor();
    assert.ok(!(await page.content()).includes(string));
    await everyLook("devices-join");
    await row("spec").getByRole("button", { name: "Revoke" }).first().click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await page.getByText("The token spec is revoked.").waitFor();
    assert.equal((await call("GET", "/enrolment-tokens")).data.items.find((x) => x.name === "spec").state, "revoked");
    await row("spec").first().getByText("revoked").waitFor();
  });
};
