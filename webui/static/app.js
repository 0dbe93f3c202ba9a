// The first page: sign in, change a generated password, see every child device.  Text only ever enters the page as
// textContent: what a device or the parent says is never markup.
import { currentLang, firstLang, setLang, t, time } from "./i18n.js";

const REFRESH_MS = 3000;
const MAX_PAGES = 40; // of 500 devices each
const $ = (id) => document.getElementById(id);
let timer = 0;
let shown = []; // devices of the last good answer
let updatedAt = null;

class ApiError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || t("unreachable"));
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

async function api(method, path, body) {
  const headers = { "Accept-Language": currentLang(), Accept: "application/json" };
  if (method !== "GET") headers["X-Inari-Request"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin", cache: "no-store",
  });
  const type = answer.headers.get("Content-Type") ?? "";
  const data = type.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new ApiError(answer.status, data, answer.headers.get("Retry-After"));
  return data;
}

/** What went wrong, what to do, and the request id where it helps. */
function errorText(e) {
  if (!(e instanceof ApiError)) return t("unreachable");
  const lines = [e.problem.title || t("unreachable")];
  if (e.problem.detail && e.problem.detail !== e.problem.title) lines.push(e.problem.detail);
  for (const f of e.problem.errors ?? []) lines.push(f.message);
  if (e.status === 429 && e.retryAfter) lines.push(t("slow_down", { s: e.retryAfter }));
  else if (e.problem.remedy) lines.push(e.problem.remedy);
  if (e.status >= 500 && e.problem.request_id) lines.push(t("request", { id: e.problem.request_id }));
  return lines.join("\n");
}

function showError(id, text) {
  $(id).textContent = text;
  $(id).hidden = text === "";
}

function view(name) {
  for (const v of ["login", "password", "devices"]) $(`view-${v}`).hidden = v !== name;
  $("account").hidden = name === "login";
  clearTimeout(timer);
  if (name === "login") ($("login-user").value ? $("login-password") : $("login-user")).focus();
  if (name === "password") $("password-old").focus();
  if (name === "devices") {
    $("main").focus();
    refresh();
  }
}

function signedIn(session) {
  $("user").textContent = `${session.user} (${session.role})`;
  $("password-user").value = session.user;
  view(session.must_change_password ? "password" : "devices");
}

function signedOut(text) {
  shown = [];
  updatedAt = null;
  $("devices-body").replaceChildren();
  $("login-password").value = "";
  showError("login-error", text);
  view("login");
}

/** Run fn with the form's button off, so that nothing is sent twice; what goes wrong is said in the form. */
async function submit(form, errorId, fn) {
  const button = form.querySelector("button");
  showError(errorId, "");
  button.disabled = true;
  try {
    await fn();
  } catch (e) {
    showError(errorId, errorText(e));
  } finally {
    button.disabled = false;
  }
}

function onLogin(event) {
  event.preventDefault();
  submit($("login-form"), "login-error", async () => {
    const session = await api("POST", "/session", { user: $("login-user").value, password: $("login-password").value });
    if (session.must_change_password) $("password-old").value = $("login-password").value;
    $("login-password").value = "";
    signedIn(session);
    if (session.must_change_password) $("password-new").focus();
  });
}

function onPassword(event) {
  event.preventDefault();
  if ($("password-new").value !== $("password-again").value) {
    showError("password-error", t("passwords_differ"));
    $("password-again").focus();
    return;
  }
  submit($("password-form"), "password-error", async () => {
    await api("PUT", "/session/password", { old: $("password-old").value, new: $("password-new").value });
    $("password-form").reset();
    signedIn(await api("GET", "/session"));
  });
}

async function onSignOut() {
  try {
    await api("DELETE", "/session");
    signedOut("");
  } catch (e) {
    if (e.status === 401) signedOut("");
    else showError("devices-error", errorText(e)); // still signed in: say so
  }
}

