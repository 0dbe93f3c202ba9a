"""Publish to running in the lab: from asking for the publication until each child's Postfix says the new value to a client
(EHLO SIZE), with real agents, helpers and Postfix, the children side by side on this machine; and how long the children say
that their applies took, live probes included. INARI_LAB_CHILDREN sets another number than 3 (the bar of an apply is that of one
child by itself), INARI_LAB_ROUNDS another than 20. Needs root (network namespaces).
"""
import os
import shutil
import time

import parentlib
from labrig import Rig

CHILDREN = int(os.environ.get("INARI_LAB_CHILDREN", "3"))
ROUNDS = int(os.environ.get("INARI_LAB_ROUNDS", "20"))
# One child, then the rest; nobody is watched in between, since that would be all that is measured.
WAVES = {"strategy": "waves", "waves": ["1"], "max_unavailable": "100%", "canary_bake_s": 0, "bake_s": 0}


def rank(values, percent):
    v = sorted(values)
    return v[max(0, -(-len(v) * percent // 100) - 1)]


def rounds(rig, name, size, rollout=None):
    seconds, applies = [], []
    for i in range(ROUNDS):
        api = rig.api
        draft = api.ok("POST", "/drafts", {"title": "bench"})
        api.change(f"/drafts/{draft['id']}", {"fleet": {"smtp.message_size_limit": size + i}})
        began = time.time_ns()
        api.ok("POST", f"/drafts/{draft['id']}/publish", {"reason": "bench", **({"rollout": rollout} if rollout else {})})
        seconds += rig.wait_ehlo(f"SIZE {size + i}", since=began, timeout=60).values()
        rig.wait_in_sync()
        applies += [d["last_attempt"]["duration_ms"] for d in api.ok("GET", "/devices")["items"]
                    if (d["last_attempt"] or {}).get("result") == "committed"]
    for percent in (50, 99):
        yield {"name": f"lab.{name}.p{percent}", "value": round(rank(seconds, percent), 2),
               "unit": f"s publish to running ({CHILDREN} children with Postfix, {ROUNDS} publications)"}
    yield {"name": f"lab.{name.replace('latency', 'apply')}.p50", "value": rank(applies, 50),
           "unit": f"ms an apply with its live probes ({min(applies)} to {max(applies)}, {len(applies)} applies)",
           **({"bar": 500} if CHILDREN == 1 else {})}


def run():
    work = parentlib.new_folder("bench-lab")
    rig = Rig(os.path.join(work, "lab"))
    try:
        rig.up(CHILDREN)
        rig.wait_in_sync()
        yield from rounds(rig, "latency.at_once", 20000001)
        yield from rounds(rig, "latency.waves", 21000001, WAVES)
    finally:
        rig.verb("down", check=False)
        shutil.rmtree(work, ignore_errors=True)
