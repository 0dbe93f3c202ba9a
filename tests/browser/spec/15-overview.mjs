// The overview: numbers that are links, the chart and its table, and why a message waits in at most three clicks.
import assert from "node:assert/strict";
import { mail, until } from "../mail.mjs";

export default async (kit) => {
  const { page, test, open, everyLook, language, call, base, fresh, NEW_PASSWORD } = kit;
  const tile = (name) => page.locator("a.inari-tile").filter({ hasText: name });
  let made;
  await test("overview: it is the first page, and shows what flowed", async () => {
    made = await mail(kit);
    await page.goto(base);
    await page.waitForURL(/\/overview$/);
    await until("accepted mail in the tile", async () => Number((await tile("Accepted").locator(".inari-big").textContent()).replace(/\D/g, "")) >= 2);
    await page.locator("canvas").waitFor();
    await page.getByRole("link", { name: /no relaying/ }).waitFor();
    const { data } = await call("GET", "/parent");
    assert.ok(data.device_states.managed >= 2);
    assert.equal(await page.locator(`a[href="/devices?state=managed"]`).locator(".inari-number").textContent(), String(data.device_states.managed));
  });
  await test("overview: every number is a link", async () => {
    const bare = await page.evaluate(() => [...document.querySelectorAll("main .inari-big, main .inari-tally .inari-number")].filter((e) => e.closest("a") === null).map((e) => e.textContent));
    assert.deepEqual(bare, []);
  });
  await test("overview: why a message was deferred, in at most three clicks", async () => {
    let clicks = 0;
    const click = async (what) => { clicks++; await what.click(); };
    await click(tile("Waiting now"));
    await click(page.locator("tbody tr").filter({ hasText: `@${made.mark}.test` }).getByRole("link").filter({ hasText: made.mark }));
    await page.locator("main q").filter({ hasText: "Connection refused" }).waitFor();
    await page.getByText("The next host could not be reached").waitFor();
    assert.ok(clicks <= 3);
  });
  await test("overview: the chart has a table, and its time is in the URL", async () => {
    await open("/overview");
    await page.getByRole("button", { name: "last hour" }).click();
    await page.waitForURL(/range=1h/);
    await page.getByRole("button", { name: "As a table" }).click();
    await page.locator("table tbody tr").nth(50).waitFor();
    await page.getByRole("button", { name: "As a table" }).click();
    await language("ja");
    await tile("受付").waitFor();
    await language("en");
  });
  await test("overview: a hidden tab asks nothing", async () => {
    await page.evaluate(() => {
      Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    });
    await page.waitForTimeout(500); // what was on its way
    let asked = 0;
    const count = (r) => { if (r.url().includes("/api/")) asked++; };
    page.on("request", count);
    await page.waitForTimeout(21_000); // longer than it looks again
    page.off("request", count);
    assert.equal(asked, 0);
    const again = page.waitForRequest(/\/api\/v1\/figures/);
    await page.evaluate(() => { delete document.visibilityState; document.dispatchEvent(new Event("visibilitychange", { bubbles: true })); });
    await again;
  });
  await test("overview: every language and theme", async () => { await open("/overview"); await page.locator("canvas").waitFor(); await everyLook("overview"); });
  await test("overview: a parent without devices shows the way to the first one", async () => {
    const other = await page.context().newPage();
    await other.goto(fresh.base);
    await other.getByRole("textbox", { name: "User name" }).or(other.getByText("No device has joined yet")).first().waitFor();
    if (await other.getByRole("textbox", { name: "User name" }).count()) {
      await other.getByRole("textbox", { name: "User name" }).fill(fresh.user);
      await other.getByRole("textbox", { name: "Password" }).fill(NEW_PASSWORD);
      await other.getByRole("button", { name: "Sign in" }).click();
    }
    await other.getByText("No device has joined yet").waitFor();
    await other.close();
  });
};
