"""B: the bell rings while a condition holds."""

from __future__ import annotations

import pytest

from nettop.query import compile_filter
from nettop.query.compile import planes_off
from nettop.tui.bell import PAUSE_S, Bell
from tests.fakes import FakeFeed
from tests.tui.conftest import Running, Screen


async def write(screen: Screen, key: str, text: str, *then: str) -> None:
    """Opens a prompt by its key and writes into it."""
    await screen.press(key, "ctrl+u")
    screen.main.paste(text)
    await screen.press("enter", *then)


def test_it_pauses_between_two_rings() -> None:
    compiled = compile_filter("srtt > 1ms")
    assert compiled is not None
    bell = Bell("srtt > 1ms", compiled)
    now = 100.0
    heard = []
    for after_s, matching in [(0, 0), (1, 2), (2, 2), (1 + PAUSE_S, 1), (2 + PAUSE_S, 0)]:
        heard.append(bell.hear(matching, lambda at=now + after_s: at))  # type: ignore[misc]
    assert heard == [False, True, False, True, False]
    assert bell.matching == 0


async def test_it_rings_while_the_condition_holds(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings: list[int] = []
    async with running() as screen:
        monkeypatch.setattr(screen.app, "bell", lambda: rings.append(1))
        await screen.press("B")
        assert "bell while level >= unwell" in screen.text
        await screen.press("escape")
        await write(screen, "B", "srtt > 0ms")
        assert "the bell rings while srtt > 0ms; B stops it" in screen.text
        assert rings == []
        # Another filter on the screen changes nothing of what it listens to.
        await write(screen, "slash", "comm = nothing-is-called-so")
        screen.feed.publish()
        await screen.settle()
        assert rings == [1]
        assert screen.main.bell.matching > 3
        assert "srtt > 0ms: " in screen.text
        screen.main.message = None
        screen.feed.publish()
        await screen.settle()
        assert rings == [1]  # it pauses
        assert f"bell {screen.main.bell.matching}" in screen.text
        await screen.press("B")
        assert "bell off" in screen.text
        screen.feed.publish()
        await screen.settle()
        assert rings == [1]


async def test_a_pause_silences_it(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    rings: list[int] = []
    async with running() as screen:
        monkeypatch.setattr(screen.app, "bell", lambda: rings.append(1))
        await write(screen, "B", "srtt > 0ms", "space")
        screen.feed.publish()
        await screen.settle()
        assert rings == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rxwait.p99 > 1ms", "no bell: wait is off: needs CAP_BPF"),
        ("pmtu > 1000", "no bell: it asks for numbers that are read of the sockets on the screen"),
    ],
)
async def test_what_it_could_not_hear_is_said(running: Running, text: str, why: str) -> None:
    feed = FakeFeed()
    feed.without_privilege()
    async with running(feed=feed) as screen:
        await write(screen, "B", text)
        assert why in screen.text
        assert screen.main.bell is None


async def test_a_mistake_is_marked_in_the_prompt(running: Running) -> None:
    async with running() as screen:
        await write(screen, "B", "lvl > ok and srtt > 1ms")
        assert "           ^ column 1: no field 'lvl'" in screen.text
        await screen.press("escape")
        assert screen.main.bell is None
        await screen.press("slash")
        assert screen.text.count("filter ") >= 1


def test_a_plane_that_is_on_is_not_said_to_be_off() -> None:
    feed = FakeFeed()
    compiled = compile_filter("rxwait.p99 > 1ms")
    assert compiled is not None
    model = feed.latest()
    assert model is not None
    assert planes_off(compiled, model) == {}
    feed.without_privilege()
    model = feed.latest()
    assert model is not None
    assert planes_off(compiled, model).keys() == {"wait"}
