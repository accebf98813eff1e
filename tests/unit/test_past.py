"""A tick of the past says the same whichever way one came to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nettop import warm
from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.feed import Grouping
from nettop.past import PastFeed
from nettop.query import compile_filter
from nettop.replay import ReplayFeed
from nettop.store.memory import MemoryFrames
from nettop.store.recording import Recording
from nettop.tui.panes.gather import waits_of
from nettop.tui.panes.rx import Waits
from nettop.warm import start_of

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


# --- any way, over all planes and several starts ---


def shown(feed: PastFeed) -> dict[str, Any]:
    """All that a screen asks of a tick."""
    feed.settle()
    model = feed.latest()
    assert model is not None
    rows = feed.window(0, 100)
    for row in rows:  # places in the engine
        row.rec = row.rec._replace(detail=0, plane=0)
    return {
        "tick": said(feed),
        "model": model,
        "order": [row.cookie for row in rows],
        "rows": {row.cookie: (row, feed.detail(row.cookie)) for row in rows},
        "runs": (feed.rx_wait(None, run=True), feed.tx(None, run=True)),
        "of one": [(feed.rx_wait([r.cookie], run=True), feed.tx([r.cookie], run=True),
                    feed.events([r.cookie], most=20), feed.events_memory([r.cookie]))
                   for r in rows],
        "groups": [feed.groups(grouping) for grouping in Grouping if grouping],
        "closed": feed.closed((), most=50),
        "events": feed.events((), most=100),
        "history": (feed.history(None), [feed.history(cookie) for cookie in feed._focus]),
    }  # fmt: skip


@pytest.fixture
def moving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """Thirty ticks in 10 s, with a key frame every 1.7 s."""
    monkeypatch.setattr(warm, "WARM_UP_NS", 2 * 10**9)
    with closing(Recording(HERE / "moving.nettop")) as opened:
        yield opened


_direct: dict[tuple[int, str | None], dict[str, Any]] = {}


def direct(recording: Recording, seq: int, text: str | None = None) -> dict[str, Any]:
    """What is shown where one goes there at once."""
    if (seq, text) not in _direct:
        _direct[seq, text] = shown(PastFeed(recording, seq=seq, filter_text=text))
    return _direct[seq, text]


FILTERS = (None, "proto = tcp", "state established and total_retrans > 0")
moves = st.tuples(st.sampled_from(["seek", "step", "step", "filter"]), st.integers(-30, 30))


@pytest.mark.parametrize("kept", [4, 16])
def test_a_tick_does_not_depend_on_the_way(
    moving: Recording, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(warm, "_KEPT_MOST", kept)
    first = moving.frames()[0].seq

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(st.lists(moves, max_size=8))
    def check(way: list[tuple[str, int]]) -> None:
        feed = PastFeed(moving)
        for how, n in [*way, ("step", 0)]:
            if how == "seek":
                feed.seek(first + n % 30)
            elif how == "step":
                feed.step(n if abs(n) < 4 else n // 8)
            else:
                text = FILTERS[n % 3]
                feed.set_filter(compile_filter(text, feed.names) if text else None)
        assert shown(feed) == direct(moving, feed.current.seq, feed.filter_text)

    check()


def test_a_step_at_a_time_through_every_start(moving: Recording) -> None:
    frames = moving.frames()
    ticks = [direct(moving, f.seq) for f in frames]
    starts = {start_of(frames, f).seq for f in frames}
    assert len(starts) >= 4
    assert any(t["tick"]["events"] for t in ticks)
    assert any(t["runs"][0].dist.count for t in ticks)
    assert any(t["runs"][1] for t in ticks)
    feed = PastFeed(moving, seq=frames[0].seq)
    for forth in ticks:
        assert shown(feed) == forth
        feed.step(1)
    for back in reversed(ticks):
        assert shown(feed) == back
        feed.step(-1)


def test_it_is_the_same_with_a_worker_beside_it(moving: Recording) -> None:
    ticks = [direct(moving, f.seq) for f in moving.frames()]
    feed = PastFeed(moving)
    said_more: list[None] = []
    with closing(feed):
        feed.start(lambda: said_more.append(None))
        for back in reversed(ticks):
            assert shown(feed) == back
            feed.step(-1)
    assert said_more
    assert feed._ticks._worker is None


def test_histories_follow_the_focus(moving: Recording) -> None:
    frames = moving.frames()
    feed = PastFeed(moving, seq=frames[20].seq)
    cookies = [row.cookie for row in feed.window(0, 3)]
    assert all(feed.history(cookie) == [] for cookie in cookies)
    feed.set_focus(cookies)
    feed.settle()
    points = feed.history(cookies[0])
    assert points[-1].mono_ns == frames[20].mono_ns
    assert points[0].mono_ns <= frames[20].mono_ns - warm.WARM_UP_NS
    feed.step(1)
    further = feed.history(cookies[0])
    # At a start no rate is known.
    assert len(further) > 4
    assert further[1:-1] == points[-len(further) + 2 :]


# --- runs ---


def counts(feed: ReplayFeed) -> list[Any]:
    """Buckets of the runs, of all and of each socket."""
    some = [None, *([row.cookie] for row in sorted(feed.window(0, 100), key=lambda r: r.cookie))]
    waits = [feed.rx_wait(of, run=True) for of in some]
    sends = [stage for of in some for stage in feed.tx(of, run=True) or ()]
    return [h.buckets if h is not None else None for h in (*waits, *sends)]


def test_a_run_is_of_all_since_the_start_whichever_key_frame_an_engine_began_at(
    moving: Recording,
) -> None:
    played = ReplayFeed(moving.samples())
    feed = PastFeed(moving)
    so_far = []
    for frame in moving.frames():
        played.tick()
        feed.seek(frame.seq)
        assert counts(feed) == counts(played)
        waits = feed.rx_wait(None, run=True)
        assert waits is not None
        so_far.append(waits.dist.count)
    assert so_far == sorted(so_far)
    assert so_far[0] < so_far[-1]


def test_a_run_is_unknown_under_a_filter(moving: Recording) -> None:
    feed = PastFeed(moving)
    feed.set_filter(compile_filter("proto = tcp", feed.names))
    model = feed.latest()
    assert model is not None
    assert feed.rx_wait(None, run=True) is None
    assert feed.rx_wait(None, run=False) is not None
    assert feed.rx_wait([feed.window(0, 1)[0].cookie], run=True) is not None
    assert waits_of(feed, model, None) == Waits(
        feed.rx_wait(None, run=False), None, True, "run: not known of the past under a filter"
    )


def test_a_run_is_unknown_after_it_was_cleared(moving: Recording) -> None:
    memory = MemoryFrames(3600)
    for at, sample in enumerate(moving.samples()):
        memory.add(sample)
        if at == 9:
            memory.clear_runs()
    feed = PastFeed(memory)
    model = feed.latest()
    assert model is not None
    assert feed.rx_wait(None, run=True) is None
    assert feed.tx(None, run=True) is None
    waits = waits_of(feed, model, None)
    assert waits is not None
    assert waits.no_run == "run: not known of the past after ^R"
    last = feed.frames[9]
    assert memory.cleared_seq == last.seq
    feed.seek(last.seq)
    assert feed.rx_wait(None, run=True) is not None


STEPS = """
import os, sys
from pathlib import Path
from nettop.past import PastFeed
from nettop.store.recording import Recording

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

feed = PastFeed(Recording(Path(sys.argv[1])))
before = resident_bytes()
for n in (-1, 1) * 6:
    for _ in feed.frames:
        feed.step(n)
feed.settle()
print(resident_bytes() - before)
"""


def test_engines_around_a_tick_take_memory_for_what_they_hold() -> None:
    """Not for the room of all events that each might hold: of 19 engines 150 MB."""
    argv = [sys.executable, "-c", STEPS, str(HERE / "moving.nettop")]
    assert int(subprocess.check_output(argv)) < 110e6
