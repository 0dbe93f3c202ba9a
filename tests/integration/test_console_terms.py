"""The console's Japanese uses one word for one thing: the terms that administrators of such gateways know."""
import json
import pathlib
import re

import pytest

from parentlib import SOURCE

SRC = pathlib.Path(SOURCE, "webui", "src")
# number in the list of terms, English, Japanese, texts that say the same otherwise
TERMS = [
    (1, "parent device", "上位デバイス", ()), (1, "the parent", "上位デバイス", ("rollouts:reason_fleet-silent",)),
    (2, "child device", "下位デバイス", ()), (3, "group", "グループ", ("groups:make", "groups:take_out_title", "rollouts:fault_waves")),
    (7, "setup wizard", "設定ウィザード", ()), (15, "overview", "概要", ()), (94, "queue", "キュー", ("devices:queue_all_help", "devices:queue_whole", "devices:queue_as_of_one", "devices:queue_as_of_other")),
    (102, "message tracking", "メッセージ追跡", ()), (104, "event", "イベント", ("parent:subject_help_keep",)), (105, "notice", "通知", ()), (106, "SNMP trap", "SNMPトラップ", ()),
    (107, "import", "インポート", ()), (107, "export", "エクスポート", ("io:not_json",)), (109, "backup", "バックアップ", ()),
    (116, "account", "アカウント", ()), (117, "permission", "権限", ()), (118, "sign in", "ログオン", ()), (118, "sign out", "ログオフ", ()),
    (124, "command", "コマンド", ()), (128, "agent", "エージェント", ("devices:approve_help",)),
    (132, "save", "保存", ()), (132, "delete", "削除", ()), (137, "desired", "指定", ()), (138, "drift", "差異", ()), (139, "dry run", "事前確認", ()), (140, "join token", "参加トークン", ()),
    (135, "warning", "警告", ()),
]


def texts():
    """area:key -> (English, Japanese)."""
    out = {}
    for path in SRC.rglob("*.en.json"):
        en, ja = (json.loads(p.read_text(encoding="utf-8")) for p in (path, path.with_name(path.name.replace(".en.", ".ja."))))
        area = "common" if path.name == "common.en.json" else path.parent.name
        out.update({f"{area}:{k}": (v, ja.get(k) or ja[re.sub(r"_one$", "_other", k)]) for k, v in en.items()})
    return out


@pytest.mark.parametrize("term", TERMS, ids=lambda t: t[1])
def test_a_term_is_one_word(term):
    _, english, japanese, otherwise = term
    using = {k: ja for k, (en, ja) in texts().items() if re.search(rf"\b{english}s?\b", en, re.I)}
    assert using, "nobody says it: take it out of the list"
    assert {k: ja for k, ja in using.items() if japanese not in ja and k not in otherwise} == {}
    assert [k for k in otherwise if japanese in using.get(k, japanese)] == [], "no exception any more"
