"""The parent's API as the lab uses it: what an administrator would do with curl, in order."""
import json
import os
import ssl
import urllib.error
import urllib.request
import uuid

from .util import LabError, say, wait_until, write_file


class Unavailable(LabError):
    """The parent is not there, or not ready: the same call may succeed in a moment."""


class Api:
    def __init__(self, base, ca, token=None):
        self.base, self.token = base.rstrip("/"), token
        self.context = ssl.create_default_context(cafile=ca)
        self.cookie = None

    def call(self, method, path, body=None, headers=None, ok=(200, 201, 202, 204)):
        """(status, value, headers).  A problem document becomes a LabError with its words and remedies."""
        head = {"Accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            head.setdefault("Content-Type", "application/merge-patch+json" if method == "PATCH" else "application/json")
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        if self.cookie:
            head.update({"Cookie": self.cookie, "X-Inari-Request": "1"})
        if method == "POST":
            head.setdefault("Idempotency-Key", str(uuid.uuid4()))
        path = path if path.startswith(("/healthz", "/readyz", "/metrics")) else "/api/v1" + path
        request = urllib.request.Request(self.base + path, data=data, headers=head, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.context) as r:
                status, raw, got = r.status, r.read(), r.headers
        except urllib.error.HTTPError as e:
            status, raw, got = e.code, e.read(), e.headers
        except OSError as e:
            raise Unavailable(f"{method} {path}: {e}") from None
        value = json.loads(raw) if raw and "json" in got.get("Content-Type", "") else raw.decode("utf-8", "replace")
        if status not in ok:
            raise (Unavailable if status == 503 else LabError)(f"{method} {path}: {status} {self.words(value)}")
        return status, value, got

    @staticmethod
    def words(problem):
        if not isinstance(problem, dict):
            return str(problem)[:300]
        lines = [str(problem.get("detail") or problem.get("title"))]
        lines += [f"{x.get('pointer')}: {x.get('message')} {x.get('remedy') or ''}" for x in problem.get("errors", [])]
        return "; ".join(lines)

    def get(self, path):
        return self.call("GET", path)[1]

    def post(self, path, body=None):
        return self.call("POST", path, {} if body is None else body)[1]

    def change(self, path, body):
        """PATCH what is there now: read its ETag, send If-Match."""
        etag = self.call("GET", path)[2].get("ETag")
        return self.call("PATCH", path, body, {"If-Match": etag})[1]

    def login(self, user, password):
        _, session, head = self.call("POST", "/session", {"user": user, "password": password})
        self.cookie = head["Set-Cookie"].split(";")[0]
        return session

    # -- the few sequences the lab needs ---------------------------------------------------------------------------
    def publish(self, changes, reason):
        """A draft with changes, published; None when they change nothing."""
        draft = self.post("/drafts", {"title": reason})
        path = f"/drafts/{draft['id']}"
        self.change(path, changes)
        if not self.get(f"{path}/diff")["items"]:
            etag = self.call("GET", path)[2].get("ETag")
            self.call("DELETE", path, headers={"If-Match": etag})
            return None
        return self.post(f"{path}/publish", {"reason": reason})

    def device(self, name):
        return self.get(f"/devices/{name}")


def admin_words(output):
    """(user, password) from what `inarid reset-admin` prints."""
    words = output.split()
    return "admin", words[-1]


def ready(lab, name="parent"):
    try:
        return Api(lab.api_of(name), lab.ca).call("GET", "/readyz")[0] == 200
    except (OSError, LabError):
        return False


def admin(lab):
    """An API session with the lab's own token; made from the admin's password the first time."""
    env = os.path.join(lab.dir, "env")
    if lab.state.get("token"):
        api = Api(lab.api, lab.ca, lab.state["token"])
        try:
            api.get("/devices?limit=1")
            return api
        except LabError as e:
            say(f"the lab's token is not accepted any more ({e}): making a new one")
    api = Api(lab.api, lab.ca)
    session = api.login(**lab.state["admin"])
    made = api.post("/api-tokens", {"name": f"lab-{uuid.uuid4().hex[:6]}", "scopes": session["permissions"],
                                    "expires_at": None})
    lab.state["token"] = made["token"]
    lab.save()
    programs = f"{lab.dir}/system/usr/bin"
    write_file(env, f"export INARI_API={lab.api}\nexport INARI_CA={lab.ca}\nexport INARI_TOKEN={made['token']}\n"
                    f"case :$PATH: in *:{programs}:*) ;; *) PATH={programs}:$PATH ;; esac\n", 0o600)
    return Api(lab.api, lab.ca, made["token"])


def fleet_settings(lab):
    """What every lab begins with: mail for the domain comes in from everywhere and goes to inside, unfiltered."""
    return {"fleet": {"path.mode": "direct", "smtp.relay_domains": {lab.domain: {}},
                      "smtp.routes": {lab.domain: {"next_hop": f"[{lab.inside_address}]:25"}}}}


def describe(device):
    words = [f"state {device.get('state')}", f"mode {device.get('mode')}", f"sync {device.get('sync')}"]
    words += [f"{c['type']}={c['status']} {c.get('reason') or ''} {c.get('message') or ''}".strip()
              for c in device.get("conditions") or [] if (c["type"] in ("Drifted", "Held", "Frozen", "Quarantined"))
              == (c["status"] == "True") and c["status"] != "Unknown"]
    last = device.get("last_attempt")
    if last and last.get("problem"):
        words.append(f"last attempt {last.get('result')}: {Api.words(last['problem'])}")
    return ", ".join(words)


def wait_in_sync(api, names, timeout=120):
    """Until every child runs what is published.  A parent that starts or has lost its database for a moment answers 503
    or not at all: that is "not yet"."""
    seen = {}

    def all_there():
        for n in names:
            try:
                seen[n] = api.device(n)
            except Unavailable as e:
                seen[n] = {"state": str(e)}
        return all(d.get("sync") == "in-sync" and d.get("mode") == "manage" for d in seen.values())
    try:
        wait_until(all_there, "the children to be in sync", timeout, 0.2)
    except LabError as e:
        raise LabError(f"{e}:\n" + "\n".join(f"  {n}: {describe(d)}" for n, d in seen.items())) from None
