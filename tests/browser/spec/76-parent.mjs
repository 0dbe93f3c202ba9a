// The parent: health, trust, what is kept, and a decision after a restore (nothing to decide here: that is shown, too).
import assert from "node:assert/strict";

export default async ({ page, test, open, everyLook, call, language }) => {
  await test("parent: health is what the API says", async () => {
    await open("/parent");
    const { data } = await call("GET", "/parent");
    await page.getByText(data.fleet).waitFor();
    await page.getByText("ready", { exact: true }).waitFor();
    await page.getByText(data.addresses[0]).waitFor();
    await everyLook("parent");
  });
  await test("parent: which keys are believed", async () => {
    await page.getByRole("tab", { name: "Trust" }).click();
    const { data } = await call("GET", "/trust");
    for (const k of data.keys) await page.getByText(k.kid).waitFor();
    await everyLook("parent-trust");
  });
  await test("parent: retention is changed; what would go for good is said first and typed; in Japanese", async () => {
    await open("/parent?tab=policy");
    const before = (await call("GET", "/event-policy")).data;
    await page.getByRole("spinbutton", { name: "Keep events for so many days" }).fill("31");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The policy was changed.").waitFor();
    assert.equal((await call("GET", "/event-policy")).data.keep_days, 31);
    await page.getByRole("spinbutton", { name: "Keep events for so many days" }).fill("0");
    await page.getByRole("button", { name: "Save" }).click();
    assert.equal((await call("GET", "/event-policy")).data.keep_days, 31);
    await page.reload();
    await language("ja");
    await page.getByRole("spinbutton", { name: "イベントの保存日数" }).fill(String(before.keep_days));
    await page.getByRole("button", { name: "保存", exact: true }).click();
    await page.getByText("ポリシーを変更しました。").waitFor();
    await language("en");
    await open("/parent?tab=policy");
    await everyLook("parent-policy");
  });
  await test("parent: nothing to recover is said", async () => {
    await open("/parent?tab=recovery");
    await page.getByText("gives out what is published").waitFor();
    await everyLook("parent-recovery");
  });
};
