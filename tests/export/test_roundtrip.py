"""Export, load, export again: equal; and what was tampered with is told, never believed."""

from __future__ import annotations

import io
import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.export.keys import KEYS
from nettop.export.load import load_snapshot
from nettop.export.pack import COPIES
from nettop.export.snapshot import default_path, write_snapshot
from nettop.feed import Grouping, Sort
from nettop.filefeed import FileFeed
from nettop.model.path import Hook, HookTick, PathCounts
from nettop.model.tcpinfo import TCP_INFO
from nettop.model.types import (
    AF_INET,
    AF_INET6,
    NO_HISTOGRAM,
    Because,
    Detail,
    Dist,
    Flag,
    Histogram,
    Model,
    NicStage,
    Owner,
    Plane,
    PlaneHas,
    Proc,
    Proto,
    Row,
    Split,
    UdpMoved,
    Verdict,
)
from nettop.query import compile_filter
from nettop.text.fields import FIELDS, Field, Kind, resolved
from nettop.text.words import WHO_NUMBERS
from nettop.tui.panes.path import path_lines
from tests.export import make
from tests.export.make import HOSTILE, Rows, full_evidence, make_detail, make_model, make_row
from tests.export.schema import check

BY_NAME = {item.name: item for item in TCP_INFO}
U8, U16, U32 = st.integers(0, 255), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
RATE = st.floats(0, 2.0**40, width=32, allow_subnormal=False)
WHOS = st.sampled_from(list(WHO_NUMBERS.values()))
CAUSE = st.sampled_from(list(Because))
SHARE = st.integers(0, 100)
SKMEM = ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem",
         "backlog", "drops")  # fmt: skip
ATTRS = {"tos": U8, "mark": U32, "sockopt": U16, "ulp": st.just("tls")}
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def sockets(draw: st.DrawFn, cookie: int) -> tuple[Row, Detail | None]:
    family = draw(st.sampled_from([AF_INET, AF_INET6]))
    size = 4 if family == AF_INET else 16
    proto = draw(st.sampled_from([Proto.TCP, Proto.TCP, Proto.UDP, Proto.MPTCP]))
    flags = int(Flag.MATCH)
    for flag in (Flag.RATES, Flag.FLOW_RX, Flag.LIMITED, Flag.OLDEST_UNREAD, Flag.SKMEM, Flag.NEW):
        flags |= int(flag) * draw(st.booleans())
    if flags & Flag.RATES and draw(st.booleans()):
        flags |= int(Flag.RETR_PCT)
    state = draw(st.integers(1, 13))
    detail = None
    gauges: dict[str, int] = {}
    if proto != Proto.UDP and draw(st.booleans()):
        flags |= int(Flag.INFO | Flag.MOVED) * (proto == Proto.TCP)
        length = draw(st.sampled_from([104, 192, 232, 248, 280]))
        raw = draw(st.binary(min_size=length, max_size=length))
        detail = make_detail(
            raw, cookie,
            skmem=dict(zip(SKMEM, draw(st.lists(U32, min_size=9, max_size=9)), strict=True)),
            meminfo=dict(zip(("rmem", "wmem", "fmem", "tmem"), [1, 2, 3, 4], strict=True)),
            attrs=draw(st.fixed_dictionaries({}, optional=ATTRS)),
        )  # fmt: skip
        if proto == Proto.TCP:  # of MPTCP the engine takes no tcp_info
            gauges = {m: detail.tcp_info[n] for m, n in COPIES.items() if n in detail.tcp_info}
    if proto == Proto.UDP and flags & Flag.RATES:
        flags |= int(Flag.MOVED) * draw(st.booleans())
    verdicts = draw(st.integers(0, 2 ** len(Verdict) - 1))
    active = [v for v in Verdict if verdicts >> v & 1]
    first = draw(st.sampled_from(active)) if active else 0
    second = draw(st.sampled_from(active)) if active else 0
    who, because = draw(WHOS), draw(CAUSE)
    pid = draw(st.sampled_from([0, 12, 13]))
    owner = draw(st.sampled_from(list(Owner))) if not pid else Owner.PROC
    if owner == Owner.PROC and not pid:
        owner = Owner.UNKNOWN
    row = make_row(
        cookie, family=family, proto=proto, state=state, flags=flags,
        src=draw(st.binary(min_size=size, max_size=size)).ljust(16, b"\0"),
        dst=draw(st.binary(min_size=size, max_size=size)).ljust(16, b"\0"),
        sport=draw(U16), dport=draw(U16), inode=draw(st.sampled_from([0, cookie])),
        timer=draw(U8), timer_retrans=draw(U8), rqueue=draw(U32), wqueue=draw(U32),
        drops=draw(U32), oldest_unread_ms=draw(U32), level=draw(st.integers(0, 2)),
        strength=draw(U8), verdicts=verdicts, verdict=first, verdict2=second,
        verdict_value=draw(RATE), verdict2_value=draw(RATE),
        who=who, who2=who if second == first else draw(WHOS), because=because,
        because2=because if second == first else draw(CAUSE),
        tx_bytes_per_s=draw(RATE), rx_bytes_per_s=draw(RATE), flow_bytes_per_s=draw(RATE),
        retrans_per_s=draw(RATE), retr_pct=draw(RATE), drops_per_s=draw(RATE),
        lim_rwnd_pct=draw(SHARE), lim_sndbuf_pct=draw(SHARE), lim_cwnd_pct=draw(SHARE),
        lim_in_flight_pct=draw(SHARE), lim_idle_pct=draw(SHARE),
        proc=Proc(pid, 7 if pid else 0, owner, 0, "nginx" if pid else ""),
        cong="cubic" if detail else None, cgroup="/a/b", cgroup_id=5, container="b",
        netns_name="blue", **gauges,
    )  # fmt: skip
    return row, detail


