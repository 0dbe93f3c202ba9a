"""Every detail of an error that a user of the API may read exists in Japanese (api/messages.json)."""
import glob
import json
import os
import re
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "cmake"))
import err_texts  # noqa: E402

# What only an agent reads, or the log of a program that does not start.
MACHINES = {"agent_join.c", "agent_poll.c", "agent_status.c", "device_status.c", "device_token.c", "device_auth.c", "seal.c",
            "keyring.c", "enrol.c", "tls.c", "selfsigned.c", "static.c", "hosts.c", "migrate.c", "issue.c",
            "event_read.c", "event_ingest.c", "db_copy.c"}


def texts():
    for folder in ("server/domain", "server/handlers", "server/http", "server/store", "lib/json"):
        for path in glob.glob(os.path.join(SOURCE, folder, "*.c")):
            if os.path.basename(path) not in MACHINES:
                for line, _, text in err_texts.of_file(path):
                    yield f"{os.path.relpath(path, SOURCE)}:{line}", text


def table():
    with open(os.path.join(SOURCE, "api", "messages.json"), encoding="utf-8") as f:
        return {m["en"]: m["ja"] for m in json.load(f)["messages"]}


def test_every_detail_is_translated():
    known = table()
    # api.listen and the like are settings of the program: its start says them, not the API
    missing = [f"{where}: {text}" for where, text in texts() if text not in known and not text.startswith("api.")]
    assert missing == []


def test_translations_are_japanese():
    assert [en for en, ja in table().items() if not any(ord(c) > 0x3000 for c in ja)] == []


def test_the_api_answers_in_the_callers_language(api):
    en = api.get("/drafts/nonsense", headers={"Accept-Language": "en"}).json()
    ja = api.get("/drafts/nonsense", headers={"Accept-Language": "ja"}).json()
    assert en["detail"] == 'there is no draft "nonsense"'
    assert ja["detail"] == "下書き「nonsense」は存在しません"
    r = api.post("/groups", json={"kind": "set"}, headers={"Accept-Language": "ja"}).json()
    assert r["errors"][0]["message"] == "「name」は必須です"


def test_conditions_about_events_are_known_as_the_agent_writes_them():
    """server/domain/condition_text.c recognises what agent/loop/ship*.c say."""
    def literals(path):
        with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
            text = re.sub(r'"\s*\n\s*"', "", f.read())
        return [s.encode().decode("unicode_escape") for s in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text) if s.isascii()]
    known = literals("server/domain/condition_text.c")
    said = [s for name in ("ship.c", "ship_streams.c") for s in literals(f"agent/loop/{name}")]
    asked = [s for s in said if re.search(r"events of|of events;", s)]
    assert len(asked) >= 3
    for text in asked:
        assert re.sub(r"%(?:ll)?[a-z]", "*", text.removesuffix("%s%s")) in known, text
