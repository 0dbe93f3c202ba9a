// A parent of its own with devices that only talk (fleet.py), for the specs that order what the shared lab must not see.  It is
// started by the first that asks for it and ends with this program.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { request } from "playwright-core";

let started;

async function start(ours) {
  const child = spawn("/usr/bin/python3", ["fleet.py"], { cwd: new URL(".", import.meta.url), stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("fleet.py has ended");
    return JSON.parse(value);
  };
  child.unref();
  const site = await answer();
  ours.push(site.api);
  /** One order to fleet.py, done when this returns. */
  const order = async (...words) => {
    child.stdin.write(`${words.join(" ")}\n`);
    return (await answer()).said;
  };
  const api = await request.newContext({ ignoreHTTPSErrors: true, extraHTTPHeaders: { Authorization: `Bearer ${site.token}` } });
  /** One call of its API, as its administrator. */
  const call = async (method, path, body, headers = {}) => {
    const r = await api.fetch(`${site.api}/api/v1${path}`, {
      method, ...(body === undefined ? {} : { data: JSON.stringify(body) }),
      headers: { "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json", ...(method === "POST" ? { "Idempotency-Key": crypto.randomUUID() } : {}), ...headers },
    });
    const text = await r.text();
    if (!r.ok()) throw new Error(`${method} ${path}: ${r.status()} ${text}`);
    return { data: text === "" ? null : JSON.parse(text), etag: r.headers().etag ?? "" };
  };
  const publish = async (changes, reason, how = {}) => {
    const draft = await call("POST", "/drafts", {});
    await call("PATCH", `/drafts/${draft.data.id}`, changes, { "If-Match": draft.etag });
    return (await call("POST", `/drafts/${draft.data.id}/publish`, { reason, ...how })).data;
  };
  return { ...site, order, call, publish };
}

/** The site, with the page signed in to it as the administrator (or who is said). */
export async function siteOf({ page, ours }) {
  started ??= start(ours);
  const site = await started;
  const field = (name) => page.getByRole("textbox", { name, exact: true });
  const signIn = async (user = site.user, password = site.password) => {
    await field("User name").fill(user);
    await field("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
  };
  return {
    ...site, signIn,
    async open(path) {
      await page.goto(`${site.api}${path}`);
      await page.locator("main h1").or(field("User name")).first().waitFor();
      if (await field("User name").isVisible()) await signIn();
      await page.locator("main h1").waitFor();
    },
    async signOut() {
      await page.getByRole("button", { name: /^Account of/ }).click();
      await page.getByRole("menuitem", { name: "Sign out" }).click();
      await field("User name").waitFor();
    },
  };
}
