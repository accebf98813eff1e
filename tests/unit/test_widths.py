"""Nothing that matters is cut, at any width and with the longest texts."""

from __future__ import annotations

from functools import lru_cache

import pytest
from msgspec.structs import replace

from nettop.feed import Sort
from nettop.model.types import (
    Because,
    Detail,
    Flag,
    Level,
    Model,
    Owner,
    Point,
    Proc,
    Row,
    SourceStatus,
    Verdict,
)
from nettop.text import units
from nettop.text.columns import GUTTER
from nettop.text.explain import explain
from nettop.text.fields import FIELDS
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name, why_text
from nettop.tui.columns import choose, row_line
from nettop.tui.glyphs import UTF8
from nettop.tui.header import HeaderState, host_line, status_line
from nettop.tui.lately import Lately
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.health import health_lines
from nettop.tui.screens.view_keys import shown_panes
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, flow, line, rows_of, width_of, wrapped
from tests.export.make import make_detail, make_model, make_row

WIDTHS = range(60, 241)
# Of each verdict a number whose words are long.
LONG = {
    "ms": 86_399_000.0, "s": 86_399.0, "percent": 99.6, "ratio": 99.9, "count": 15.0,
    "per_s": 12_345.0,
}  # fmt: skip


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def flowed(lines: list[Line]) -> str:
    return " ".join(" ".join(text_of(line) for line in lines).split())


def planes(*off: str) -> Model:
    sources = tuple(
        SourceStatus(name, "off" if name in off else "ok")
        for name in ("diag", "procs", "wait", "stages", "clocks", "events")
    )
    return replace(make_model(), sources=sources)


@lru_cache(maxsize=1)
def sick_rows() -> tuple[tuple[Row, Detail], ...]:
    """A row of each verdict and of each party that it may blame."""
    out = []
    for verdict, spec in VERDICTS.items():
        for who in spec.whos:
            for maybe in (0, 8):
                row = make_row(
                    flags=int(~Flag(0)), verdicts=1 << verdict | 1 << Verdict.LOSS,
                    verdict=verdict, verdict2=Verdict.LOSS, verdict_value=LONG[spec.unit],
                    who=int(who) | maybe, because=int((spec.causes or (Because.PLAIN,))[-1]),
                    level=int(Level.UNWELL), rtt_us=999_000, min_rtt_us=2, rttvar_us=999_000,
                    snd_cwnd=9999, lost=999, rqueue=999_000, wqueue=999_000,
                    tx_bytes_per_s=1.2e8, rx_bytes_per_s=1.2e8, retrans_per_s=99.9, retr_pct=99.0,
                    oldest_unread_ms=86_399_000,
                )  # fmt: skip
                row.proc = Proc(4_194_304, 3, Owner.PROC, 120, "a-long-process")
                out.append((row, make_detail(bytes(280))))
    return tuple(out)


@pytest.mark.parametrize("off", [(), ("stages",), ("wait", "stages")])
def test_who_and_why_are_whole(off: tuple[str, ...]) -> None:
    model = planes(*off)
    for width in WIDTHS:
        columns = choose(width, model)
        used = GUTTER + sum(cells for _, cells in columns.columns) + len(columns.columns) - 1
        assert used <= width, (width, [f.id for f, _ in columns.columns])
        for row, detail in sick_rows()[width % 5 :: 5]:
            line = text_of(
                row_line(columns, row, detail, selected=False, marked=False, numeric=False,
                         cursor=">", mark="*", signs=(" ", "^", "!"))
            )  # fmt: skip
            rec = row.rec
            words = why_text(row) or ""
            assert line.rstrip().endswith(words), (width, line)
            assert line.split(words)[0].split()[-1] == who_name(rec.who), (width, line)
            assert "/4194304" in line, "a pid is never cut"


@pytest.mark.parametrize("width", [80, 87, 99, 100, 104, 105, 119, 120, 199, 200])
def test_sockets_of_one_program_are_told_apart(width: int) -> None:
    """Two connections to one address, and listeners, differ in their own port alone."""
    columns = choose(width, planes())
    lines = [
        text_of(
            row_line(columns, make_row(n, sport=sport, **kind), None, selected=False, marked=False,
                     numeric=False, cursor=">", mark="*", signs=(" ", "^", "!"))
        )
        for kind in ({"dport": 5201}, {"dport": 0, "state": 10})
        for n, sport in enumerate((40282, 40298))
    ]  # fmt: skip
    assert len(set(lines)) == 4
    assert all(str(sport) in text for text, sport in zip(lines, (40282, 40298) * 2, strict=True))


