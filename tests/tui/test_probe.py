"""The probe's screen on tallies that stand still, and live in a terminal."""

from __future__ import annotations

import itertools
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from nettop.model.stamps import Sent
from nettop.probe.clock import boot_number
from nettop.probe.legs import Leg, Round
from nettop.probe.options import parse_probe
from nettop.probe.report import means
from nettop.probe.tally import Point, Tally
from nettop.probe.wire import FarTimes
from nettop.stamps import Flight
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.probe.app import ProbeApp, run_probe_app
from nettop.tui.probe.lines import heat_lines, last_lines, screen_lines
from nettop.tui.widgets.lines import width_of
from tests.probe.peers import probed, udp_peer

T, MONO = 10**18, 5 * 10**12
MS = 1_000_000


def filled(n: int = 40) -> Tally:
    """A tally of probes whose queue takes 7 ms of 8, the fifth lost, the last late."""
    tally = Tally()
    for seq in range(n):
        at = MONO + seq * 200 * MS
        took = 30 * MS if seq == n - 1 else 8 * MS
        f = Flight(seq, Sent(T, at, at + 5), [T + 4_000], [T + took - 1 * MS])
        far = FarTimes(boot_number(), None, T + took - 800_000, T + took - 700_000,
                       T + took - 600_000, seq - 1, T, T + took - 500_000)  # fmt: skip
        tally.sent += 1
        r = Round(seq, f, 128, T + took, at + took, T + took - 100_000, far)
        if seq == 5:
            tally.lose(r)
            continue
        tally.answered += 1
        tally.settle(r, stages=("sched", "snd"))
    return tally


def still(tally: Tally, **more: Any) -> Any:
    options = parse_probe(["udp", "10.0.4.2:9000"], {"LANG": "C.UTF-8"})
    known = {
        "tally": tally, "options": options, "target": SimpleNamespace(text="udp 10.0.4.2:9000"),
        "interval_s": 0.2, "paused": False, "failure": None, "started_ns": MONO, "hardware": None,
        "clear": lambda: None, "stop": lambda: None, "run": lambda _say: None,
    }  # fmt: skip
    return SimpleNamespace(**(known | more))


def text_of(prober: Any, width: int, height: int, g: Any = UTF8) -> list[str]:
    lines = screen_lines(prober, width, height, g, MONO + 60_000 * MS)
    assert len(lines) == height
    assert all(width_of(parts) <= width for parts in lines)
    return ["".join(text for text, _ in parts) for parts in lines]


@pytest.mark.parametrize("size", [(200, 55), (120, 40), (100, 30), (80, 24), (60, 12), (20, 5)])
@pytest.mark.parametrize("glyphs", [UTF8, ASCII])
def test_it_fits_every_size(size: tuple[int, int], glyphs: Any) -> None:
    lines = text_of(still(filled()), *size, glyphs)
    assert lines[0].startswith("nettop probe  udp 10"[: size[0]])
    text_of(still(Tally()), *size, glyphs)


def test_what_it_says() -> None:
    lines = text_of(still(filled()), 120, 40)
    assert "sent 40 lost 1 (2.5%) late 1" in lines[0]
    assert lines[1].endswith("one clock, one-way times are exact")
    (queue,) = [line for line in lines if line.startswith("qdisc")]
    assert queue.split()[4:8] == ["29.0ms", "7.01ms", "7.01ms", "29.0ms"]
    assert any("kern: the packet scheduler of this host holds the probes" in x for x in lines)
    assert any(re.search(r"#39 +30\.0ms +qdisc 29\.0ms", x) for x in lines)
    (title,) = [i for i, line in enumerate(lines) if line.startswith("round trips over time")]
    assert "x" in lines[title + 1]


@pytest.mark.parametrize("n_notes", [0, 1, 2])
def test_a_small_terminal_has_the_map_too(n_notes: int) -> None:
    """With every part of the way that a probe over TCP knows, and what else must be known."""
    tally = filled()
    tally.legs[Leg.ACK] = tally.legs[Leg.QDISC]
    tally.resent, tally.joined = int(n_notes > 0), int(n_notes > 1)
    lines = text_of(still(tally), 80, 24)
    (title,) = [i for i, line in enumerate(lines) if line.startswith("round trips over time")]
    rows, axis = lines[title + 1 : -2], lines[-2]
    assert len(rows) >= 3 - (n_notes > 1)
    assert axis.split() == ["-7.80s", "now"]
    assert any("░" in row for row in rows)
    assert any("kern: the packet scheduler" in line for line in lines)


def test_parts_of_the_mean_that_stand_beside_each_other_look_different() -> None:
    tally = filled()
    for leg in (Leg.SEND, Leg.FAR_IN, Leg.FAR_APP, Leg.FAR_OUT, Leg.WAIT):
        tally.legs[leg] = tally.legs[Leg.QDISC]
    lines = text_of(still(tally), 120, 40)
    (bar,) = [line for line in lines if line.startswith("mean ")]
    runs = [sign for sign, _ in itertools.groupby(bar.split()[2])]
    shares = [mean for _, mean in means(tally)]
    named = [mean for mean in shares if mean >= 0.005 * sum(shares)]
    assert len(runs) == len(named) > 5


