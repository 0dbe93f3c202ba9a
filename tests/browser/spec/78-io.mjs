// Export, then import of what was changed in the file: the difference first, then a draft.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

export default async ({ page, test, open, everyLook, call, language, shots }) => {
  let saved = "";
  await test("export: the file is the published configuration", async () => {
    await open("/io");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    saved = readFileSync(await download.path(), "utf8");
    const doc = JSON.parse(saved), { data } = await call("GET", "/config/export");
    assert.equal(doc.digest, data.digest);
    assert.equal(download.suggestedFilename(), `inari-config-${doc.pub}.json`);
    await everyLook("export");
  });
  await test("import: not our file is said; what would change; a draft of it; in Japanese", async () => {
    await open("/io?tab=import");
    const file = page.locator("#import-file"), write = (name, text) => { const p = `${shots}/../${name}`; writeFileSync(p, text); return p; };
    await file.setInputFiles({ name: "x.json", mimeType: "application/json", buffer: Buffer.from("{") });
    await page.getByText(/The file is not JSON/).waitFor();
    await file.setInputFiles({ name: "x.json", mimeType: "application/json", buffer: Buffer.from('{"format":"other"}') });
    await page.getByText(/no export of Inari/).waitFor();
    const doc = JSON.parse(saved);
    delete doc.digest;
    doc.content.fleet["smtp.relay_domains"]["import.example"] = {};
    doc.content.fleet["smtp.routes"]["import.example"] = { next_hop: "[198.18.5.3]:25" };
    await file.setInputFiles(write("import-test.json", JSON.stringify(doc)));
    await language("ja");
    await page.getByRole("button", { name: "変更内容を確認" }).click();
    await page.getByRole("heading", { name: /件の値が変更されます/ }).waitFor();
    await page.locator("td").filter({ hasText: "import.example" }).first().waitFor();
    await everyLook("import");
    await language("ja");
    const before = (await call("GET", "/drafts")).data.items.length;
    await page.getByRole("button", { name: "下書きを作成" }).click();
    await page.getByRole("link", { name: "下書きへ" }).waitFor();
    await language("en");
    const drafts = (await call("GET", "/drafts")).data.items;
    assert.equal(drafts.length, before + 1);
    const mine = drafts.find((d) => d.title.includes("import-test.json")), one = await call("GET", `/drafts/${mine.id}`);
    await call("DELETE", `/drafts/${mine.id}`, undefined, { "If-Match": one.etag });
  });
  await test("backup: the commands", async () => {
    await open("/io?tab=backup");
    await page.getByText("inarid backup").first().waitFor();
    await everyLook("backup");
  });
};
