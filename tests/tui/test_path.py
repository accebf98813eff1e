"""The path view of the RX pane."""

from __future__ import annotations

from nettop.model.path import Hook, HookTick, PathCounts
from nettop.model.types import Dist, Histogram
from nettop.tui.panes.path import path_lines
from nettop.tui.panes.views import HISTOGRAM, PATH
from tests.tui.conftest import Running

NONE = Histogram(Dist(), ())
FAST = Histogram(Dist(9, 90_000, 8_000, 12_000, 14_000, 14_000), ((8_000, 16_000, 9),))
LATE = Histogram(Dist(5, 250_000_000, 50_000_000, 51_000_000, 52_000_000, 52_000_000), ())
TICK = {
    Hook.IP: HookTick(FAST, FAST, PathCounts(0, 2, 0, 0)),
    Hook.TCP_READ: HookTick(LATE, LATE, PathCounts(0, 0, 1, 3)),
    Hook.UDP_READ: HookTick(NONE, FAST, PathCounts(4, 0, 0, 0)),
    Hook.UDP_QUEUED: HookTick(NONE, NONE, PathCounts(0, 0, 0, 0)),
}


def test_a_line_per_hook_and_what_was_left_out() -> None:
    lines = ["".join(text for text, _ in parts) for parts in path_lines(TICK, 80, 10)]
    assert lines[0].split() == ["all", "packets", "of", "this", "host", "n", "p50", "p90", "p99",
                                "max"]  # fmt: skip
    assert lines[1] == "received → IP                       9 8.00µs 12.0µs 14.0µs 14.0µs"
    assert lines[2].startswith("received → read from TCP            5 50.0ms")
    assert lines[3].startswith("received → read from UDP            9"), "of the run"
    assert lines[4].split()[-4:] == ["–", "–", "–", "–"]
    assert lines[5] == "from the kernel's stamp of reception; stamping is on, host-wide"
    assert lines[6] == "4 left out: behind a lost segment, or impossible times"
    assert all(len(parts) <= 50 for parts in path_lines(TICK, 44, 10))
    assert path_lines(TICK, 80, 3) == path_lines(TICK, 80, 10)[:3]


async def test_v_comes_to_it_only_while_the_plane_is_on(running: Running) -> None:
    async with running() as screen:
        await screen.press("1", "z", "v", "v", "v")
        assert screen.main.views.of(1, screen.main.model) == HISTOGRAM
        screen.feed.publish(path=TICK)
        await screen.settle()
        await screen.press("v", "v", "v")
        assert screen.main.views.of(1, screen.main.model) == PATH
        assert "received → read from TCP" in screen.text
        await screen.press("v")
        assert "received → read from TCP" not in screen.text