def test_a_mark_is_seen_under_the_cursor_too() -> None:
    columns = choose(120, planes())

    def begin(*, selected: bool, marked: bool) -> str:
        return text_of(
            row_line(columns, make_row(level=2), None, selected=selected, marked=marked,
                     numeric=False, cursor=">", mark="*", signs=(" ", "^", "!"))
        )[:GUTTER]  # fmt: skip

    assert begin(selected=False, marked=False) == " ! "
    assert begin(selected=False, marked=True) == "*! "
    assert begin(selected=True, marked=False) == ">! "
    assert begin(selected=True, marked=True) == ">!*"


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_of_chosen_columns_who_and_why_go_last(width: int) -> None:
    chosen = tuple(FIELDS.values())
    for order in (chosen, chosen[::-1]):
        columns = choose(width, planes(), order)
        shown = [f.id for f, _ in columns.columns]
        assert {"who", "why"} <= set(shown), shown
        assert GUTTER + sum(c for _, c in columns.columns) + len(shown) - 1 <= width


def test_the_numbers_of_the_header_are_whole() -> None:
    model = planes()
    totals = replace(
        model.totals, tcp=1_234_567, udp=123_456, unwell=123_456, watch=123_456, netns=123,
        netns_hidden=1234, by_state={"ESTABLISHED": 1_234_567, "LISTEN": 12_345,
                                     "TIME_WAIT": 123_456},
        retrans_per_s=123_456.0, tx_bytes_per_s=1.2e8, rx_bytes_per_s=1.2e8, retr_pct=99.0,
    )  # fmt: skip
    cost = replace(model.cost, cpu_pct=99.9, bpf_runs_per_s=999e3, lost_events=123_456)
    model = replace(model, totals=totals, cost=cost, host="h" * 40, kernel="6.18.44-a-long-one")
    known = {
        "nettop", "h" * 24, "unwell", "watch", "!", "▲", "123456", "1234567", "12345", "tcp",
        "est", "listen", "tw", "udp", "retr", "123K/s", "99%", "↑960M", "↓960M", "123", "1357",
        "of", "netns", "6.18.44-a-long-o",
    }  # fmt: skip
    lost = Lately().texts(model.cost, 0.0)
    for width in WIDTHS:
        line = text_of(host_line(model, width, UTF8))
        assert len(line.rstrip()) <= width, (width, line)
        assert set(line.split()) <= known, (width, line)
        assert "! 123456 unwell" in line
        assert "▲ 123456 watch" in line
        chosen = text_of(host_line(replace(model, chosen=True), width, UTF8))
        assert len(chosen.rstrip()) <= width, (width, chosen)
        assert set(chosen.split()) <= known | {"all:", f"{totals.matched}"}, (width, chosen)
        assert ("retr" in chosen or "tcp" in chosen) == ("all:" in chosen), (width, chosen)
        assert "↑" not in chosen.partition("all:")[2], "flows are those of the filter"
        status = text_of(status_line(model, HeaderState(sort=Sort().field, lost=lost), width, UTF8))
        assert len(status.rstrip()) <= width, (width, status)
        assert "123456 records lost in 1m" in status, (width, status)
        assert status.rstrip().endswith("s"), "the interval stays"


def test_the_verdict_is_whole_in_its_pane() -> None:
    """The headline and its evidence, in the narrowest pane of every width."""
    model = planes()
    points = tuple(Point(i * 10**9, 1, 1, 1.0, 1.0, 1.0, 1, 1, 1.0) for i in range(60))
    for width in WIDTHS:
        panes = shown_panes(width, 3, zoomed=False)
        assert 3 in panes
        cells = width // len(panes) - 3
        for row, detail in sick_rows()[:: 1 if width % 20 == 0 else 7]:
            data = PaneData(model, row, detail, points, None, since_s=86_399.0)
            lines = health_lines(data, cells, 40, UTF8)
            assert all(width_of(line) <= cells for line in lines), (width, flowed(lines))
            said = explain(row, detail, model, 86_399.0)
            shown = flowed(lines)
            assert f"{said.who}: {said.what}{said.held} {said.evidence}" in shown, (width, shown)
            # With the lines that a small terminal has, the headline is still there.
            few = flowed(health_lines(data, cells, 9, UTF8))
            assert f"{said.who}: {said.what}{said.held}" in few, (width, few)


