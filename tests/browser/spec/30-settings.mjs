// Settings by area, and a change on its way to the devices: draft, review, publish, rollout, undo; and what goes wrong in between.
import assert from "node:assert/strict";

export default async ({ page, test, open, everyLook, axe, call, language, children }) => {
  const catalog = (await call("GET", "/catalog")).data.items;
  const field = (key) => page.locator(`[id="field-${key}"]`), setting = (key) => page.locator(`[id="setting-${key}"]`);
  const button = (name) => page.getByRole("button", { name, exact: true });
  const layer = async () => (await call("GET", "/settings?layer=fleet")).data.settings;
  const LIMIT = "smtp.recipient_limit", before = (await layer())[LIMIT], wanted = (before ?? 1000) - 7;
  const nothingOpen = async () => { for (const d of (await call("GET", "/drafts")).data.items) await call("DELETE", `/drafts/${d.id}`, undefined, { "If-Match": (await call("GET", `/drafts/${d.id}`)).etag }); };
  /** Both children with Postfix run what was published last. */
  const inSync = async () => { for (const c of children) await page.getByRole("row").filter({ hasText: c.name }).getByText("running it").first().waitFor({ timeout: 60000 }); };
  await nothingOpen();

  await test("settings: every setting of the catalog has its field on the form of its area", async () => {
    for (const area of new Set(catalog.map((s) => s.area))) {
      const mine = catalog.filter((s) => s.area === area), hidden = mine.find((s) => s.advanced);
      await open(`/settings/${area}${hidden ? `?key=${hidden.key}` : ""}`);
      await setting(mine[0].key).waitFor();
      for (const s of mine) assert.equal(await field(s.key).count(), 1, s.key);
    }
  });
  await test("settings: a bad value is said at its field, in both languages, and nothing is saved", async () => {
    for (const [lang, review, words] of [["en", "Save and review", "it must be between 1 and 99999"], ["ja", "保存して確認", "1 から 99999 の間でなければなりません"]]) {
      await open("/settings/smtp_routing");
      await language(lang);
      await field(LIMIT).fill("100000");
      await button(review).click();
      await setting(LIMIT).getByText(words).waitFor();
      assert.equal(await field(LIMIT).getAttribute("aria-invalid"), "true");
      assert.equal((await call("GET", "/drafts")).data.items.length, 0);
      await button(lang === "en" ? "Drop changes" : "変更を破棄").click();
    }
    await language("en");
  });
  await test("settings: a limit on all devices, from the settings to seen running, in at most 5 clicks; then back again", async () => {
    await open("/devices");
    let clicks = 0;
    const click = async (what) => { clicks++; await what.click(); };
    await click(page.getByRole("navigation", { name: "Areas of the console" }).getByRole("link", { name: "Settings" }));
    await click(field(LIMIT));
    await field(LIMIT).fill(String(wanted));
    await click(button("Save and review"));
    await page.getByRole("row").filter({ hasText: "Maximum recipients per message" }).getByText(wanted.toLocaleString("en")).waitFor();
    await page.getByText("3 devices are hit").waitFor();
    await page.getByRole("textbox", { name: "Reason" }).fill("browser: a lower limit");
    await click(button("Publish"));
    await page.getByRole("heading", { name: /^Rollout of revision/ }).waitFor();
    await inSync();
    assert.ok(clicks <= 5, `${clicks} clicks`);
    assert.equal((await layer())[LIMIT], wanted);
    await button("Undo").click();
    await page.getByText(/is taken back by revision/).waitFor();
    await inSync();
    assert.equal((await layer())[LIMIT], before);
    for (const close of await page.getByRole("button", { name: "Close", exact: true }).all()) await close.click();
    await everyLook("rollout");
  });
  await test("settings: looks", async () => {
    await open("/settings/smtp_routing");
    await setting("smtp.listen_port").waitFor();
    await everyLook("settings");
  });
  await test("settings: another window saved into the same draft: who and what is said, nothing is overwritten unseen", async () => {
    await open("/settings/smtp_routing");
    await field(LIMIT).fill("901");
    await button("Save into the draft").click();
    await page.getByText("Saved into your draft.").first().waitFor();
    await setting(LIMIT).getByText("in the draft").waitFor();
    await field(LIMIT).fill("902");
    const [head] = (await call("GET", "/drafts")).data.items;
    await call("PATCH", `/drafts/${head.id}`, { fleet: { [LIMIT]: 903 } }, { "If-Match": (await call("GET", `/drafts/${head.id}`)).etag });
    await button("Save into the draft").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/^token:.* saved into it:/).waitFor();
    await dialog.getByRole("row").filter({ hasText: "Maximum recipients per message" }).getByText("903").waitFor();
    assert.equal((await call("GET", `/drafts/${head.id}`)).data.changes.fleet[LIMIT], 903);
    await axe("settings: conflict");
    await dialog.getByRole("button", { name: "Keep what was saved" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.waitForFunction((id) => document.getElementById(id)?.value === "903", `field-${LIMIT}`);
  });
  await test("changes: a second administrator published the same setting first: both values and the author are shown, one's own can be laid over it", async () => {
    await nothingOpen();
    const own = await call("POST", "/drafts", {}), head = own.data;
    await call("PATCH", `/drafts/${head.id}`, { fleet: { [LIMIT]: 903 } }, { "If-Match": own.etag });
    const fresh = await call("POST", "/drafts", {});
    await call("PATCH", `/drafts/${fresh.data.id}`, { fleet: { [LIMIT]: (before ?? 1000) - 100 } }, { "If-Match": fresh.etag });
    const { pub } = (await call("POST", `/drafts/${fresh.data.id}/publish`, { reason: "browser: the second administrator" })).data;
    await open(`/changes/draft/${head.id}`);
    const alert = page.locator(".inari-conflict").first();
    await alert.getByRole("row").filter({ hasText: "Maximum recipients per message" }).getByText(((before ?? 1000) - 100).toLocaleString("en")).waitFor();
    await page.getByRole("textbox", { name: "Reason" }).fill("browser: mine");
    await button("Publish").click();
    await page.getByRole("link", { name: `Revision ${pub}` }).waitFor();
    await axe("review: conflict");
    assert.equal((await layer())[LIMIT], (before ?? 1000) - 100);
    await button("Put mine on the newest revision").first().click();
    await page.waitForURL((u) => !u.pathname.endsWith(head.id));
    await page.waitForFunction(() => document.querySelector(".inari-conflict") === null);
    await button("Files of " + children[0].name).click();
    await page.getByRole("dialog").getByRole("row").filter({ hasText: "smtpd_recipient_limit" }).getByText("903").waitFor();
    await page.keyboard.press("Escape");
    await button("Try it").click();
    await page.getByRole("region", { name: "Try it on the devices" }).getByRole("row").filter({ hasText: children[0].name }).getByText("accepted").waitFor({ timeout: 60000 });
    await nothingOpen();
    await open(`/changes/${pub}`);
    await button("Take it back").click();
    await page.getByRole("dialog").getByRole("button", { name: `Take ${pub} back` }).click();
    await page.getByRole("heading", { name: /^Rollout of revision/ }).waitFor();
    await inSync();
    assert.equal((await layer())[LIMIT], before);
    await open("/changes");
    await everyLook("changes");
  });
  await nothingOpen();
};
