"""A pane says in one line what is not known, and what is known instead has its room."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nettop.feed import Grouping
from nettop.model.events import EventMemory, EventType
from nettop.model.types import TCP_STATES, Dist, Histogram, Proto, Row, SourceStatus, Stage
from nettop.replay import ReplayFeed
from nettop.text.columns import EXACT, cell, cells_of
from nettop.text.fields import FIELDS
from nettop.text.keys import GROUPS, KEYS
from nettop.tui.glyphs import UTF8
from nettop.tui.panes.common import off_lines
from nettop.tui.panes.data import PaneData, Worst
from nettop.tui.panes.events import _said
from nettop.tui.panes.health import health_lines, verdict_lines
from nettop.tui.panes.lines import rx_lines, tx_lines
from nettop.tui.panes.rx import Waits
from nettop.tui.panes.tx import Sends, stage_lines
from nettop.tui.screens.detail import info_lines
from nettop.tui.screens.help import keys_of
from nettop.tui.style import Role
from tests.export.make import make_row
from tests.fakes import FakeFeed
from tests.lab.faults import kept

NONE = Histogram(Dist(), ())
NO_BPF = SourceStatus("stages", "off", reason="needs CAP_BPF")
STILL = tuple(NONE for _ in Stage)
FEED = FakeFeed()
S = 10**9


def of(row: Row, **more: Any) -> PaneData:
    return PaneData(FEED.tick(), row, FEED.detail(row.cookie), (), None,
                    cookies=(row.cookie,), **more)  # fmt: skip


def texts(lines: Any) -> list[str]:
    return ["".join(text for text, _ in parts).rstrip() for parts in lines]


def rows() -> list[Row]:
    return FEED.window(0, FEED.count())


def flow() -> Row:
    return next(r for r in rows() if r.proto == Proto.TCP and not r.is_listen)


@pytest.mark.parametrize("open_", [0, 3])
def test_that_no_send_was_seen_is_said_once(open_: int) -> None:
    lines = [
        text for text in texts(stage_lines(Sends(STILL, STILL, open=open_), 40, 12, UTF8)) if text
    ]
    assert lines == ["no send acknowledged yet, 3 open" if open_ else "no send yet"]
    known = texts(tx_lines(of(flow(), sends=Sends(STILL, STILL)), 40, 12, UTF8))
    assert known[0] == "no send yet"
    assert any(text.startswith("in flight") for text in known), "tcp_info knows something"


def test_a_count_that_has_no_room_says_that_it_goes_on() -> None:
    """With all stages and the mean, in a pane of eleven lines."""
    some = Histogram(Dist(9, 9 * 10**6, 10**6, 10**6, 10**6, 10**6), ())
    sends = Sends(tuple(some for _ in Stage), None, open=9, merged=1)
    full = texts(stage_lines(sends, 37, 40, UTF8))
    n_lines = sum(bool(text) for text in full)
    cut = texts(stage_lines(sends, 37, n_lines - 1, UTF8))
    assert cut[-1].endswith("…")
    assert not any(text.endswith("…") for text in full)


def test_a_listener_is_not_waited_for() -> None:
    listener = next(r for r in rows() if r.is_listen)
    for sends in (None, Sends(STILL, STILL)):
        said = " ".join(texts(tx_lines(of(listener, sends=sends), 40, 12, UTF8)))
        assert said == "a listener sends nothing: its connections do"


def test_of_several_sockets_only_the_stage_that_is_known_has_a_line() -> None:
    acks = Dist(7, 7 * 2**15, 2**15, 2**15, 2**17, 2**17)
    lines = texts(stage_lines(Sends(STILL, None, apart=7), 38, 14, UTF8, acks))
    assert [text.split()[0] for text in lines[:2]] == ["now", "ack"]
    assert not any("–" in text for text in lines)


def test_a_pane_without_waits_has_the_events_that_no_other_shows() -> None:
    counts = [0] * len(EventType)
    counts[EventType.RETRANSMIT] = 21
    memory = EventMemory(FEED.tick().mono_ns - 9 * S, None, 0, tuple(counts))
    data = of(flow(), waits=Waits(NONE, NONE), events=(), memory=memory)
    data = replace(data, model=replace(data.model, file_events=None))
    alone = texts(rx_lines(data, 38, 11, UTF8))
    assert not any("–" in text for text in alone), "no table of nothing"
    assert not any("retr 21" in text for text in alone)
    with_events = texts(rx_lines(replace(data, events_beside=False), 38, 11, UTF8))
    assert with_events[0] == alone[0]
    assert any(text.startswith("events ─") for text in with_events)
    assert any("retr 21" in text for text in with_events)
    assert len(with_events) == len(alone) == 11


@pytest.mark.parametrize("width", [74, 78, 126])
def test_a_value_that_grows_moves_no_field(width: int) -> None:
    row = flow()
    detail = FEED.detail(row.cookie)
    assert detail is not None

    def places(value: int) -> list[list[str]]:
        info = dict.fromkeys(detail.tcp_info, value) | {"options": 7, "accecn_fail_mode": 1}
        lines = texts(info_lines(row, replace(detail, tcp_info=info), None, 3, width))
        assert max(map(len, lines)) <= width
        return [[word for word in text.split() if "_" in word] for text in lines]

    assert places(0) == places(33) == places(99_999) == places(3_333_333)


def test_of_a_segment_each_byte_is_said() -> None:
    row = flow()
    detail = FEED.detail(row.cookie)
    assert detail is not None
    detail = replace(detail, tcp_info={**detail.tcp_info, **dict.fromkeys(EXACT, 1448)})
    shown = " ".join(texts(info_lines(row, detail, None, 3, 100)))
    for name in EXACT:
        assert f"{name} " in shown
        field = FIELDS[name]
        assert cell(field, row, detail) == "1448"
        assert cells_of(field) >= len("65535")
    assert shown.count("1448") == len(EXACT)


def test_nothing_is_compared_without_an_axis_of_nothing() -> None:
    groups = FEED.groups(Grouping.PROGRAM)[:2]
    some = Histogram(Dist(3, 9000, 3000, 3000, 3000, 3000), ((2048, 4096, 3),))
    for waits, drawn in ((NONE, False), (some, True)):
        data = PaneData(FEED.tick(), None, None, (), groups[0],
                        compared=tuple((g, Waits(waits, waits), None) for g in groups))  # fmt: skip
        lines = texts(rx_lines(data, 60, 14, UTF8))
        assert any("1µs" in text for text in lines) == drawn
        assert sum(text.startswith(f"A {groups[0].title}") for text in lines) == 1
        assert not any(text.split() == ["A", "B"] for text in lines), "they are named below"


def test_what_would_help_is_whole() -> None:
    model = FEED.tick()
    fix = "nettop --bpf-budget PCT allows more of a CPU"
    off = SourceStatus("wait", "off", reason="would cost 6.0 % of a CPU", fix=fix)
    sources = [off if s.name == "wait" else s for s in model.sources]
    data = replace(of(flow()), model=replace(model, sources=tuple(sources)))
    for width in (38, 46, 60):
        lines = texts(off_lines(data, "wait", width))
        assert max(map(len, lines)) <= width
        assert fix in " ".join(" ".join(lines).split())


def test_keys_that_go_two_ways_are_one_line_while_each_has_one() -> None:
    moves = dict(keys_of("MOVE", KEYS))
    assert moves["↓ j ↑ k"] == "next line, line before"
    assert {"1 2 3 4", "Tab ⇤"} <= {shown for shown, _ in keys_of("PANES", KEYS)}
    shown = [word for group in GROUPS for keys, _ in keys_of(group, KEYS) for word in keys.split()]
    assert sorted(shown) == sorted(w for k in KEYS if k.names for w in k.shown.split())
    fewer = [replace(k, names=()) if k.action == "up" else k for k in KEYS]
    assert dict(keys_of("MOVE", fewer))["↓ j"] == "next line"


def test_what_events_say_begins_in_one_column() -> None:
    for width in (38, 70):
        starts = {
            _said(("-321ms  cong ", Role.NORMAL), said, width)[0][-1][0].index(said[0])
            for said in ("Open", "Disorder → Recovery cwnd 44, and so on and on to the end of it")
        }
        assert len(starts) == 1, width


@pytest.mark.parametrize(("width", "height"), [(78, 15), (37, 27), (37, 11)])
def test_a_group_says_what_is_wrong_with_its_worst_socket(
    width: int, height: int, unwell: list[PaneData]
) -> None:
    for one in unwell:
        assert one.row is not None
        group = FEED.groups(Grouping.REMOTE)[0]
        worst = Worst(one.row, one.detail, None)
        data = replace(one, row=None, detail=None, marked=group, group=group.title, worst=worst)
        lines = texts(health_lines(data, width, height, UTF8))
        assert len(lines) <= height
        said, _ = verdict_lines(one, width)
        is_whole = "\n".join(texts(said)) in "\n".join(lines)
        assert any("the worst: " in text for text in lines) == (height > 11)
        assert height == 11 or is_whole != (lines[-1] == "z: all of it")


UNWELL = ("accept_slow", "loss_3", "reader_sleeps", "udp_reader_slow", "own_queue_bulk", "rtt_step")


@pytest.fixture(scope="module")
def unwell() -> list[PaneData]:
    """Each socket with a verdict, at both ends of some faults."""
    found = []
    for name in UNWELL:
        for end in kept.ENDS:
            feed = ReplayFeed(kept.samples(kept.path_of(name, end)))
            for _ in range(12):
                model = feed.tick()
            sick = [row for row in feed.window(0, feed.count()) if row.verdicts][:4]
            found += [
                PaneData(model, row, feed.detail(row.cookie), tuple(feed.history(row.cookie)), None)
                for row in sick
            ]
    assert len(found) > len(UNWELL)
    return found


@pytest.mark.parametrize("size", [(37, 11), (37, 24), (49, 14), (52, 9), (78, 9), (78, 6), (37, 4)])
def test_each_sentence_of_a_verdict_is_whole_or_named(
    size: tuple[int, int], unwell: list[PaneData]
) -> None:
    n_whole = n_named = 0
    for data in unwell:
        lines = texts(health_lines(data, *size, UTF8))
        assert len(lines) <= size[1]
        assert all(len(text) <= size[0] for text in lines)
        said, beside = verdict_lines(data, size[0])
        last = lines[-1] if lines[-1].startswith("Enter: ") else ""
        assert not any(text.endswith("…") for text in lines) or last == "Enter: all of it"
        named = last.removeprefix("Enter: ").removesuffix(" step").split(", ")
        for name, sentence in {"all of it": said, **beside}.items():
            is_whole = "\n".join(texts(sentence)) in "\n".join(lines)
            assert is_whole != bool({name, "all of it"} & {*named}), (name, lines)
            n_whole, n_named = n_whole + is_whole, n_named + (not is_whole)
    assert n_whole
    assert n_named == 0 or size[1] < 24


def test_a_heading_has_a_line_below_it_at_any_height() -> None:
    unwell = {"peer": (1, 2), "app": (0, 1)}
    model = FEED.tick()
    model = replace(model, totals=replace(model.totals, who=unwell))
    groups = FEED.groups(Grouping.REMOTE)[:2]
    total = replace(of(flow()), model=model, row=None, detail=None, cookies=None)
    compared = replace(total, compared=tuple((group, None, None) for group in groups))
    still = Sends(STILL, STILL)
    heads = ("who ", "without it", "meanwhile", f"{'A':>16}")
    seen = set()
    for make, data in (
        (health_lines, total), (health_lines, compared), (rx_lines, of(flow())),
        (tx_lines, of(flow())), (tx_lines, of(flow(), sends=still)),
    ):  # fmt: skip
        for height in range(1, 24):
            lines = texts(make(data, 40, height, UTF8))
            found = [head for head in heads for text in lines if text.startswith(head)]
            assert len(lines) <= height
            assert not lines or not lines[-1].startswith(heads), (height, lines)
            seen |= set(found)
    assert seen == set(heads)


@pytest.mark.parametrize("sends", [None, Sends(STILL, STILL)])
def test_of_a_closed_sending_side_no_send_is_waited_for(sends: Sends | None) -> None:
    model = replace(FEED.tick(), sources=(SourceStatus("stages", "ok"),))
    for state, name in TCP_STATES.items():
        if name == "LISTEN":
            continue
        data = replace(
            of(flow(), sends=sends, selects=True), row=make_row(state=state), model=model
        )
        said = " ".join(texts(tx_lines(data, 70, 12, UTF8)))
        ended = name in ("FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "TIME_WAIT", "CLOSE")
        assert ("its sending side is closed" in said, " yet" in said) == (ended, not ended)
    still_open = replace(data, row=make_row(state=4), sends=Sends(STILL, STILL, open=3))
    assert "3 open" in " ".join(texts(tx_lines(still_open, 70, 12, UTF8)))
    off = replace(data, row=make_row(state=5), sends=None, model=replace(model, sources=(NO_BPF,)))
    assert "needs CAP_BPF" in " ".join(texts(tx_lines(off, 70, 12, UTF8)))
