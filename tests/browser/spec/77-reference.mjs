// The reference of the API: the parent's own description of it, drawn by the console.
import assert from "node:assert/strict";

export default async ({ page, test, call, open, language, everyLook }) => {
  await test("reference: every operation that the parent describes, found by a word", async () => {
    await open("/devices");
    await page.getByRole("link", { name: "API reference", exact: true }).click();
    await page.getByRole("heading", { name: "devices", level: 2 }).waitFor();
    const described = (await call("GET", "/openapi.yaml")).data.match(/^ {6}operationId: /gm).length;
    assert.equal(await page.locator(".inari-operations > li").count(), described);
    await page.getByRole("textbox", { name: "Path, verb or word" }).fill("patch rollout-policy");
    await page.getByText("1 operation", { exact: true }).waitFor();
    assert.ok(page.url().includes("q=patch"));
  });
  await test("reference: an operation says what it takes, its limits, its errors and the call", async () => {
    await page.getByRole("link", { name: "PATCH /api/v1/rollout-policy" }).click();
    await page.getByRole("heading", { name: "PATCH /api/v1/rollout-policy", level: 1 }).waitFor();
    await page.getByRole("row", { name: /If-Match.*header/ }).waitFor();
    await page.getByText("integer | null, 0–86400, = 300").first().waitFor();
    await page.getByText("If-Match is missing: send the ETag of what was read.").waitFor();
    await page.getByRole("button", { name: "The same by API" }).click();
    await page.getByRole("dialog").getByText(/curl .* -X PATCH .*rollout-policy/).waitFor();
    await page.keyboard.press("Escape");
  });
  await test("reference: the same in Japanese, and back to what was searched", async () => {
    await language("ja");
    await page.getByRole("heading", { name: "送信する内容" }).waitFor();
    await page.getByRole("navigation", { name: /パンくず|Breadcrumb/ }).getByRole("link", { name: "API リファレンス" }).click();
    await page.getByText("操作 1 件").waitFor();
    await language("en");
  });
  await test("reference: every language and theme", async () => {
    await open("/reference?q=rollout");
    await page.getByRole("heading", { name: "rollouts", level: 2 }).waitFor();
    await everyLook("reference");
    await open("/reference/draft_publish");
    await everyLook("reference-operation");
  });
};
