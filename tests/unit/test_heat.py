"""The heatmap: what is counted where, and that no row is empty because no octave reaches it."""

from __future__ import annotations

from nettop.model.buckets import OCTAVES, octave_edges
from nettop.model.types import Dist, Histogram, Point
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.panes.cdf import Curve, cdf_lines
from nettop.tui.panes.heat import HeatView, heat_of, heatmap_lines, percentile, rows_of
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, width_of

S = 10**9


def octaves(**counts: int) -> tuple[int, ...]:
    out = [0] * OCTAVES
    for name, count in counts.items():
        out[int(name[1:])] = count
    return tuple(out)


def point(at_s: float, waits: tuple[int, ...] | None) -> Point:
    return Point(int(at_s * S), None, None, None, None, None, None, None, None, waits)


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def test_an_octave_fills_the_rows_that_it_covers() -> None:
    for rows in (6, 12, 18, 24, 30):
        every = rows_of([1] * OCTAVES, 3, 9, rows)
        assert all(every), (rows, every)
    low, high = octave_edges(10)
    one = rows_of(octaves(o10=8), 3, 9, 24)
    assert abs(sum(one) - 8) < 1e-9
    for row, count in enumerate(one):
        a, b = 10 ** (3 + row / 4), 10 ** (3 + (row + 1) / 4)
        assert (count > 0) == (a < high and b > low), (row, count)
    assert rows_of(octaves(o0=3), 3, 9, 6)[0] == 3, "what is below is in the lowest row"
    assert rows_of(octaves(o31=3), 3, 9, 6)[-1] == 3


def test_a_tick_longer_than_a_column_leaves_no_gap_and_counts_once() -> None:
    history = [point(at, octaves(o10=4)) for at in range(0, 301, 5)]
    heat = heat_of(history, 150, 300)
    assert all(column is not None and sum(column) == 4 for column in heat.shown[1:])
    assert sum(sum(c) for c in heat.ended if c is not None) == 4 * 60
    # Where no tick was kept, nothing is shown.
    paused = heat_of([point(0, octaves(o10=1)), point(1, octaves(o10=1)), point(2, octaves(o10=1)),
                      point(60, octaves(o10=1))], 60, 60)  # fmt: skip
    assert [column is not None for column in paused.shown] == [i in (0, 1, 59) for i in range(60)]


def test_the_map_names_decades_and_its_legend_is_whole() -> None:
    history = [point(at, octaves(o5=3, o20=30)) for at in range(300)]
    for width in (37, 48, 58, 118):
        lines = heatmap_lines(history, width, 11, UTF8)
        texts = [text_of(line) for line in lines]
        assert all(width_of(line) <= width for line in lines), texts
        names = [text[:6].strip() for text in texts[:-2] if text[:6].strip()]
        assert set(names) <= {"100ns", "1µs", "10µs", "100µs", "1ms", "10ms", "100ms", "1s"}, names
        assert "░1  ▒5  ▓25  █125" in texts[-1]
        assert "-5m" in texts[-2]
        assert "now" in texts[-2]


def test_the_cursor_says_what_was_then() -> None:
    late = {at: octaves(o10=1, o20=9) for at in (275, 276, 277, 278)}
    history = [point(at, late.get(at, octaves(o10=5))) for at in range(301)]
    view = HeatView().moved(-7)  # a column is 300 s / 83: from 21.7 to 25.3 s ago
    lines = heatmap_lines(history, 120, 30, UTF8, view)
    side = "\n".join(text_of(line).rpartition("│")[2].rstrip() for line in lines)
    assert "at the cursor -21.7s" in side, side
    assert "n             40\n p50        ~67ms" in side, side
    assert view.moved(10**6).cursor == 0, "not past now"
    assert HeatView().wider(1).span_s > HeatView().span_s > HeatView().wider(-1).span_s


def test_a_percentile_is_the_upper_edge_of_its_octave() -> None:
    counts = octaves(o10=90, o12=9, o15=1)
    assert [percentile(counts, q) for q in (0.5, 0.9, 0.99, 1.0)] == [
        float(octave_edges(o)[1]) for o in (10, 10, 12, 15)
    ]
    assert percentile(octaves(), 0.5) is None


def test_curves_stand_where_their_times_are() -> None:
    fast = Histogram(Dist(100, 0, 10**4, 10**4, 10**4, 10**4), ((9_000, 10_000, 100),))
    slow = Histogram(Dist(100, 0, 10**7, 10**7, 10**7, 10**7), ((9 * 10**6, 10**7, 100),))
    for glyphs, blank in ((UTF8, " ·"), (ASCII, " .")):
        lines = cdf_lines((Curve("A", fast, Role.DIM), Curve("B", slow, Role.BOLD)), 70, 12, glyphs)
        rows = [text_of(line)[6:].ljust(60) for line in lines[:10]]
        drawn = [[i for i, sign in enumerate(row) if sign not in blank] for row in rows]
        # One rises at a sixth of the axis, the other at four sixths.
        assert all(min(at) in range(9, 12) and max(at) in range(39, 42) for at in drawn if at), rows
        assert text_of(lines[-1]).split() == ["A", "B"]
    nothing = Curve("A", Histogram(Dist(), ()), Role.DIM)
    assert not any(
        set(text_of(line)[6:]) - set(" ·") for line in cdf_lines((nothing,), 70, 12, UTF8)[:10]
    )