def export(feed: Any, model: Any) -> bytes:
    out = io.BytesIO()
    make.write_json(out.write, model, feed.rows_all(with_detail=True), feed.owners)
    return out.getvalue()


def opened(path: Path, content: bytes) -> FileFeed:
    path.write_bytes(content)
    return FileFeed(load_snapshot(str(path)))


def by_cookie(content: bytes) -> dict[int, Any]:
    snapshot = json.loads(content)
    check(snapshot)
    return {s["cookie"]: s for s in snapshot["sockets"]}


@SETTINGS
@given(data=st.data())
def test_export_load_export_is_equal(tmp_path: Path, data: st.DataObject) -> None:
    rows = [data.draw(sockets(cookie)) for cookie in range(1, 4)]
    model = make_model(len(rows))
    first = export(Rows(rows, []), model)
    feed = opened(tmp_path / "a.json", first)
    second = export(feed, feed.latest())
    head, again = json.loads(first), json.loads(second)
    assert by_cookie(first) == by_cookie(second)
    del head["sockets"], again["sockets"]
    assert head == again
    third = opened(tmp_path / "b.json", second)
    assert export(third, third.latest()) == second


# Formulas of the kinds that a derived column may have: of records, tcp_info, planes, each protocol.
FORMULAS = ("cwnd - unacked", "sndq - notsent_bytes", "sndq + rcvq", "lost / segs_out",
            "unread + last_data_recv", "rxwait.p99 + srtt", "pid + drops", "tx - rx",
            "bytes_acked / bytes_sent", "minrtt / rttvar",
            "limited.rwnd + limited.cwnd")  # fmt: skip