def test_panes_are_as_many_as_have_room() -> None:
    assert shown_panes(99, 2, zoomed=False) == {2}
    for number in (1, 2, 3, 4):
        two = shown_panes(100, number, zoomed=False)
        assert number in two
        assert len(two) == 2
        assert number in shown_panes(120, number, zoomed=False)
        assert shown_panes(240, number, zoomed=True) == {number}
    assert shown_panes(160, 1, zoomed=False) == {1, 2, 3, 4}


def test_a_ratio_to_a_minimum_of_microseconds_is_not_shown() -> None:
    row, detail = next(r for r in sick_rows() if r[0].rec.verdict == Verdict.RTT)
    said = explain(row, detail, planes(), None).evidence
    assert "×" not in said
    assert units.time(999e6) in said
    far = replace(row, rec=row.rec._replace(min_rtt_us=100_000))
    assert "10× its minimum 100ms" in explain(far, detail, planes(), None).evidence


def test_wrapped_text_keeps_every_word_and_its_look() -> None:
    parts = line(("net", Role.UNWELL), (": ", Role.DIM), ("a trip of 53ms", Role.BOLD), " far")
    for width in range(1, 40):
        lines = wrapped(parts, width)
        assert all(width_of(text) <= width for text in lines), width
        assert "".join(map(text_of, lines)).replace(" ", "") == text_of(parts).replace(" ", "")
    (first, *_), *_ = wrapped(parts, 80)
    assert first == ("net", Role.UNWELL)
    assert wrapped(line(), 10) == []


def test_a_number_and_its_unit_stay_on_one_line() -> None:
    said = (
        "stamping of what is selected begins in 5 s; at least 812 B in 30 ms, ± 20 ppm, 80 % lost"
    )
    for width in range(8, 80):
        for rows in (rows_of(said, width), list(map(text_of, wrapped(line(said), width)))):
            assert "".join(rows).replace(" ", "") == said.replace(" ", "")
            for whole in ("5 s;", "812 B", "30 ms,", "20 ppm,", "80 %"):
                assert any(whole in row for row in rows), (width, rows)
    assert rows_of("more than 5 sockets", 11) == ["more than 5", "sockets"]


def test_options_and_names_are_not_broken() -> None:
    said = "started with --tx-sample 16, on eth0-uplink"
    for width in range(11, 60):
        for rows in (rows_of(said, width), list(map(text_of, wrapped(line(said), width)))):
            for whole in ("--tx-sample", "eth0-uplink"):
                assert any(whole in row for row in rows), (width, rows)


def test_what_does_not_fit_beside_an_event_stands_under_what_it_says() -> None:
    nobody = line("10.77.0.2:7001 → 10.77.0.1:54324")
    long = line("[2001:db8:1111:2222:3333:4444:5555:6666]:7001")
    for who in (nobody, long):
        for width in range(30, 60):
            first, *rest = flow([line("-12.4s  retr"), who], width, " " * 8)
            assert text_of(first).startswith("-12.4s  retr")
            assert all(text_of(row).startswith(" " * 8) for row in rest), (width, rest)
            assert all(width_of(row) <= width for row in (first, *rest))


def test_a_word_of_the_second_line_stands_with_its_value() -> None:
    """Whatever stands beside it: a message, a tick of the past, a file."""
    state = HeaderState(filter_text="srtt > 5ms", sort=Sort().field, grouping="process", bell=3)
    some = ["filter srtt > 5ms", "  by process", "  sort unwell", "  bell 3"]
    named = ("   diag", " procs", " wait", " stages", " hw", " events")
    some += [f"{name}{UTF8.on}" for name in named]
    known = {"".join(some[:n]) for n in range(len(some) + 1)}
    for width in (60, 80, 100, 160):
        seen = set()
        for n in range(1, width + 1):
            for beside in ("message", "past", "file"):
                shown = status_line(planes(), replace(state, **{beside: "z" * n}), width, UTF8)
                seen.add(text_of(shown).partition("z")[0].rstrip())
        assert seen <= known, (width, seen - known)
        assert len(seen) > 3
