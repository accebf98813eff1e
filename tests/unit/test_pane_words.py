"""What panes say of what is not there: only what is known, and why."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import nettop.sources
from nettop.feed import Grouping
from nettop.history import Histories
from nettop.model.events import EventMemory, EventType
from nettop.model.types import Detail, Dist, Flag, Histogram, Proto, Row, SourceStatus, Stage
from nettop.sources import split
from nettop.sources import stages as plane
from nettop.sources.stages import OFF_REASON
from nettop.text import units
from nettop.text.explain import Explanation
from nettop.text.fields import FIELDS
from nettop.tui.columns import choose
from nettop.tui.glyphs import UTF8
from nettop.tui.header import host_line
from nettop.tui.panes.common import (
    BY_HAND,
    COMING,
    NONE_OF_IT,
    NONE_STAMPED,
    off_lines,
    reason_here,
)
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.events import events_lines
from nettop.tui.panes.health import health_lines, spark_lines
from nettop.tui.panes.lines import rx_lines
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.tx import Sends, stage_lines
from nettop.tui.style import Role
from nettop.tui.widgets.lines import clip, line
from tests.fakes import FakeFeed

NOW = 10**15
S = 10**9
NONE = (0,) * len(EventType)


def said(memory: EventMemory, width: int = 100) -> str:
    feed = FakeFeed()
    row = feed.window(0, 1)[0]
    model = replace(feed.tick(), file_events=None, mono_ns=NOW)
    data = PaneData(model, row, None, (), None, events=(), memory=memory, cookies=(row.cookie,))
    lines = events_lines(data, width, 8, UTF8)
    return "\n".join("".join(text for text, _ in line) for line in lines)


def test_no_event_is_said_of_the_time_that_is_kept() -> None:
    memory = EventMemory(NOW - 130 * S, None, 0, NONE)
    assert said(memory) == "no event of it in the last 2m10s; older ones are not kept"
    gap = memory._replace(gap_ns=NOW - 20 * S)
    assert said(gap) == "no event of it in the last 20.0s; older ones are not kept"
    older = memory._replace(gap_ns=NOW - 300 * S)
    assert said(older) == said(memory)
    now = memory._replace(gap_ns=NOW - S)
    assert said(now) == "no event of it recorded, but events are left out: too many at once"


def test_what_is_said_of_no_event_is_whole_in_a_narrow_pane() -> None:
    memory = EventMemory(NOW - 130 * S, None, 0, NONE)
    lines = said(memory, 38).splitlines()
    assert max(map(len, lines)) <= 38
    assert " ".join(lines) == said(memory)


def test_the_header_counts_the_namespaces_that_are_not_polled() -> None:
    model = FakeFeed().tick()
    totals = replace(model.totals, netns=2, netns_hidden=16)
    text = "".join(t for t, _ in host_line(replace(model, totals=totals), 120, UTF8))
    assert text.rstrip().endswith("2 of 18 netns")


def test_events_are_counted_by_type_since_they_are_kept() -> None:
    counts = [*NONE]
    counts[EventType.RETRANSMIT], counts[EventType.CONG] = 21, 3
    memory = EventMemory(NOW - 130 * S, None, 0, tuple(counts))
    assert said(memory).startswith("in 2m10s: retr 21  cong 3")
    gap = memory._replace(gap_ns=NOW - 20 * S)
    assert said(gap).startswith("in 2m10s: at least retr 21  cong 3")


def sends(*measured: Stage, **more: Any) -> Sends:
    one = Histogram(Dist(1, 5, 5, 5, 5, 5), ())
    return Sends(
        tuple(one if s in measured else Histogram(Dist(), ()) for s in Stage), None, **more
    )


def test_a_stage_without_a_number_has_the_reason_that_holds() -> None:
    nothing = sends()
    assert {nothing.why(stage) for stage in Stage} == {"no send yet"}
    some = sends(Stage.TCP, Stage.QDISC, Stage.ACK, Stage.TOTAL)
    assert some.why(Stage.COPY) == "no call was seen to begin"
    assert some.why(Stage.SNDBUF) == "no wait for space"
    absent = {Stage.COPY: "needs Linux 6.16", Stage.SNDBUF: "needs Linux 6.16"}
    assert sends(absent=absent).why(Stage.COPY) == "needs Linux 6.16"
    assert sends(absent=absent).why(Stage.QDISC) == "no send yet"
    datagrams = sends(by_tracepoints=True, datagrams=True)
    assert datagrams.why(Stage.QDISC) == "no packet yet"
    assert datagrams.why(Stage.ACK) == datagrams.why(Stage.NIC) == "tracepoints do not see it"
    segments = sends(by_tracepoints=True)
    assert segments.why(Stage.ACK) == "no packet yet"
    assert segments.why(Stage.TCP) == "tracepoints do not see it"


def test_times_that_are_kept_of_each_socket_alone_are_said_once() -> None:
    lines = ["".join(t for t, _ in parts) for parts in stage_lines(sends(apart=7), 38, 14, UTF8)]
    said = " ".join(" ".join(lines).split())
    assert "7 sends acknowledged, of several sockets: choose one to see its times" in said
    assert said.count("choose") == 1
    acks = Dist(7, 7 * 2**15, 2**15, 2**15, 2**17, 2**17)
    lines = ["".join(t for t, _ in p) for p in stage_lines(sends(apart=7), 38, 14, UTF8, acks)]
    ack = next(text for text in lines if text.startswith("ack"))
    assert ack.split()[1:3] == ["~33µs", "131µs"], "an edge of an octave, and the longest"
    assert lines[0].startswith("now")


def test_without_any_delivery_the_rx_pane_says_why() -> None:
    feed, none = FakeFeed(), Histogram(Dist(), ())
    rows = feed.window(0, feed.count())
    row = next(r for r in rows if r.proto == Proto.TCP and not r.is_listen)
    detail = feed.detail(row.cookie)
    assert detail is not None
    detail = replace(detail, tcp_info={"last_data_recv": 32500})
    data = PaneData(feed.tick(), row, detail, (), None, waits=Waits(none, none))

    def said(data: PaneData, width: int = 34) -> str:
        lines = ["".join(t for t, _ in parts) for parts in rx_lines(data, width, 12, UTF8)]
        assert max(map(len, lines)) <= 38
        return " ".join(" ".join(lines).split())

    assert said(data).endswith("no read of it seen yet; the last data came in 32.5s ago")
    never = replace(detail, tcp_info={"last_data_recv": 32500, "bytes_received": 0})
    assert said(replace(data, detail=never)).endswith("no data ever came in")
    assert said(replace(data, row=None)).endswith("no read seen yet of any of them")
    whole = replace(row, rec=row.rec._replace(proto=Proto.MPTCP))
    assert said(replace(data, row=whole)).endswith("reads of MPTCP sockets are not traced")
    for views in (data.views.next(1, data.model), data.views):
        assert "100ms" not in said(replace(data, views=views)), "no axis of nothing"
    some = Histogram(Dist(1, 5000, 5000, 5000, 5000, 5000), ((4096, 8192, 1),))
    assert "no read" not in said(replace(data, waits=Waits(none, some)))


def test_where_a_line_is_cut_no_number_is_taken_for_another() -> None:
    text = line("Recovery → Open cwnd ", ("24", Role.BOLD))
    assert "".join(t for t, _ in clip(text, 22, "…")) == "Recovery → Open cwnd …"
    assert clip(text, 23, "…") == text
    padded = line("whole", "    ")
    assert "".join(t for t, _ in clip(padded, 5, "…")) == "whole"


def test_the_rates_of_all_sockets_are_whole_in_a_narrow_pane() -> None:
    model = FakeFeed().tick()
    totals = replace(model.totals, opened=1234, closed=1234, resets_per_s=1234.0)
    data = PaneData(replace(model, totals=totals, interval_s=1.0), None, None, (), None)
    for width in (37, 48, 80):
        lines = ["".join(t for t, _ in spans) for spans in health_lines(data, width, 12, UTF8)]
        text = "\n".join(lines)
        assert all(f"{name} " in text for name in ("opened", "closed", "resets")), text
        assert text.count("1.2K/s") == 3, text
        assert all(len(said.rstrip()) <= width for said in lines if "1.2K/s" in said), text


def test_under_a_filter_resends_are_its_sockets_and_what_is_of_all_says_so() -> None:
    model = FakeFeed().tick()
    totals = replace(model.totals, opened=1234, closed=1234, resets_per_s=1234.0,
                     retrans_per_s=77.0, matched_retrans_per_s=3.0)  # fmt: skip
    filtered = replace(model, totals=totals, interval_s=1.0, chosen=True)
    for width in (37, 48, 53, 80):
        data = PaneData(filtered, None, None, (), None)
        lines = ["".join(t for t, _ in spans) for spans in health_lines(data, width, 12, UTF8)]
        of_all = [said for said in lines if "1.2K/s" in said]
        assert all(said.startswith("all: ") for said in of_all), lines
        assert all(len(said.rstrip()) <= width for said in of_all), lines
        (resent,) = (said for said in lines if said.startswith("retr/s"))
        assert "3.0" in resent
        assert "77" not in resent
    histories = Histories()
    for one in (filtered, replace(filtered, chosen=False, mono_ns=model.mono_ns + 1)):
        histories.add(one, (), None)  # type: ignore[arg-type]  # asked for sockets in focus alone
    assert [p.retrans_per_s for p in histories.of(None)] == [3.0, 77.0]


def test_the_sums_of_the_header_are_whole_at_every_width() -> None:
    model = replace(FakeFeed().tick(), kernel="6.18.44-fc-v595x")
    rate = units.bits_per_s(model.totals.rx_bytes_per_s)
    for width in range(100, 200):
        text = "".join(t for t, _ in host_line(model, width, UTF8))
        assert f" ↓{rate}" in text, (width, text)
        assert len(text.rstrip()) <= width, (width, text)


def test_reasons_name_an_option_where_there_are_no_keys() -> None:
    """What a plane says goes to JSON, tables and reports too, where nothing can be chosen."""
    assert f"{NONE_STAMPED}: --tx-sample N stamps one in N of all" == OFF_REASON
    for plane_name, reason in (("stages", OFF_REASON), ("split", split.OFF_REASON)):
        here = reason_here(plane_name, reason)
        assert here.startswith(BY_HAND[plane_name][0])
        assert here.endswith(BY_HAND[plane_name][1]), "the screen says what can be done on it"
    keys = re.compile(r"\bEnter\b|\bmark (some|it)|\bchoose a\b|\bpress\b|\bopen one\b")
    for file in sorted(Path(nettop.sources.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not keys.search(node.value), (file.name, node.value)


def test_sends_of_a_socket_that_was_just_chosen_are_on_their_way() -> None:
    feed = FakeFeed()
    row, model = feed.window(0, 1)[0], feed.tick()
    known = [s for s in model.sources if s.name != "stages"]

    def said(status: SourceStatus, *, selects: bool) -> str:
        now = replace(model, sources=(*known, status))
        data = PaneData(now, row, None, (), None, cookies=(row.cookie,), selects=selects)
        lines = off_lines(data, "stages", 90)
        return "".join(text for text, _ in lines[0])

    none = SourceStatus("stages", "off", None, OFF_REASON)
    assert said(none, selects=True) == "off  stamping of what is selected begins soon"
    assert said(none, selects=False) == "off  no sends were stamped", "of the past or a file"
    whole = PaneData(replace(model, sources=(*known, none)), None, None, (), None, selects=True)
    text = "".join(text for text, _ in off_lines(whole, "stages", 90)[0])
    assert text == f"off  {NONE_STAMPED}: choose a socket, mark some, or use --tx-sample N"
    others = SourceStatus("stages", "ok")
    assert said(others, selects=True) == "off  no send of it is stamped yet"
    assert said(others, selects=False) == f"off  {NONE_OF_IT}"
    coming = replace(others, reason=f"{plane.COMING} in 4 s; all but copy: needs Linux 6.16")
    assert said(coming, selects=True) == "off  stamping of what is selected begins in 4 s"
    assert COMING == plane.COMING


def plain_tcp(row: Row, detail: Detail | None) -> bool:
    known = detail is not None and bool(detail.tcp_info)
    return known and row.proto == Proto.TCP and not row.is_listen and bool(row.flags & Flag.INFO)


def test_the_delivery_rate_of_a_silent_connection_says_of_when_it_is() -> None:
    feed = FakeFeed()
    model = replace(feed.tick(), interval_s=1.0)
    row, detail = next(pair for pair in feed.rows_all() if plain_tcp(*pair))
    assert detail is not None

    def said(ack_ms: int) -> str:
        info = {**detail.tcp_info, "last_ack_recv": ack_ms, "delivery_rate": 1_000_000}
        data = PaneData(model, row, replace(detail, tcp_info=info), (), None)
        lines = ["".join(t for t, _ in spans) for spans in health_lines(data, 60, 20, UTF8)]
        return next(text for text in lines if text.startswith("deliver"))

    assert "ago" not in said(999)
    assert said(36_000).rstrip().endswith("bit/s, 36.0s ago")


def test_resends_now_and_in_all_are_not_taken_for_one_number() -> None:
    feed = FakeFeed()
    model = feed.tick()
    row, detail = next(pair for pair in feed.rows_all() if plain_tcp(*pair))
    data = PaneData(model, row, detail, (), None)
    lines = ["".join(t for t, _ in spans) for spans in health_lines(data, 60, 20, UTF8)]
    assert re.search(r" \(.*in all\)", next(t for t in lines if t.startswith("retr/s")))


def test_a_column_is_hidden_as_off_only_where_its_plane_is() -> None:
    model = FakeFeed().tick()
    for state, hidden in (("off", True), ("ok", False)):
        sources = (SourceStatus("wait", "ok", None), SourceStatus("stages", state, None))
        wide = replace(model, sources=sources)
        seen = [choose(width, wide) for width in range(120, 200)]
        left_out = [s for s in seen if FIELDS["tx.total.p99"] not in {f for f, _ in s.columns}]
        assert left_out, "it fits everywhere"
        assert {"TX99" in s.hidden for s in left_out} == {hidden}


def test_how_long_a_verdict_holds_is_said_once() -> None:
    held = Explanation("net", "loss on the path", "", "", 35.0)
    assert held.held == ", for ≥35s", "it may have held before, beside a worse one"
    assert replace(held, for_s=0.004).held == "", "it became the worst with this tick"


def test_compared_groups_without_the_plane_say_that_it_is_off() -> None:
    feed = FakeFeed()
    groups = feed.groups(Grouping.PROGRAM)[:2]

    def said(waits: Waits | None) -> str:
        data = PaneData(feed.tick(), None, None, (), groups[0],
                        compared=tuple((group, waits, None) for group in groups))  # fmt: skip
        return " ".join("".join(t for t, _ in parts) for parts in rx_lines(data, 60, 14, UTF8))

    none = Histogram(Dist(), ())
    assert said(Waits(none, none)).count("no read seen yet") == 2
    feed.without_privilege()
    assert "no read seen yet" not in said(None)
    assert "needs CAP_BPF" in said(None)


@pytest.mark.parametrize(
    ("tx", "rx", "label"), [(0.0, 0.0, "flow"), (9.0, 0.0, "flow ↑"), (0.0, 9.0, "flow ↓")]
)
def test_an_arrow_stands_only_where_something_flows(tx: float, rx: float, label: str) -> None:
    feed = FakeFeed()
    row = next(r for r in feed.window(0, feed.count()) if plain_tcp(r, feed.detail(r.cookie)))
    rec = row.rec._replace(tx_bytes_per_s=tx, rx_bytes_per_s=rx)
    data = PaneData(feed.tick(), replace(row, rec=rec), feed.detail(row.cookie), (), None)
    lines = ["".join(text for text, _ in parts) for parts in spark_lines(data, 60, 12, UTF8)]
    flow = next(text for text in lines if text.startswith("flow"))
    assert flow[:8].rstrip() == label


@pytest.mark.parametrize(
    ("size", "text"), [(36, "36 B"), (0, "0 B"), (999, "999 B"), (9 * 1024, "9.0K"), (None, "–")]
)
def test_an_amount_in_a_sentence_has_a_unit(size: int | None, text: str) -> None:
    assert units.amount(size) == text
