// The browser of console.py: reads one order a line, answers each with one line of JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { chromium } = createRequire(new URL("../tests/browser/package.json", import.meta.url))("playwright-core");
const { INARI_API: api, INARI_USER: user, INARI_PASSWORD: password } = process.env;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: FLAGS });
let resting = null;

/** A browser that was never here, signed in. */
async function visitor() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-GB", viewport: { width: 1440, height: 900 } });
  const answer = await context.request.post(`${api}/api/v1/session`, { data: { user, password }, headers: { "X-Inari-Request": "1" } });
  if (!answer.ok()) throw new Error(`${answer.status()} ${await answer.text()}`);
  return context;
}

async function first(name) {
  const context = await visitor(), page = await context.newPage();
  const began = Date.now();
  await page.goto(`${api}/${name}`);
  await page.locator(name === "devices" ? "main tbody tr" : "main canvas").first().waitFor();
  const content = Date.now() - began;
  const seen = await page.evaluate(() => ({
    fcp: Math.round(performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1),
    bytes: [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce((n, e) => n + e.transferSize, 0),
  }));
  await context.close();
  return { ...seen, content };
}

async function interact(since) {
  const context = await visitor(), page = await context.newPage();
  await page.addInitScript(() => {
    window.inputs = new Map();
    new PerformanceObserver((list) => {
      for (const e of list.getEntries())
        if (e.interactionId && e.duration > (window.inputs.get(e.interactionId)?.ms ?? 0))
          window.inputs.set(e.interactionId, { ms: e.duration, what: `${e.name} ${location.pathname} ${(e.target?.getAttribute?.("aria-label") ?? e.target?.textContent ?? "").slice(0, 20)}` });
    }).observe({ type: "event", durationThreshold: 16, buffered: true });
  });
  let rows = 0;
  const times = [];
  const settle = async () => {
    await page.waitForLoadState("networkidle").catch(() => {});
    rows = Math.max(rows, await page.locator("main tbody tr").count());
  };
  const nextPage = async () => {
    const button = page.getByRole("button", { name: "Next page" });
    if (!(await button.isEnabled())) return;
    await button.click();
    await settle();
  };
  const collect = async () => {
    await page.waitForTimeout(300);
    times.push(...(await page.evaluate(() => { const all = [...window.inputs.values()]; window.inputs.clear(); return all; })));
  };
  for (let round = 0; round < 3; round++) {
    await page.goto(`${api}/devices?limit=100`);
    await page.locator("main tbody tr").first().waitFor();
    await page.getByRole("combobox", { name: "State" }).focus();
    await page.keyboard.type("managed");
    await settle();
    await page.keyboard.press("Home");
    await settle();
    for (let i = 0; i < 3; i++) await nextPage();
    for (const lang of ["日本語", "English"]) await page.getByRole("button", { name: lang, exact: true }).click();
    await collect();
    await page.goto(`${api}/messages?limit=100&since=${since}`);
    await page.locator("main tbody tr").first().waitFor();
    await page.getByRole("textbox", { name: "Sender" }).first().click();
    await page.keyboard.type("@dom1.example", { delay: 40 });
    await page.keyboard.press("Enter");
    await settle();
    await nextPage();
    await page.locator("main tbody tr a").first().click();
    await page.locator("main h1").waitFor();
    await settle();
    await collect();
    await page.goto(`${api}/overview`);
    await page.locator("main canvas").first().waitFor();
    for (const name of ["last hour", "7 days", "24 hours"]) await page.getByRole("button", { name, exact: true }).click();
    await collect();
  }
  await context.close();
  times.sort((a, b) => b.ms - a.ms);
  return { times: times.map((x) => Math.round(x.ms)), slow: times.slice(0, 8).map((x) => `${Math.round(x.ms)} ${x.what}`), rows };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [word, arg] = line.split(" ");
  let answer = {};
  if (word === "first") answer = await first(arg);
  else if (word === "interact") answer = await interact(arg);
  else if (word === "rest") {
    resting = await (await visitor()).newPage();
    await resting.goto(`${api}/overview`);
    await resting.locator("main canvas").first().waitFor();
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
