// What a person sees: sign in, change the generated password, devices, both languages, and nothing the policy refuses.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const { INARI_API: api, INARI_USER: user, INARI_PASSWORD: password, INARI_SHOTS: shots, INARI_PROFILE: profile, INARI_WEB: web } =
  process.env;
const NEW_PASSWORD = "Choose-a-long-one-42";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const violations = [];
const foreign = [];
const failures = [];
let passed = 0;

async function test(name, fn) {
  try {
    await fn();
    passed++;
    console.log(`ok      ${name}`);
  } catch (e) {
    failures.push(name);
    console.log(`FAILED  ${name}\n${e.stack}`);
  }
}

async function texts() {
  const source = await readFile(`${web}/i18n.js`, "utf8");
  return (await import(`data:text/javascript,${encodeURIComponent(source)}`)).texts;
}

await test("texts: the same keys and placeholders in both languages, and every key the page names", async () => {
  const all = await texts();
  const holes = (s) => (s.match(/\{\w+\}/g) ?? []).sort().join();
  assert.deepEqual(Object.keys(all.en).sort(), Object.keys(all.ja).sort());
  for (const [key, text] of Object.entries(all.en)) {
    assert.ok(all.ja[key].length > 0, key);
    assert.equal(holes(all.ja[key]), holes(text), key);
  }
  const html = await readFile(`${web}/index.html`, "utf8");
  const named = [...html.matchAll(/data-t(?:-label)?="(\w+)"/g)].map((m) => m[1]);
  assert.ok(named.length > 20);
  for (const key of named) assert.ok(key in all.en, `index.html names ${key}`);
  for (const [, key] of html.matchAll(/data-t="(\w+)">([^<]+)</g)) assert.ok(html.includes(all.en[key]), `index.html and en differ: ${key}`);
  assert.doesNotMatch(html, /<script(?![^>]*src=)|style=|\son\w+=/);
});

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium", headless: true, args: FLAGS, ignoreHTTPSErrors: true, locale: "en-GB",
  viewport: { width: 1280, height: 720 },
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(10000);
page.on("console", (m) => /content security policy|trusted ?type/i.test(m.text()) && violations.push(m.text()));
page.on("pageerror", (e) => violations.push(String(e)));
page.on("request", (r) => r.url().startsWith(`${api}/`) || r.url().startsWith("data:") || foreign.push(r.url()));
await page.addInitScript(() => {
  window.refused = [];
  document.addEventListener("securitypolicyviolation", (e) => window.refused.push(`${e.violatedDirective} ${e.blockedURI}`));
});

await test("the policy is strict", async () => {
  const answer = await page.goto(api);
  const policy = answer.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*/);
});

await test("sign in: a wrong password is said, the generated one has to be changed", async () => {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password", { exact: true }).fill("not this one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: "The credential was not accepted" }).waitFor();
  await page.waitForTimeout(1200); // the parent slows a second try down
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Change the password" }).waitFor();
  await page.getByLabel("New password", { exact: true }).fill(NEW_PASSWORD);
  await page.getByLabel("New password again").fill("something else");
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByText("The two new passwords differ.").waitFor();
  await page.getByLabel("New password again").fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByRole("heading", { name: "Child devices" }).waitFor();
});

const row = (name) => page.locator("tbody tr").filter({ has: page.getByRole("rowheader", { name, exact: true }) });

await test("devices: mode, presence, the three truths and the last attempt of each", async () => {
  await row("mx3").waitFor();
  assert.match(await row("mx1").innerText(), /in sync[\s\S]*manage[\s\S]*managed[\s\S]*online[\s\S]*committed/);
  assert.equal(await row("mx1").locator("code").count(), 3);
  assert.equal(new Set(await row("mx1").locator("code").allInnerTexts()).size, 1);
  assert.match(await row("mx2").innerText(), /observed only[\s\S]*observe/);
  assert.match(await row("mx3").innerText(), /failed[\s\S]*rejected 2026-11-2\d, \d\d:\d\d:01[\s\S]*postfix check: bad value/);
  assert.match(await page.locator("#summary").innerText(), /3 devices, 1 in sync, 1 with problems/);
});

await test("what a device says is text, never markup", async () => {
  assert.match(await row("mx3").innerText(), /<img src=x onerror=/);
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.title(), "Inari");
});

await test("Japanese and back without a reload, in light and dark", async () => {
  await page.screenshot({ path: `${shots}/devices-en.png`, fullPage: true });
  await page.getByRole("button", { name: "日本語" }).click();
  await page.getByRole("heading", { name: "下位デバイス" }).waitFor();
  assert.equal(await page.locator("html").getAttribute("lang"), "ja");
  assert.match(await row("mx1").innerText(), /同期済み[\s\S]*適用済み/);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: `${shots}/devices-ja-dark.png`, fullPage: true });
  await page.setViewportSize({ width: 360, height: 720 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await page.screenshot({ path: `${shots}/devices-ja-narrow.png`, fullPage: true });
  assert.ok(wide <= 0, `scrolls sideways by ${wide} px`);
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.emulateMedia({ colorScheme: "light" });
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("heading", { name: "Child devices" }).waitFor();
});

await test("the page follows a change by itself", async () => {
  const status = await page.evaluate(async () => {
    const had = await fetch("/api/v1/devices/mx1");
    const r = await fetch("/api/v1/devices/mx1", {
      method: "PATCH", body: JSON.stringify({ mode: "observe" }),
      headers: { "Content-Type": "application/merge-patch+json", "If-Match": had.headers.get("ETag"), "X-Inari-Request": "1" },
    });
    return r.status;
  });
  assert.equal(status, 200);
  await row("mx1").getByText("observed only").waitFor();
});

await test("keyboard: the first stop is the skip link, controls can be reached and are named", async () => {
  await page.reload();
  await row("mx1").waitFor();
  await page.evaluate(() => document.activeElement.blur());
  const stops = [];
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => document.activeElement.textContent.trim()));
  }
  for (const name of ["English", "日本語", "Sign out"]) assert.ok(stops.includes(name), `${name} in ${stops}`);
});

await test("sign out ends the session", async () => {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal(await page.locator("tbody tr").count(), 0);
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.screenshot({ path: `${shots}/login-en.png` });
});

await test("nothing was refused by the policy, nothing went to another host", async () => {
  assert.deepEqual(violations, []);
  assert.deepEqual(await page.evaluate(() => window.refused), []);
  assert.deepEqual(foreign, []);
});

await browser.close();
console.log(failures.length === 0 ? `${passed} passed` : `${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
