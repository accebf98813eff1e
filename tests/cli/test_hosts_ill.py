"""Twelve hosts of which half are ill in one way each: the others go on, and nothing waits."""

from __future__ import annotations

import os
import signal
import sys
import time

from nettop.hosts.feed import HostsFeed, HostTick
from nettop.model.hosts import LIVE, LOST, SILENT, HostState
from tests.bench.illhosts import DAY_NS, GARBAGE, a_day_ahead, slow

STREAM = [sys.executable, "-m", "nettop", "stream", "--control", "-d", "0.5", "--no-bpf"]
WELL = [f"well-{n}" for n in range(5)]
ANSWER = {
    **dict.fromkeys([*WELL, "stopped"], STREAM), "slow": slow(STREAM), "day": a_day_ahead(STREAM),
}  # fmt: skip
NEVER = {
    "refused": ["sh", "-c", "echo 'Permission denied (publickey).' >&2; exit 255"],
    "gone": ["false"], "mute": ["sleep", "60"], "garbage": GARBAGE,
}  # fmt: skip
# A core that others want may keep a tick of a host from coming in time, not most of them.
STOPPED_S, LEAST = 7.0, 7
ASK_S = 0.5  # what the screen asks for holds a key up for so long at most


def test_ill_hosts_hold_up_neither_the_others_nor_the_screen() -> None:
    came = dict.fromkeys({**ANSWER, **NEVER}, 0)
    said: list[str] = []
    feed = HostsFeed({**ANSWER, **NEVER}, delay_s=0.5, top=100, say=said.append)

    def took(tick: HostTick) -> None:
        came[tick.name] += 1

    feed.on_tick = took
    feed.begin()
    try:
        feed.wait(lambda: all(came[name] > 3 for name in ANSWER), time.monotonic() + 60)
        assert {name for name in came if came[name] > 3} == set(ANSWER)
        feed.say_changes()
        link = feed._links[list(came).index("stopped")]
        assert link._child is not None
        os.killpg(link._child.pid, signal.SIGSTOP)
        try:
            before, longest_s = dict(came), 0.0
            end = time.monotonic() + STOPPED_S
            while (begin := time.monotonic()) < end:
                feed.latest()
                feed.window(0, 50)
                feed.say_changes()
                longest_s = max(longest_s, time.monotonic() - begin)
                time.sleep(0.1)
            more = {name: came[name] - before[name] for name in came}
            states = {host.name: host for host in feed.hosts()}
        finally:
            os.killpg(link._child.pid, signal.SIGCONT)
        assert more["stopped"] <= 1
        assert all(more[name] >= LEAST for name in [*WELL, "slow", "day"]), more
        assert longest_s < ASK_S
        feed.wait(lambda: came["stopped"] > before["stopped"] + 1, time.monotonic() + 20)
        assert state_of(feed, "stopped").state == LIVE
    finally:
        feed.close()
    assert {name for name, host in states.items() if host.state == LIVE} == {*WELL, "slow", "day"}
    assert states["stopped"].state == SILENT
    assert {states[name].state for name in ("refused", "gone", "garbage")} == {LOST}
    off, bar = states["day"].clock_offset_ns, states["day"].clock_bar_ns
    assert off is not None
    assert bar is not None
    assert abs(off - DAY_NS) <= bar
    assert all(0 <= (states[name].lag_s or 0) < 5 for name in [*WELL, "slow", "day"]), states
    lines = {name: [x for x in said if x.startswith(f"{name}: ")] for name in came}
    assert all(not lines[name] for name in [*WELL, "slow", "day"]), said
    assert lines["refused"] == ["refused: Permission denied (publickey)."]
    assert [len(lines[name]) for name in ("stopped", "gone", "garbage")] == [1, 1, 1], said
    assert "no stream of nettop" in lines["garbage"][0]


def state_of(feed: HostsFeed, name: str) -> HostState:
    return next(host for host in feed.hosts() if host.name == name)