def test_the_lost_one_is_in_the_list() -> None:
    lines = text_of(still(filled(8)), 120, 40)
    assert any(re.search(r"#5 +lost", line) for line in lines)


def test_a_lost_one_is_shown_at_its_send() -> None:
    """Its fate is known last: it was sent before all others."""
    tally = filled(30)
    first = Round(99, Flight(99, Sent(T, MONO - 400 * MS, MONO)), 128)
    tally.lose(first)
    lines = text_of(still(tally), 120, 40)
    (title,) = [i for i, line in enumerate(lines) if line.startswith("round trips over time")]
    assert lines[title + 1][8] == "x"


def test_a_screen_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    prober = still(filled(), close=lambda: None, was_answered=True)
    monkeypatch.setattr("nettop.tui.probe.app.open_probe", lambda _options: prober)
    monkeypatch.setattr(ProbeApp, "run", lambda self, **_more: self._handle_exception(OSError()))
    monkeypatch.setattr(ProbeApp, "_fatal_error", lambda _self: None)
    assert run_probe_app(prober.options) == 1


def test_pause_and_failure_are_seen() -> None:
    lines = text_of(still(filled(), paused=True, failure="the far end reset"), 120, 40)
    assert " PAUSED " in lines[0]
    assert "the far end reset" in lines


async def test_keys() -> None:
    cleared: list[int] = []
    prober = still(filled(), clear=lambda: cleared.append(1))
    app = ProbeApp(prober)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("space")
        assert prober.paused
        await pilot.press("space")
        assert not prober.paused
        await pilot.press("plus")
        assert prober.interval_s == 0.5
        await pilot.press("minus", "minus")
        assert prober.interval_s == 0.1
        for _ in range(20):
            await pilot.press("minus")
        assert prober.interval_s == 0.001
        await pilot.press("ctrl+r")
        assert cleared == [1]
        await pilot.press("e")
        assert app.message.startswith("wrote nettop-probe-")
        await pilot.press("f9")
        assert app.message == "no key F9 here"
        await pilot.press("q")
    assert app.return_value == 0


async def test_live_against_an_echo() -> None:
    with udp_peer(lambda _n, data: [data]) as port:
        from nettop.probe.run import open_probe

        options = parse_probe(["udp", f"127.0.0.1:{port}", "-i", "0.01"], {"LANG": "C.UTF-8"})
        prober = open_probe(options)
        app = ProbeApp(prober)
        async with app.run_test(size=(100, 30)) as pilot:
            end = time.monotonic() + 5
            while prober.tally.answered < 20 and time.monotonic() < end:
                await pilot.pause(0.05)
            app.redraw()
            await pilot.pause()
            shown = "\n".join(s.text for s in app.screen._compositor.render_strips())
            await pilot.press("q")
        prober.close()
    assert "an echo without times of its own" in shown
    assert re.search(r"^round .*µs", shown, re.MULTILINE)
    assert prober.tally.lost == 0


def test_a_run_in_this_process_ends_by_itself() -> None:
    with udp_peer(lambda _n, data: [data]) as port:
        assert probed("udp", f"127.0.0.1:{port}", "-c", "3", "-i", "0.01").tally.answered == 3


@pytest.mark.parametrize("times", [(12, 29), (1, 90), (7, 7), (3, 4000)])
@pytest.mark.parametrize("rows", [3, 8, 19])
def test_times_beside_the_map_are_round_and_stand_in_their_row(
    times: tuple[int, int], rows: int
) -> None:
    points = [Point(i, MONO + i * MS, ms * MS, None) for i, ms in enumerate(times)]
    title, *shown, foot = ["".join(t for t, _ in p) for p in heat_lines(points, 80, rows + 2, UTF8)]
    assert title.startswith("round trips over time")
    assert "░1  ▒2  ▓4  █8  x lost" in title
    assert foot.split()[-1] == "now"
    assert len(shown) == rows
    names = {rows - 1 - i: text.split()[0] for i, text in enumerate(shown) if text[:8].strip()}
    assert names
    assert all(re.fullmatch(r"[125]0{0,2}(ms|s)", name) for name in names.values()), names
    unit = {"ms": MS, "s": 1000 * MS}
    known = {
        row: int(re.sub(r"\D", "", name)) * unit[re.sub(r"\d", "", name)]
        for row, name in names.items()
    }
    filled = [rows - 1 - i for i, text in enumerate(shown) if text[8:].strip()]
    for row, ns in known.items():
        for at, ms in ((min(filled), min(times)), (max(filled), max(times))):
            assert row > at or ns <= ms * MS or row == at, "a name above what it is longer than"
            assert row < at or ns >= ms * MS or row == at


def test_of_a_service_without_answers_no_round_trip_is_spoken_of() -> None:
    parts = [Point(i, MONO + i * MS, None, Leg.CONNECT, 2 * MS) for i in range(30)]
    rounds = [replace(p, round_ns=3 * MS) for p in parts]
    for points, of_rounds in ((parts, False), (rounds, True)):
        lines = heat_lines(points, 80, 9, UTF8), last_lines(points, 9)
        heat, last = ("".join(t for t, _ in some[0]) for some in lines)
        assert heat.startswith("round trips over time" if of_rounds else "longest parts over time")
        assert ("late: over 3× p50" in last) == of_rounds
