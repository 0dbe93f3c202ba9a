// What every spec needs: the page, the API beside it, axe, both languages, screenshots.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { AxeBuilder } from "@axe-core/playwright";

const { INARI_API: base, INARI_TOKEN: token, INARI_SHOTS: shots, INARI_USER: user, INARI_PASSWORD: password, INARI_LAB: lab, INARI_CHILDREN: children } = process.env;
export const NEW_PASSWORD = "Choose-a-long-one-42";
/** What axe cannot decide by itself and a person has looked at: rule -> [part of its message, why it is right]. */
const LOOKED_AT = JSON.parse(readFileSync(new URL("incomplete.json", import.meta.url), "utf8"));

export function makeKit({ page, browser, test, ours }) {
  /** One call of the API with the lab's own token (not the page's session). */
  async function call(method, path, body, headers = {}) {
    const r = await fetch(`${base}/api/v1${path}`, {
      method, body: body === undefined ? undefined : JSON.stringify(body),
      headers: { Authorization: `Bearer ${token}`, "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
        ...(method === "POST" ? { "Idempotency-Key": crypto.randomUUID() } : {}), ...headers },
    });
    const text = await r.text();
    const data = text !== "" && (r.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(text) : text;
    if (!r.ok) throw new Error(`${method} ${path}: ${r.status} ${text}`);
    return { data, etag: r.headers.get("ETag") ?? "" };
  }
  /** A shell-free command on a host of the lab ("outside", "inside", "mx1", …). */
  function onHost(host, ...argv) {
    return execFileSync("../../deploy/lab", ["exec", "--dir", lab, host, "--", ...argv], { cwd: new URL(".", import.meta.url), encoding: "utf8" });
  }
  async function open(path) {
    await page.goto(`${base}${path}`);
    await page.locator("main h1").waitFor();
  }
  async function language(name) {
    const b = page.getByRole("button", { name: name === "ja" ? "日本語" : "English", exact: true });
    await b.click();
    await page.locator(`html[lang="${name}"]`).waitFor();
  }
  /** No violation of WCAG 2.2 A and AA, and nothing undecided that nobody has looked at. */
  async function axe(what) {
    const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
    const short = (x) => x.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")} (${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ""})`).join("; ")}`);
    assert.deepEqual(short(found.violations), [], what);
    const why = (n) => (n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? "";
    const open = found.incomplete.map((v) => ({ ...v, nodes: v.nodes.filter((n) => !(LOOKED_AT[v.id] ?? []).some(([part]) => why(n).includes(part))) }));
    assert.deepEqual(short(open.filter((v) => v.nodes.length > 0)), [], `${what}: undecided`);
  }
  /** No text is cut off and nothing scrolls sideways at 1280 and 320 pixels. */
  async function fits(what) {
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 800 });
      await page.waitForTimeout(150);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${what}: scrolls sideways by ${wide} px at ${width}`);
      const cut = await page.evaluate(() => [...document.querySelectorAll("main button, main th, main h1, main h2, nav a, label, dt")]
        .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX !== "visible").map((e) => e.textContent));
      assert.deepEqual(cut, [], `${what}: cut off at ${width}`);
    }
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  /** Colours go over from one theme to the other by transitions, nested ones one after the other: several frames without any. */
  const settled = () => page.evaluate(async () => {
    const frame = () => new Promise((go) => requestAnimationFrame(go));
    for (let quiet = 0, i = 0; quiet < 8 && i < 300; i++) {
      await frame();
      quiet = document.getAnimations().some((a) => a.playState === "running" && Number.isFinite(a.effect?.getComputedTiming().endTime)) ? 0 : quiet + 1;
    }
  });
  /** The screen as it stands in both languages and both themes: axe on each, nothing cut off, pictures NAME-LANG[-dark].png. */
  async function everyLook(name) {
    for (const lang of ["en", "ja"]) {
      await language(lang);
      for (const theme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
        await settled();
        await axe(`${name} ${lang} ${theme}`);
        await page.screenshot({ path: `${shots}/${name}-${lang}${theme === "dark" ? "-dark" : ""}.png` });
      }
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      await fits(`${name} ${lang}`);
    }
    await language("en");
  }
  const fresh = { base: process.env.INARI_NEW_API, user: process.env.INARI_NEW_USER, password: process.env.INARI_NEW_PASSWORD };
  return { page, browser, test, ours, fresh, call, onHost, open, language, axe, fits, everyLook, shots, base, user, password, NEW_PASSWORD, children: JSON.parse(children) };
}
