"""A few damaged files through the real screen; `python -m tests.tui.fuzz_files` tries more."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.fakes import SESSION, FakeFeed
from tests.tui.conftest import Running
from tests.tui.fuzz_files import run


async def test_each_member_of_a_socket_may_be_missing(running: Running, tmp_path: Path) -> None:
    tree = json.loads(SESSION.read_text())
    one = max(tree["sockets"], key=lambda s: len(s.get("tcp_info", ())))
    needed = {"cookie", "netns", "proto", "family", "state", "local", "remote", "uid"}
    places: list[tuple[str, ...]] = [(key,) for key in one if key not in needed]
    places += [
        (key, name) for key, inner in one.items() if isinstance(inner, dict)
        for name in inner if key in ("tcp_info", "skmem", "meminfo", "attrs", "rx_wait", "tx")
    ]  # fmt: skip
    tree["sockets"] = []
    for number, place in enumerate(places, 1):
        socket: Any = copy.deepcopy(one)
        socket["cookie"] = number
        holder = socket if len(place) == 1 else socket[place[0]]
        del holder[place[-1]]
        tree["sockets"].append(socket)
    path = tmp_path / "holes.json"
    path.write_text(json.dumps(tree))
    async with running(feed=FakeFeed(path), width=200) as screen:
        assert screen.feed.count() == len(places) > 60
        for _ in range(0, len(places) + 1, 8):
            await screen.pilot.press(*["down"] * 8)
            await screen.press("v")
        await screen.press("G", "enter")
        assert screen.app.screen is not screen.main
        for _ in range(0, len(places), 8):
            await screen.pilot.press(*["up"] * 8)
        await screen.settle()


def test_damaged_files_through_the_screen() -> None:
    assert run(12, 1, seed=5000) == []
