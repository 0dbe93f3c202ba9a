// What somebody has to decide: who is let in, which of two machines goes on, what is dropped for good, what counts after a
// restore; and what a second account with fewer rights sees of it.  On a parent with devices that only talk (site.mjs).
import assert from "node:assert/strict";
import { siteOf } from "../site.mjs";

export default async (kit) => {
  const { page, test, everyLook, axe, language } = kit;
  const button = (name, within = page) => within.getByRole("button", { name, exact: true });
  const dialog = page.getByRole("dialog"), row = (text) => page.locator("tbody tr").filter({ hasText: text });
  let site;
  await test("decisions: a site of its own", async () => { site = await siteOf(kit); });
  if (site === undefined) return;
  const { call, open, order } = site;

  await test("devices: one that waits is let in after a look at its key", async () => {
    await order("pending", "mx-new");
    await open("/devices/+join");
    await button("Approve", row("mx-new")).click();
    const { kid } = (await call("GET", "/devices/mx-new")).data.key;
    await dialog.getByText(kid).waitFor();
    await axe("approve a device");
    await button("Approve", dialog).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText("Nobody waits.").waitFor();
    assert.equal((await call("GET", "/devices/mx-new")).data.state, "observing");
  });
  await test("devices: two machines under one identity: one is chosen, by its name, with the reason", async () => {
    const boot = await order("copy", "mx2");
    await open("/devices/mx2");
    await page.getByRole("tab", { name: "Instances" }).click();
    await row(boot.slice(0, 8)).getByText("waits").first().waitFor();
    await everyLook("device-instances");
    await button("This one goes on", row(boot.slice(0, 8))).click();
    const verb = button("This one goes on", dialog);
    await dialog.getByRole("textbox", { name: "Reason" }).fill("browser: the other one is a copy");
    assert.ok(await verb.isDisabled());
    await dialog.getByRole("textbox", { name: "mx2" }).fill("mx2");
    await axe("decide between instances");
    await verb.click();
    await dialog.waitFor({ state: "detached" });
    await row(boot.slice(0, 8)).getByText("goes on").first().waitFor();
    assert.equal((await call("GET", "/devices/mx2")).data.instances.keeps, "instance");
  });
  await test("parent: retention that drops days says how many, and wants the number; in Japanese", async () => {
    await order("old", "20");
    await open("/parent?tab=policy");
    await language("ja");
    const before = (await call("GET", "/event-policy")).data;
    await page.getByRole("spinbutton", { name: "イベントの保存日数" }).fill("10");
    await button("保存").click();
    const verb = button("削除して保存", dialog);
    assert.ok(await verb.isDisabled());
    assert.equal((await call("GET", "/event-policy")).data.keep_days, before.keep_days);
    await dialog.getByRole("textbox").fill("1");
    await axe("days are dropped");
    await verb.click();
    await dialog.waitFor({ state: "detached" });
    assert.equal((await call("GET", "/event-policy")).data.keep_days, 10);
    await language("en");
  });
  await test("accounts: one that may only look sees what it may not do, and why", async () => {
    await call("POST", "/accounts", { name: "looker", role: "viewer", password: "A-first-password-42" });
    await open("/devices");
    await site.signOut();
    await site.signIn("looker", "A-first-password-42");
    await page.getByRole("button", { name: /^Account of looker/ }).waitFor();
    await page.goto(`${site.api}/settings/smtp_routing`);
    await page.locator('[id="field-smtp.recipient_limit"]').waitFor();
    assert.ok(await page.locator('[id="field-smtp.recipient_limit"]').isDisabled());
    await axe("settings: read only");
    const { rollout_id: id } = await site.publish({ fleet: { "smtp.recipient_limit": 777 } }, "browser: while somebody looks", { confirm: 4 });
    await page.goto(`${site.api}/rollouts/${id}`);
    await page.getByText("Orders to a rollout take the permission publish.").waitFor();
    assert.equal(await button("Pause").count(), 0);
    await page.goto(`${site.api}/parent?tab=policy`);
    await page.getByText(/permission admin/).first().waitFor();
    assert.ok(await button("Save").isDisabled());
    await page.goto(`${site.api}/devices/mx1`);
    await page.locator("main h1").waitFor();
    assert.equal(await button("Hold").and(page.locator(":enabled")).count(), 0);
    await page.goto(`${site.api}/accounts`);
    await page.getByText(/permission|may not/).first().waitFor();
    assert.equal(await button("New account").and(page.locator(":enabled")).count(), 0);
    await axe("accounts: may not");
    await site.signOut();
    await site.signIn();
    await page.getByRole("button", { name: /^Account of admin/ }).waitFor();
  });
  await test("parent: fenced after a restore: what was lost is shown and taken over; the decision is typed", async () => {
    await order("behind");
    await open("/parent?tab=recovery");
    await page.getByText("gives nothing out").first().waitFor();
    await page.getByText("It was restored from a backup.").waitFor();
    await row("mx1").first().waitFor();
    await row("smtp.banner_text").getByText("after the backup").waitFor();
    await everyLook("parent-fenced");
    await button("Take it into a draft").click();
    await button("Make the draft", dialog).click();
    await page.getByText("The draft was made.").waitFor();
    const { items } = (await call("GET", "/drafts")).data;
    const { changes } = (await call("GET", `/drafts/${items[0].id}`)).data;
    assert.ok(JSON.stringify(changes).includes("after the backup"));
    await button("End the fence, change nothing").click();
    const verb = button("End the fence, change nothing", dialog);
    await dialog.getByRole("textbox", { name: "Reason" }).fill("browser: it is in the draft");
    await dialog.getByRole("textbox", { name: /1/ }).fill("1");
    assert.ok(await verb.isDisabled()); // not before the list was looked at
    await dialog.getByRole("checkbox", { name: "I have looked at what was lost." }).check();
    await axe("the fence ends");
    await verb.click();
    await dialog.waitFor({ state: "detached" });
    await page.getByText("gives out what is published").waitFor();
    assert.equal((await call("GET", "/recovery")).data.fenced, false);
  });
};
