"""A tick of the past says the same whichever way one came to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.past import PastFeed
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording

HERE = Path(__file__).parents[1] / "data" / "recordings"


@pytest.fixture(params=["late-reader", "own-queue", "slow-nic"])
def recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    with closing(Recording(HERE / f"{request.param}.nettop")) as opened:
        yield opened


def said(feed: ReplayFeed) -> dict[str, Any]:
    out: list[bytes] = []
    model = feed.latest()
    assert model is not None
    write_tick(out.append, feed, model, Format.NDJSON)
    tick: dict[str, Any] = json.loads(b"".join(out))
    return tick


def played(recording: Recording) -> list[dict[str, Any]]:
    feed = ReplayFeed(recording.samples())
    ticks = []
    for _ in recording.frames():
        feed.tick()
        ticks.append(said(feed))
    return ticks


def test_forward_back_and_at_once(recording: Recording) -> None:
    ticks, frames = played(recording), recording.frames()
    feed = PastFeed(recording)
    assert feed.current == frames[-1]
    for at in (7, 6, 5, 4, 3, 2, 1, 0):
        assert said(feed) == ticks[at], at
        feed.step(-1)
    for at in range(8):
        assert said(feed) == ticks[at], at
        feed.step(1)
    for at in (4, 0, 7, 2, 2, 5):
        feed.seek(frames[at].seq)
        assert said(feed) == ticks[at], at
        assert feed.current == frames[at]


def test_at_the_ends_it_stays(recording: Recording) -> None:
    frames = recording.frames()
    feed = PastFeed(recording, seq=frames[0].seq)
    for n, at in ((-1, 0), (-100, 0), (3, 3), (100, 7), (1, 7), (-3, 4)):
        feed.step(n)
        assert feed.current == frames[at]
    feed.seek(0)
    assert feed.current == frames[0]
    feed.seek(10**6)
    assert feed.current == frames[-1]
