"""Time series through the API: steps, gaps that are not zero, the fleet's sum, bounds; and what inarictl makes of them."""
import datetime
import uuid

import pytest
from ctllib import Ctl

UTC = datetime.timezone.utc
COLUMNS = "device_id, step_s, at, accepted, bytes, delivered, deferred, refused, events, rejected, deferred_why, latency, gauge_at, queue, queue_max, oldest_s, oldest_max_s"


def text(at):
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(parent, device, at, step=60, accepted=0, refused=0, deferred=0, gauge=None, events=1):
    """One row as the ingest would have made it."""
    g = "NULL, NULL, NULL, NULL, NULL" if gauge is None else \
        f"'{text(at)}', '{{0,0,{gauge[0]},0,0}}', '{{0,0,{gauge[0] + 5},0,0}}', {gauge[1]}, {gauge[1]}"
    parent.postgres.psql(
        f"INSERT INTO figure ({COLUMNS}) VALUES ('{device}', {step}, '{text(at)}', {accepted}, {accepted * 1000}, {accepted}, {deferred}, "
        f"{refused}, {events}, '{{0,{refused}}}', '{{0,{deferred}}}', '{{0,{accepted}}}', {g})")


@pytest.fixture(scope="module")
def series(parent):
    """Two devices, ten minutes long ago enough for every clock; the second was silent in one of them."""
    begin = datetime.datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=30)
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    for i in range(10):
        at = begin + datetime.timedelta(minutes=i)
        put(parent, one, at, accepted=10 + i, refused=i, gauge=(3, 100 + i))
        if i != 4:
            put(parent, two, at, accepted=100, deferred=2, gauge=(7, 50) if i != 5 else None)
    put(parent, one, begin, step=3600, accepted=145, refused=45)
    return begin, one, two


def get(session, parent, **query):
    return session.get(parent.base + "/api/v1/figures", params=query)


def span(begin, minutes=10):
    return {"since": text(begin), "until": text(begin + datetime.timedelta(minutes=minutes)), "step": 60}


def test_gaps_are_no_zeros(parent, api, series):
    begin, one, two = series
    doc = get(api, parent, device=two, **span(begin)).json()
    assert [p["at"] for p in doc["points"]] == [text(begin + datetime.timedelta(minutes=i)).replace("Z", ".000Z") for i in range(10)]
    assert [p["values"] is None for p in doc["points"]] == [i == 4 for i in range(10)]
    there = doc["points"][5]["values"]  # it spoke, but said nothing of its queue
    assert there["accepted"] == 100 and there["queue"] is None and there["oldest_s"] is None
    assert doc["points"][0]["values"]["queue"] == {"incoming": 0, "active": 0, "deferred": 7, "hold": 0, "corrupt": 0}
    assert doc["points"][0]["values"]["deferred_why"] == {"timeout": 2}
    assert doc["points"][0]["values"]["latency"] == [0, 100, 0, 0, 0, 0, 0, 0, 0]
    assert doc["points"][3]["values"]["bounced"] == 0


def test_fleet_is_the_sum_and_the_oldest(parent, api, series):
    begin, one, two = series
    doc = get(api, parent, **span(begin)).json()
    assert doc["device"] is None
    v = doc["points"][2]["values"]
    assert (v["devices"], v["accepted"], v["refused"], v["rejected"]) == (2, 112, 2, {"relay": 2})
    assert v["queue"]["deferred"] == 10 and v["queue_max"]["deferred"] == 20
    assert v["oldest_s"] == 102 and v["oldest_max_s"] == 102
    silent = doc["points"][4]["values"]
    assert silent["devices"] == 1 and silent["accepted"] == 14


def test_step_suits_the_time(parent, api, series):
    begin, one, _ = series
    hours = get(api, parent, device=one, since=text(begin), until=text(begin + datetime.timedelta(hours=12))).json()
    assert hours["step_s"] == 3600 and len(hours["points"]) == 12
    assert hours["points"][0]["values"]["accepted"] == 145 and hours["points"][1]["values"] is None
    assert get(api, parent, device=one, since=text(begin), until=text(begin + datetime.timedelta(days=60))).json()["step_s"] == 86400
    usual = get(api, parent).json()
    assert usual["step_s"] == 60 and len(usual["points"]) in (60, 61)


@pytest.mark.parametrize("query, pointer, remedy", [
    ({"step": "61"}, "/query/step", "60, 3600 or 86400"),
    ({"step": "0"}, "/query/step", "60, 3600 or 86400"),
    ({"since": "yesterday"}, "/query/since", "2026-11-21T23:21:17Z"),
    ({"until": "x"}, "/query/until", "2026-11-21T23:21:17Z"),
    ({"since": "2099-01-01T00:00:00Z"}, "/query/since", "before until"),
    ({"since": "2020-01-01T00:00:00Z", "step": 60}, "/query/step", "larger step"),
    ({"device": "no-such-device"}, "/query/device", "no device"),
])
def test_what_cannot_be_asked(parent, api, query, pointer, remedy):
    answer = get(api, parent, **query)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["errors"][0]["pointer"] == pointer
    assert remedy in problem["detail"], problem


def test_a_device_that_is_gone_keeps_its_history(parent, api, series):
    begin, one, _ = series
    assert get(api, parent, device=one, **span(begin)).json()["device"] == one
    nobody = get(api, parent, device=str(uuid.uuid4()), **span(begin)).json()
    assert all(p["values"] is None for p in nobody["points"])


def test_inarictl_shows_them(parent, api, series, programs, tmp_path):
    begin, one, two = series
    ctl = Ctl.of(programs, parent, api, tmp_path)
    args = ["figures", "--device", two, "--step", "minute", "--since", text(begin), "--until", text(begin + datetime.timedelta(minutes=10))]
    out = ctl.ok(*args, "--lang", "en")
    lines = out.splitlines()
    assert "ACCEPTED" in lines[0] and "OLDEST" in lines[0]
    assert lines[1].split()[2:7] == ["100", "100", "2", "0", "0"]
    assert set(lines[5].split()[2:]) == {"-"}
    assert "|████ █████| 0..100" in out
    assert "受付" in ctl.ok(*args, "--lang", "ja")
    assert ctl.json(*args)["points"][4]["values"] is None


def test_metrics_have_the_fleets_counters(parent):
    text_ = parent.session().get(parent.base + "/metrics").text
    for name in ('inari_mail_total{what="accepted"}', 'inari_mail_rejected_total{reason="relay"}', "inari_events_total", "inari_events_dropped_total"):
        assert any(line.startswith(name + " ") for line in text_.splitlines()), name
