// How rollouts go: the fleet's policy, and what one publication says otherwise.
import assert from "node:assert/strict";

export default async ({ page, test, call, open, language, everyLook, children }) => {
  const policy = async () => (await call("GET", "/rollout-policy")).data;
  const section = (name) => page.getByRole("button", { name, exact: true });
  const before = (await policy()).policy;
  await test("rollout policy: what is built in is said; a bad value is said at its field; a good one holds", async () => {
    await open("/rollouts");
    await page.getByRole("link", { name: "Rollout policy" }).click();
    await page.getByText("of each later wave for 5 min").waitFor();
    await section("Watching").click();
    const bake = page.getByRole("textbox", { name: "Watch each later wave, in seconds" });
    await page.getByText("Empty: 5 min.").waitFor();
    await bake.fill("5m");
    await page.getByText("A whole number from 0 to 86400.").waitFor();
    assert.ok(await page.getByRole("button", { name: "Save" }).isDisabled());
    await bake.fill("90");
    await section("Order and waves").click();
    await page.getByRole("textbox", { name: "Waves" }).fill("1, 20%");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The rollout policy was changed.").waitFor();
    await page.getByText("of each later wave for 1 min, 30 sec").or(page.getByText("of each later wave for 1 min 30 sec")).waitFor();
    assert.deepEqual((await policy()).policy, { ...before, bake_s: 90, waves: ["1", "20%"] });
  });
  await test("rollout policy: an emptied field goes back to what is built in, in Japanese", async () => {
    await open("/rollouts/policy");
    await language("ja");
    await section("観察").click();
    await page.getByRole("textbox", { name: "以降の各段階の観察時間 (秒)" }).fill("");
    await section("順序と段階").click();
    await page.getByRole("textbox", { name: "段階", exact: true }).fill("");
    await page.getByRole("button", { name: "保存" }).click();
    await page.getByText("以降の各段階は 5 分 観察します").waitFor();
    assert.deepEqual((await policy()).policy, before);
    await language("en");
  });
  await test("rollout policy: every language and theme", async () => {
    await open("/rollouts/policy");
    for (const name of ["Order and waves", "Failures and silence", "Guards on mail"]) await section(name).click();
    await everyLook("rollout-policy");
  });
  await test("publishing: one rollout goes otherwise than the policy says", async () => {
    const fresh = await call("POST", "/drafts", {}), LIMIT = "smtp.recipient_limit";
    const now = (await call("GET", "/settings?layer=fleet")).data.settings[LIMIT] ?? 1000;
    await call("PATCH", `/drafts/${fresh.data.id}`, { fleet: { [LIMIT]: now - 3 } }, { "If-Match": fresh.etag });
    await open(`/changes/draft/${fresh.data.id}`);
    await page.getByRole("textbox", { name: "Reason" }).fill("browser: in waves of its own");
    await page.getByRole("combobox", { name: "How it goes out" }).selectOption("waves");
    await section("Details of this rollout").click();
    await section("Order and waves").click();
    await page.getByRole("textbox", { name: "Waves" }).fill("1");
    await section("Watching").click();
    await page.getByRole("textbox", { name: "Watch the first wave, in seconds" }).fill("77");
    await section("Trying it first").click();
    await page.getByRole("combobox", { name: "Devices try it before the first gets it" }).selectOption("never");
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.getByRole("heading", { name: /^Rollout of revision/ }).waitFor();
    const id = page.url().split("/").at(-1), rollout = (await call("GET", `/rollouts/${id}`)).data;
    assert.deepEqual([rollout.strategy, rollout.waves_total], ["waves", 2]);
    assert.deepEqual([rollout.how.canary_bake_s, rollout.how.waves, rollout.how.shadow, rollout.how.bake_s], [77, ["1"], "never", 300]);
    await call("POST", `/rollouts/${id}/cancel`, {});
    await call("POST", `/revisions/${rollout.pub}/undo`, { reason: "browser: back" });
    for (let i = 0; i < 120; i++) {
      const devices = (await call("GET", "/devices")).data.items.filter((d) => children.some((c) => c.name === d.name));
      if (devices.every((d) => d.sync === "in-sync")) return;
      await new Promise((go) => setTimeout(go, 500));
    }
    assert.fail("the devices did not get back to what they had");
  });
};
