// Mail of every fate through the lab's first child, its fields full of markup: delivered, deferred (its next hop is closed) and
// refused, and one more that is deferred, for the spec that deletes.  Made once a run, whichever spec asks first.
import { readFileSync } from "node:fs";

const MARKUP = "<img src=x onerror=\"document.title='owned'\">";
const LATER = "later.test";
let made = null;

export async function until(what, look, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; ;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}`);
    await new Promise((go) => setTimeout(go, 500));
  }
}

/** A domain whose next hop nobody answers at, and subjects in the log. */
async function settings({ call, inside }) {
  const { data } = await call("GET", "/settings?layer=fleet");
  const now = data.settings ?? data;
  if (now["smtp.log_subject"] === true && now["smtp.relay_domains"]?.[LATER]) return;
  const { data: draft, etag } = await call("POST", "/drafts", { title: "a next hop that is closed" });
  await call("PATCH", `/drafts/${draft.id}`, { fleet: {
    "smtp.log_subject": true, "smtp.relay_domains": { ...now["smtp.relay_domains"], [LATER]: {} },
    "smtp.routes": { ...now["smtp.routes"], [LATER]: { next_hop: `[${inside}]:2599` } },
  } }, { "If-Match": etag });
  await call("POST", `/drafts/${draft.id}/publish`, { reason: "a next hop that is closed" });
}

async function send(kit) {
  const { call, onHost, children } = kit, [child] = children, lab = JSON.parse(readFileSync(`${process.env.INARI_LAB}/lab.json`, "utf8")), mark = `m${Date.now().toString(36)}`;
  await settings({ call, inside: lab.inside.address });
  await until("the domain to be taken", async () => (await call("GET", "/devices")).data.items.filter((d) => d.mode === "manage" && d.name !== "mx-odd").every((d) => d.sync === "in-sync"), 90);
  const swaks = (to, ...more) => {
    try {
      onHost("outside", "swaks", "--server", child.address, "--from", `"${MARKUP.replaceAll('"', "")}"@${mark}.test`, "--to", to, "--helo", "outside.lab.test", "--timeout", "20", "--hide-all",
        "--header", `Subject: ${MARKUP} ${mark}`, ...more);
    } catch { /* refused: that is what it is for */ }
  };
  swaks(`user1@${lab.domain}`);
  swaks(`"${MARKUP.replaceAll('"', "")}"@${LATER}`);
  swaks("stranger@elsewhere.test");
  swaks(`spare-${mark}@${LATER}`, "--from", `spare@${mark}x.test`);
  const at = (status) => until(`a ${status} message`, async () => (await call("GET", `/messages?sender=@${mark}.test&status=${status}`)).data.items[0]);
  await until("the one to delete", async () => (await call("GET", `/messages?sender=@${mark}x.test&status=deferred`)).data.items[0]);
  return { mark, markup: MARKUP, spare: `spare-${mark}@${LATER}`, delivered: await at("delivered"), deferred: await at("deferred"), rejected: await at("rejected") };
}

export function mail(kit) {
  made ??= send(kit);
  return made;
}