async function allDevices() {
  const items = [];
  let cursor = "";
  for (let page = 0; page < MAX_PAGES; page++) {
    const got = await api("GET", `/devices?limit=500${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...got.items);
    if (!got.next) break;
    cursor = got.next;
  }
  return items;
}

async function refresh() {
  clearTimeout(timer);
  try {
    shown = await allDevices();
    updatedAt = new Date().toISOString();
    showError("devices-error", "");
    render();
  } catch (e) {
    if (e.status === 401) return signedOut(t("session_over"));
    if (e.problem?.type?.endsWith(":password-change-required")) return view("password");
    showError("devices-error", errorText(e)); // what was shown stays, with its age
    renderAge(true);
  }
  if (!$("view-devices").hidden && !document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

/** A daemon that is down runs nothing, whatever it ran when it was last asked. */
function runningDigest(d) {
  const postfix = d.running?.postfix;
  if (!postfix) return d.running?.digest ?? "";
  return (postfix.state ?? "running") === "running" ? (postfix.digest ?? "") : "";
}

/** "in sync" is said only when desired, on disk and running agree. */
function syncOf(d) {
  const want = d.desired?.digest ?? "";
  if (d.mode !== "manage") return "observed_only";
  if (!want) return "unknown";
  if (want === d.on_disk?.digest && want === runningDigest(d)) return "in_sync";
  const a = d.last_attempt;
  if (a?.digest === want && ["rejected", "reverted", "degraded"].includes(a.result)) return "failed";
  return "changing";
}

const LOOK = {
  in_sync: ["good", "✓"], changing: ["warn", "…"], failed: ["bad", "✗"], observed_only: ["", "○"], unknown: ["warn", "?"],
  online: ["good", "●"], late: ["warn", "◐"], lost: ["bad", "○"], never: ["", "○"],
};

function element(name, text, className) {
  const el = document.createElement(name);
  if (text !== undefined) el.textContent = text;
  if (className) el.className = className;
  return el;
}

function cell(label, ...children) {
  const td = document.createElement("td");
  td.dataset.label = t(label);
  td.append(...children);
  return td;
}

function marked(key, text) {
  const [color, mark] = LOOK[key] ?? ["", ""];
  const el = element("span", text, `mark ${color}`.trim());
  if (mark) el.dataset.mark = mark;
  else el.className = color;
  return el;
}

function truth(part, digest) {
  if (!digest) return [element("span", t("nothing"), "quiet")];
  const code = element("code", digest.slice(0, 12));
  code.title = digest;
  const out = [code];
  if (part?.pub) out.unshift(element("span", `${t("revision", { pub: part.pub })} `));
  return out;
}

function attempt(a) {
  if (!a) return [element("span", t("nothing"), "quiet")];
  const color = a.result === "committed" ? "good" : ["rejected", "reverted", "degraded"].includes(a.result) ? "bad" : "";
  const at = a.ended ?? a.started;
  const out = [element("p", at ? `${t(`result_${a.result}`)} ${time(at)}` : t(`result_${a.result}`), color)];
  if (a.problem) {
    out.push(element("p", a.problem.detail || a.problem.title || ""));
    const list = element("ul");
    for (const f of a.problem.errors ?? []) list.append(element("li", `${f.pointer ?? ""} ${f.message ?? ""}`.trim()));
    if (list.childElementCount) out.push(list);
  }
  return out;
}

function row(d) {
  const tr = document.createElement("tr");
  const name = element("th", d.name);
  const running = runningDigest(d);
  const known = [d.on_disk, d.desired].find((p) => p?.digest === running);
  name.scope = "row";
  name.title = d.id;
  const presence = marked(d.presence, t(`presence_${d.presence}`));
  if (d.last_seen) presence.title = t("seen", { time: time(d.last_seen) });
  tr.append(
    name,
    cell("sync", marked(syncOf(d), t(syncOf(d)))),
    cell("mode", t(`mode_${d.mode}`)),
    cell("state", t(`state_${d.state}`)),
    cell("presence", presence),
    cell("desired", ...truth(d.desired, d.desired?.digest)),
    cell("on_disk", ...truth(d.on_disk, d.on_disk?.digest)),
    cell("running", ...truth(known, running)),
    cell("last_attempt", ...attempt(d.last_attempt)),
  );
  return tr;
}

function renderAge(stale) {
  $("age").textContent = updatedAt ? t(stale ? "stale" : "updated", { time: time(updatedAt) }) : "";
}

function render() {
  $("devices-body").replaceChildren(...shown.map(row));
  $("devices-table").hidden = shown.length === 0;
  $("devices-empty").hidden = shown.length > 0 || updatedAt === null;
  $("summary").textContent = t("summary", {
    n: shown.length,
    ok: shown.filter((d) => syncOf(d) === "in_sync").length,
    bad: shown.filter((d) => syncOf(d) === "failed").length,
    away: shown.filter((d) => d.presence !== "online").length,
  });
  renderAge(false);
}

function chooseLang(code) {
  setLang(code);
  $("zone").textContent = t("zone", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  if (updatedAt) render();
}

async function start() {
  chooseLang(firstLang());
  $("parent-name").textContent = location.hostname;
  $("lang-en").addEventListener("click", () => chooseLang("en"));
  $("lang-ja").addEventListener("click", () => chooseLang("ja"));
  $("login-form").addEventListener("submit", onLogin);
  $("password-form").addEventListener("submit", onPassword);
  $("sign-out").addEventListener("click", onSignOut);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !$("view-devices").hidden) refresh();
  });
  try {
    signedIn(await api("GET", "/session"));
  } catch (e) {
    signedOut(e.status === 401 ? "" : errorText(e));
  }
}

start();