@settings(SETTINGS, max_examples=60)
@given(data=st.data())
def test_a_derived_column_is_the_same_of_a_file(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever it is made of: what JSON does not say of a socket no formula may have used."""
    derived = [
        resolved(Field(f"x{i}", Kind.COUNT, "made up", formula=text), FIELDS)
        for i, text in enumerate(FORMULAS)
    ]
    rows = [data.draw(sockets(cookie)) for cookie in range(1, 4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nettop.export.jsonout.DERIVED", derived)
        first = export(Rows(rows, []), make_model(3))
        feed = opened(tmp_path / "a.json", first)
        second = export(feed, feed.latest())
    once, again = (
        {s["cookie"]: s.get("derived") for s in json.loads(text)["sockets"]}
        for text in (first, second)
    )
    assert once == again


def full_model() -> Model:
    """All that a head can have, with other numbers in each place."""
    wait = Histogram(Dist(9, 90, 8, 12, 14, 15), ((8, 16, 9),))
    hooks = {
        hook: HookTick(
            Histogram(Dist(n, 90, 8, 12, 14, 15), ((8, 16, n),)) if n % 2 else NO_HISTOGRAM,
            NO_HISTOGRAM,
            PathCounts(*(10 * n + i for i in range(4))),
        )
        for n, hook in enumerate(Hook, 1)
    }
    return make_model(
        3, path=hooks, rx_wait=wait, chosen=True, nic=NicStage(3, 0, 4, 5, 6), intervals=7,
        thresholds="unread_ms=100,900",
        tx=tuple(Dist(n, 90, 8, 12, 14, 15) for n in range(1, 8)),
        file_events=({"type": "closed", "text": "x"},), file_events_dropped={"drop": 8},
        evidence=full_evidence(),
        readers={1: 13, 2**63: 14},
    )  # fmt: skip


def test_every_key_of_the_head_is_written_and_read_back(tmp_path: Path) -> None:
    """And every part of it: what is written and never read would be lost in a file of a file."""
    out = io.BytesIO()
    feed = Rows([(make_row(), None)], [])
    make.write_json(out.write, full_model(), feed.rows_all(), feed.owners, filter_text="dport > 0")
    first = json.loads(out.getvalue())
    check(first)
    # `hosts` is of many, and no file of these is opened.
    documented = {key for key in KEYS if re.fullmatch(r"[a-z_]+", key)} - {"hosts"}
    assert set(first) == documented
    got = opened(tmp_path / "a.json", out.getvalue())
    again = io.BytesIO()
    model = got.latest()
    assert model is not None
    make.write_json(again.write, model, got.rows_all(), got.owners, filter_text=got.filter_text)
    second = json.loads(again.getvalue())
    for key in documented - {"sockets"}:
        assert second.get(key) == first[key], key
    assert model.path is not None
    assert list(model.path) == list(Hook)
    lines = ["".join(text for text, _ in parts) for parts in path_lines(model.path, 80, 20)]
    assert lines[1].split()[-5:] == ["1", "8ns", "12ns", "14ns", "15ns"]


def test_every_flag_of_a_socket_is_written_and_read_back(tmp_path: Path) -> None:
    """Those that say false, and percentiles by octaves, as of any socket off the screen."""
    some = Dist(9, 90, 8, 12, 14, 15)
    by_octaves = Plane(
        wait=some, wait_octaves=bytes(128), tx=(some,) * 7, tx_sends=9,
        has=PlaneHas.WAIT | PlaneHas.WAIT_OCTAVES | PlaneHas.TX | PlaneHas.TX_OCTAVES,
    )  # fmt: skip
    split = Plane(
        wait_octaves=bytes(128), has=PlaneHas.WAIT | PlaneHas.SPLIT | PlaneHas.UDP,
        split=Split(1000, 1, 2, 3, 4, 5, 6, 7), udp=UdpMoved(1, 2, 3, 4, 5), standing_ms=120,
    )  # fmt: skip
    unread = int(Flag.MATCH | Flag.OLDEST_UNREAD)
    rows: list[tuple[Row, Detail | None]] = [
        (make_row(1, plane=by_octaves), None),
        (make_row(2, flags=int(Flag.MATCH | Flag.WAIT_UNTRACED | Flag.NEW | Flag.MISSED)), None),
        (make_row(3, flags=unread | Flag.UNREADABLE | Flag.RATES, oldest_unread_ms=5), None),
        (make_row(4, plane=split), None),
    ]
    first = export(Rows(rows, []), make_model(4))
    assert b'"waiting_ns":1000' in first
    assert b'"standing_ns":120000000' in first
    assert b'"tx_datagrams":4' in first
    feed = opened(tmp_path / "a.json", first)
    again = export(feed, feed.latest())
    assert by_cookie(again) == by_cookie(first)
    said = ("true: ", "false: ")
    flags = {key.split(".")[-1] for key, text in KEYS.items()
             if key.startswith("sockets[].") and text.startswith(said)}  # fmt: skip
    assert all(f'"{flag}":' in first.decode() for flag in flags)


@pytest.mark.parametrize("value", [7, [], {"ip": 7}, {"ip": {"buckets": [[1]]}},
                                   {"tcp": {"foreign": -1}}, {"udp": {"count": "x"}}])  # fmt: skip
def test_a_path_that_is_none_is_refused_with_its_place(tmp_path: Path, value: Any) -> None:
    tree = json.loads(export(Rows([], []), make_model(0)))
    tree["path"] = value
    with pytest.raises(NettopError, match="path"):
        opened(tmp_path / "x.json", json.dumps(tree).encode())


def some_feed(tmp_path: Path) -> FileFeed:
    info = bytearray(280)
    struct.pack_into("<I", info, 68, 48100)
    flags = int(Flag.INFO | Flag.RATES | Flag.SKMEM)
    rows: list[tuple[Row, Detail | None]] = [
        (make_row(1, flags=flags, rtt_us=48100, dport=443, retrans_per_s=3.0),
         make_detail(bytes(info))),
        (make_row(2, proc=Proc(12, 7, Owner.PROC, 2, "nginx"), rqueue=5), None),
        (make_row(3, state=10, dst=bytes(16), dport=0, rqueue=1, wqueue=128, inode=7), None),
    ]  # fmt: skip
    holders = [Proc(12, 7, Owner.PROC, 1, "nginx"), Proc(13, 7, Owner.PROC, 0, "nginx")]
    return opened(tmp_path / "x.json", export(Rows(rows, holders), make_model(3)))


def test_an_opened_file_is_a_feed(tmp_path: Path) -> None:
    feed = some_feed(tmp_path)
    assert not feed.live
    assert feed.title == "x.json"
    assert feed.count() == 3
    told = []
    feed.start(lambda: told.append(feed.latest()))
    assert told == [feed.tick()]
    row = feed.find(1)
    assert row is not None
    assert row.user == "www-data"
    detail = feed.detail(1)
    assert detail is not None
    assert detail.tcp_info["rtt"] == 48100
    assert FIELDS["srtt"].value(row, detail) == 48_100_000
    assert feed.position(99) is None
    assert feed.find(99) is None
    assert feed.history(None) == []
    assert [p.pid for p in feed.owners(row)] == [12, 13]


def test_filter_sort_and_groups_work_on_a_file(tmp_path: Path) -> None:
    feed = some_feed(tmp_path)
    feed.set_filter(compile_filter("dport = :443"))
    assert [r.cookie for r in feed.window(0, 9)] == [1]
    model = feed.latest()
    assert model is not None
    assert model.totals.matched == 1
    assert [r.cookie for r, _ in feed.rows_all(everything=True)] != [1]
    assert len(list(feed.rows_all(everything=True))) == 3
    assert feed.count() == 1
    feed.set_filter(None)
    feed.set_sort(Sort(FIELDS["rcvq"], True))
    assert [r.cookie for r in feed.window(0, 9)] == [2, 3, 1]
    groups = feed.groups(Grouping.PROCESS)
    assert sum(g.sockets for g in groups) == 3
    together = feed.sum([1, 2])
    assert together is not None
    assert together.sockets == 2


def test_a_filter_makes_no_rates_where_the_file_has_none(tmp_path: Path) -> None:
    totals = replace(
        make_model().totals, tx_bytes_per_s=None, rx_bytes_per_s=None, matched_retrans_per_s=None
    )
    model = make_model(interval_s=None, totals=totals)
    feed = opened(tmp_path / "x.json", export(Rows([(make_row(), None)], []), model))
    feed.set_filter(compile_filter("dport = :41000"))
    got = feed.tick().totals
    assert got.matched == 1
    assert (got.tx_bytes_per_s, got.rx_bytes_per_s, got.matched_retrans_per_s) == (None,) * 3


def feed_with_waits(tmp_path: Path) -> FileFeed:
    """Of sockets 1 and 2 deliveries were measured, of socket 3 none; one histogram of the host."""
    dist = Dist(5, 500, 90, 100, 110, 120)
    plane = Plane(wait=dist, wait_octaves=bytes(128), has=PlaneHas.WAIT)
    rows: list[tuple[Row, Detail | None]] = [
        (make_row(1, dport=443, plane=plane), None),
        (make_row(2, dport=444, plane=plane), None),
        (make_row(3, dport=445), None),
    ]
    model = make_model(3, rx_wait=Histogram(Dist(count=99, max_ns=7), ((0, 8, 99),)))
    return opened(tmp_path / "x.json", export(Rows(rows, []), model))


@pytest.mark.parametrize(
    ("text", "cookies", "count"),
    [
        (None, None, 99),
        (None, [1], 5),
        (None, [3], 0),
        (None, [1, 3], 5),
        (None, [1, 2], None),
        ("dport < 445", None, None),
        ("dport = 443", None, 5),
        ("dport = 445", None, 0),
        ("dport = 1", None, 0),
    ],
)
def test_rx_wait_of_a_file_is_told_only_where_the_file_has_it(
    tmp_path: Path, text: str | None, cookies: list[int] | None, count: int | None
) -> None:
    feed = feed_with_waits(tmp_path)
    feed.set_filter(compile_filter(text) if text else None)
    wait = feed.rx_wait(cookies, run=False)
    assert (wait.dist.count if wait else None) == count
    assert feed.rx_wait(cookies, run=True) is None
    model = feed.latest()
    assert model is not None
    if cookies is None:
        assert (model.rx_wait.dist.count if model.rx_wait else None) == count
    assert model.chosen is (text is not None)


def feed_with_names(tmp_path: Path) -> FileFeed:
    """Names that this host does not have, and users of it under other uids."""
    rows: list[tuple[Row, Detail | None]] = [
        (make_row(1, netns=5, netns_name="blue", cgroup_id=50, cgroup="/web/[x]", uid=4001,
                  container="shop", user="webuser"), None),
        (make_row(2, netns=6, netns_name="black", cgroup_id=51, cgroup="/web/b", uid=4002,
                  user="root"), None),
        (make_row(3, netns=7, cgroup_id=0, uid=0, user="toor"), None),
        (make_row(4, netns=7, cgroup_id=0, uid=1, user=None), None),
    ]  # fmt: skip
    return opened(tmp_path / "x.json", export(Rows(rows, []), make_model(4)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("netns = blue", {1}),
        ("netns = bl*", {1, 2}),
        ("netns != blue", {2, 3, 4}),
        ("netns = 7", {3, 4}),
        ("cgroup = *", {1, 2}),
        ("cgroup = /web", {1, 2}),
        ("cgroup = /web/", {1, 2}),
        ("cgroup = b", {2}),
        ('cgroup = "/web/[x]"', {1}),
        ("container = sh?p", {1}),
        ("container = *", {1, 2}),
        ("user = root", {2}),
        ("user != root", {1, 3, 4}),
        ("uid = 4001", {1}),
        ("netns = blue and not cgroup = b", {1}),
    ],
)
def test_names_in_a_filter_are_those_of_the_file(
    tmp_path: Path, text: str, expected: set[int]
) -> None:
    feed = feed_with_names(tmp_path)
    feed.set_filter(compile_filter(text))
    assert {row.cookie for row in feed.window(0, 9)} == expected


@pytest.mark.parametrize(("named", "matched"), [("toor", 0), (None, 1)])
def test_a_user_of_this_host_counts_where_the_file_has_no_name(
    tmp_path: Path, named: str | None, matched: int
) -> None:
    row = make_row(uid=0, user=named)
    feed = opened(tmp_path / "x.json", export(Rows([(row, None)], []), make_model()))
    feed.set_filter(compile_filter("user = root"))
    assert feed.count() == matched


def test_a_user_that_only_the_file_knows(tmp_path: Path) -> None:
    feed = feed_with_names(tmp_path)
    feed.set_filter(compile_filter("user = webuser", feed.names))
    assert [row.cookie for row in feed.window(0, 9)] == [1]


@pytest.mark.parametrize("grouping", [Grouping.CGROUP, Grouping.NETNS])
def test_a_group_of_a_file_has_a_filter_that_lets_it_through(
    tmp_path: Path, grouping: Grouping
) -> None:
    feed = feed_with_names(tmp_path)
    groups = [group for group in feed.groups(grouping) if group.filter_text]
    assert len(groups) >= 2
    for group in groups:
        feed.set_filter(compile_filter(group.filter_text))
        assert feed.count() == group.sockets


def test_holes_in_tcp_info_stay_unknown(tmp_path: Path) -> None:
    feed = some_feed(tmp_path)
    snapshot = json.loads(export(feed, feed.latest()))
    one = next(s for s in snapshot["sockets"] if s["cookie"] == 1)
    one["tcp_info"] = {"rtt": 120, "rttvar": 40, "snd_cwnd": 10, "lost": 0, "total_retrans": 3}
    del one["tcp_info_len"]
    again = opened(tmp_path / "y.json", json.dumps(snapshot).encode())
    got = by_cookie(export(again, again.latest()))[1]
    assert got["tcp_info"] == one["tcp_info"]
    assert "tcp_info_len" not in got


def test_the_example_of_the_format_opens(tmp_path: Path) -> None:
    """Only the keys that the format always had, and some that nobody knows."""
    text = (
        '{"schema":"nettop.snapshot/1","taken":"2026-11-20T19:00:00.123456789Z","interval_s":1.0,'
        '"host":"h","kernel":"k","nettop":"0.1.0","sources":[{"name":"diag","state":"ok"}],'
        '"cost":{},"totals":{"tcp":1,"udp":0,"by_state":{"ESTABLISHED":1},"future":[1]},'
        '"future":{"x":[]},"sockets":[{"netns":4026531840,"cookie":7,"proto":"tcp",'
        '"family":"inet","state":"ESTABLISHED","local":{"addr":"127.0.0.1","port":80},'
        '"remote":{"addr":"127.0.0.1","port":41000},"procs":[{"pid":12,"comm":"nginx","fd":7}],'
        '"uid":33,"inode":99,"cgroup":"/x","cong":"cubic","rqueue":0,"wqueue":0,'
        '"tcp_info":{"rtt":120,"rttvar":40,"snd_cwnd":10,"lost":0,"retrans":0},'
        '"verdicts":["loss"],"rx_wait":{"count":9,"p50_ns":5},"tx":{"copy":{"count":1}}}],'
        '"rx_wait":{"count":1},"tx":{},"events":[{"x":1}]}'
    )
    feed = opened(tmp_path / "x.json", text.encode())
    (row,) = feed.window(0, 9)
    assert FIELDS["srtt"].value(row) == 120_000
    assert row.cong == "cubic"
    assert row.proc.comm == "nginx"


def test_hostile_names_in_a_file_are_made_safe(tmp_path: Path) -> None:
    row = make_row(proc=Proc(1, 2, Owner.PROC, 0, HOSTILE), user=HOSTILE, netns_name=HOSTILE,
                   cgroup=HOSTILE, cgroup_id=4, container=HOSTILE, cong=HOSTILE)  # fmt: skip
    model = make_model(host=HOSTILE, kernel=HOSTILE)
    feed = opened(tmp_path / "x.json", export(Rows([(row, None)], []), model))
    (got,) = feed.window(0, 1)
    model = feed.tick()
    for text in (got.proc.comm, got.user, got.netns_name, got.cgroup, got.container, model.host,
                 model.kernel):  # fmt: skip
        assert text
        assert text.isprintable()


WRONG: list[tuple[str, Any, str]] = [
    ("cookie", 0, "cookie"),
    ("cookie", -1, "cookie"),
    ("cookie", 2**64, "cookie"),
    ("cookie", "1", "cookie"),
    ("cookie", True, "cookie"),
    ("cookie", 1.5, "cookie"),
    ("netns", None, "netns"),
    ("proto", "sctp", "proto"),
    ("proto", ["tcp"], "proto"),
    ("family", "inet7", "family"),
    ("state", "SLEEPING", "state"),
    ("local", {"addr": "::1", "port": 80}, "local.addr"),
    ("local", {"addr": "127.0.0.1", "port": 65536}, "local.port"),
    ("local", [], "local"),
    ("remote", {}, "remote.addr"),
    ("procs", [{"pid": 0}], "pid"),
    ("procs", ["nginx"], "procs[0]"),
    ("procs", [{"pid": 1, "comm": 5}], "comm"),
    ("rqueue", 2**32, "rqueue"),
    ("tcp_info", {"rtt": 2**32}, "rtt"),
    ("tcp_info", {"rtt": "1"}, "rtt"),
    ("tcp_info", {"snd_wscale": 16}, "snd_wscale"),
    ("tcp_info", 5, "tcp_info"),
    ("skmem", {"rmem_alloc": -1}, "rmem_alloc"),
    ("limited", {"rwnd": 2, "sndbuf": 0, "cwnd": 0, "in_flight": 0, "idle": 0}, "rwnd"),
    ("limited", {"rwnd": 0}, "sndbuf"),
    ("rates", {"tx_bytes_per_s": 1, "rx_bytes_per_s": 1e300, "retrans_per_s": 1}, "rx_bytes_per_s"),
    ("verdict_details", [{"name": "loss"}], "value"),
    ("level", "great", "level"),
    ("timer", {"kind": "egg"}, "kind"),
    ("user", "x" * 100000, "user"),
    ("owner", "me", "owner"),
]


@pytest.mark.parametrize(("key", "value", "told"), WRONG, ids=lambda v: str(v)[:20])
def test_wrong_values_are_told_with_their_place(
    tmp_path: Path, key: str, value: Any, told: str
) -> None:
    feed = some_feed(tmp_path)
    snapshot = json.loads(export(feed, feed.latest()))
    snapshot["sockets"][1][key] = value
    with pytest.raises(NettopError) as error:
        opened(tmp_path / "y.json", json.dumps(snapshot).encode())
    assert f"sockets[1].{key}" in str(error.value)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cookie_twice_is_refused(tmp_path: Path) -> None:
    feed = some_feed(tmp_path)
    snapshot = json.loads(export(feed, feed.latest()))
    snapshot["sockets"].append(snapshot["sockets"][0])
    with pytest.raises(NettopError, match="was there before"):
        opened(tmp_path / "y.json", json.dumps(snapshot).encode())


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_open_or_are_told_in_one_line(tmp_path: Path, seed: int) -> None:
    feed = some_feed(tmp_path)
    content = export(feed, feed.latest())
    rng = random.Random(seed)
    told: list[str] = []
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(damaged))
            if rng.random() < 0.5:
                damaged[at] = rng.choice(b'0-9e"{}[],:nul \\\xff')
            else:
                del damaged[at : at + rng.randint(1, 30)]
        try:
            export(got := opened(tmp_path / "y.json", bytes(damaged)), got.latest())
        except NettopError as error:
            told.append(str(error))
    assert told
    assert all("\n" not in text for text in told)


def test_write_snapshot_by_suffix_and_default_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feed = some_feed(tmp_path)
    model = feed.tick()
    path = write_snapshot(None, feed, model, True)
    assert path.parent == tmp_path
    assert path.name.startswith("nettop-web-1-2026")
    assert write_snapshot(None, feed, model, True).name.endswith("-2.json")
    feed.set_filter(compile_filter("dport = :443"))
    shown = write_snapshot("shown.json", feed, feed.tick(), True)
    every = write_snapshot("all.json", feed, feed.tick(), False)
    assert len(by_cookie(shown.read_bytes())) == 1
    assert len(by_cookie(every.read_bytes())) == 3
    with pytest.raises(NettopError, match="ending"):
        write_snapshot("x.pdf", feed, model, True)


def test_default_name_takes_nothing_from_a_hostile_host(tmp_path: Path) -> None:
    path = default_path(make_model(host="../../etc/\x1b;rm"), {"XDG_DATA_HOME": str(tmp_path)})
    assert path.name.startswith("nettop-.._.._etc___rm-")
    assert "/" not in path.name
