// run.mjs [NAME...]: each spec/*.mjs in order, on one page of one browser; afterwards nothing may have been refused by the
// policy, asked of another host or thrown.
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { chromium } from "playwright-core";
import { makeKit } from "./kit.mjs";

const { INARI_API: api, INARI_PROFILE: profile } = process.env;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--force-prefers-reduced-motion"];
const only = process.argv.slice(2);
const problems = [];
const failures = [];
const again = new Set(); // specs of which something failed
let spec = "";
let passed = 0;

async function test(name, fn) {
  const t = Date.now();
  try {
    await fn();
    passed++;
    console.log(`ok      ${name} (${((Date.now() - t) / 1000).toFixed(1)} s)`);
  } catch (e) {
    failures.push(name);
    if (spec !== "") again.add(spec);
    console.log(`FAILED  ${name}\n${e.stack}`);
    await page.screenshot({ path: `${process.env.INARI_SHOTS}/FAILED-${failures.length}.png` }).catch(() => {});
  }
}

const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium", headless: true, args: FLAGS, ignoreHTTPSErrors: true, locale: "en-GB",
  viewport: { width: 1280, height: 800 }, permissions: ["clipboard-read", "clipboard-write"],
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(15000);
page.on("console", (m) => /content security policy|trusted ?type/i.test(m.text()) && problems.push(`policy: ${m.text()}`));
page.on("pageerror", (e) => problems.push(`thrown: ${e}`));
const ours = [api, process.env.INARI_NEW_API]; // what is no foreign host: a spec that starts a parent adds it
browser.on("request", (r) => ours.some((a) => r.url().startsWith(`${a}/`)) || /^(data|blob|about):/.test(r.url()) || problems.push(`foreign: ${r.url()}`));
await page.addInitScript(() => {
  document.addEventListener("securitypolicyviolation", (e) => console.error(`content security policy: ${e.violatedDirective} ${e.blockedURI}`));
});

const kit = makeKit({ page, browser, test, ours });
if (only[0] === "--screens") await test("pictures for docs/screens", async () => (await import("./screens.mjs")).default(kit));
else for (const name of (await readdir(new URL("spec/", import.meta.url))).sort())
  if (name.endsWith(".mjs") && (only.length === 0 || name.startsWith("00-") || only.some((o) => name.includes(o)))) {
    spec = name.replace(".mjs", "");
    await (await import(`./spec/${name}`)).default(kit);
  }
spec = "";

await test("nothing was refused by the policy, nothing was thrown, nothing went to another host", async () => {
  assert.deepEqual(problems, []);
});
await browser.close();
if (again.size > 0) console.log(`again: ${[...again].join(" ")}`);
console.log(failures.length === 0 ? `${passed} passed` : `${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
