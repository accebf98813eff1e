"""The screen of many hosts in the past: its times are of them all."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from nettop.hosts.feed import HostsFeed
from nettop.model.hosts import LIVE
from nettop.model.types import Model
from tests.tui.test_past import looking
from tests.unit.test_hosts_past import Hosts, S


async def test_ticks_of_many_hosts_are_shown_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for itself they would be a repaint after the other, and no key would come through."""
    hosts = Hosts("ab")
    feed = HostsFeed({"a": ["/nonexistent"], "b": ["/nonexistent"]}, delay_s=1.0, lookback_s=900)
    feed.past, feed._feeds = hosts.past, [h.feed for h in hosts.hosts.values()]
    monkeypatch.setattr(feed, "begin", lambda: None)
    for link in feed._links:
        link._state = LIVE
    hosts.round("ab", 3)
    async with looking(feed, 130, 30) as screen:
        shown: list[float] = []
        show_model = screen.app.main.show_model

        def counted(model: Model) -> None:
            shown.append(time.monotonic())
            show_model(model)

        monkeypatch.setattr(screen.app.main, "show_model", counted)
        begin = time.monotonic()
        for _ in range(100):
            feed._change()
            await asyncio.sleep(0.01)
        assert 2 <= len(shown) <= (time.monotonic() - begin) / feed.gather_s + 2
        assert all(b - a >= 0.8 * feed.gather_s for a, b in pairwise(shown))
        while feed._announced:  # the last one is not left out
            await asyncio.sleep(0.01)


async def test_keys_go_through_the_past_of_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts("ab")
    feed = HostsFeed({"a": ["/nonexistent"], "b": ["/nonexistent"]}, delay_s=1.0, lookback_s=900)
    feed.past, feed._feeds = hosts.past, [h.feed for h in hosts.hosts.values()]
    monkeypatch.setattr(feed, "begin", lambda: None)
    for link in feed._links:
        link._state = LIVE
    hosts.round("ab", 3)
    hosts.lose("b")
    hosts.round("a", 3)
    hosts.now_ns += S
    async with looking(feed, 130, 30) as screen:
        feed._change()
        await screen.settle()
        assert "2 hosts" in screen.lines[0]
        await screen.press("[")
        assert screen.seq == 6
        assert "1 of 2 hosts, not b" in screen.lines[0]
        rows = screen.app.feed.window(0, 99)
        assert {row.host for row in rows} == {"a"}
        await screen.press("[", "[", "[", "t")
        assert screen.seq == 3
        assert {row.host for row in screen.app.feed.window(0, 99)} == {"a", "b"}
        await screen.press("t", "L")
        assert screen.app.feed is feed
        assert "live" in screen.lines[1]


async def test_braces_stop_where_a_host_was_lost_and_where_it_came_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = Hosts("ab")
    feed = HostsFeed({"a": ["/nonexistent"], "b": ["/nonexistent"]}, delay_s=1.0, lookback_s=900)
    feed.past, feed._feeds = hosts.past, [h.feed for h in hosts.hosts.values()]
    monkeypatch.setattr(feed, "begin", lambda: None)
    for link in feed._links:
        link._state = LIVE
    for memory in hosts.past.memories:  # no other change
        monkeypatch.setattr(memory.said.changes, "after", lambda seq: iter(()))
    hosts.round("ab", 4)
    hosts.lose("b", reason="Connection reset by 10.0.0.2")
    hosts.round("a", 3)
    hosts.hosts["b"].begin()
    hosts.round("ab", 4)
    hosts.now_ns += S
    async with looking(feed, 130, 30) as screen:
        feed._change()
        await screen.settle()
        await screen.press("left_curly_bracket")
        assert screen.seq == 8
        assert "b: answers again (lost: Connection reset by 10.0.0.2)" in screen.lines[1]
        await screen.press("left_curly_bracket")
        assert screen.seq == 5
        assert "b: lost: Connection reset by 10.0.0.2" in screen.lines[1]
        assert "1 of 2 hosts, not b" in screen.lines[0]
        await screen.press("left_curly_bracket")
        assert "no change of any socket is kept before this tick" in screen.text
        await screen.press("right_curly_bracket")
        assert screen.seq == 8
        # Under a filter only hosts of which rows pass it.
        await screen.press("L", "slash", *"on = a", "enter", "left_curly_bracket")
        assert "no change of a matched socket is kept before this tick" in screen.text
        await screen.press("slash", "ctrl+u", *"on = b", "enter", "left_curly_bracket")
        assert screen.seq == 8
        await screen.press("left_curly_bracket")
        assert screen.seq == 5
