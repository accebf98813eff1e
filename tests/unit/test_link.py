"""The link to one host: what it may send, how often, and for how long nothing."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from nettop.hosts import link as link_module
from nettop.hosts.link import ALL_ROWS_BYTES, GIVE_UP_S, MOST_NOTES, Link
from nettop.hosts.wire import Hello, StreamError, StreamReader, hello_bytes, note_bytes
from nettop.model.hosts import ASKED
from nettop.sample import Facts, Sample
from nettop.store.frames import SCHEMA, FrameReader, FrameWriter
from nettop.text.hosts import host_line, state_text

HI = Hello("0.1.0", SCHEMA, "web-1", "6.18")
NOW_NS = 1_800_000_000 * 10**9


def frame(wall_ns: int = NOW_NS, mono_ns: int = 5) -> bytes:
    facts = Facts(host="web-1")
    return FrameWriter().frame(Sample(1, mono_ns, wall_ns, b"", facts, whole=True))


def a_link(**settings: Any) -> Link:
    return Link("a", ["/nonexistent"], settings, 1.0, lambda sample, frame: None, lambda: None)


def take(link: Link, *sent: bytes) -> None:
    data = hello_bytes(HI) + b"".join(sent)
    link._take(data, StreamReader("0.1.0"), FrameReader(in_place=True))


@pytest.mark.parametrize("name", ["came_ns", "went_ns"])
@pytest.mark.parametrize("said", [10**400, 1 << 63, (1 << 63) - 1, -1, 1.5, "1", True, None, [1]])
def test_a_clock_that_cannot_be_is_one_line_and_the_state_stays_known(
    name: str, said: object
) -> None:
    link = a_link()
    take(link, frame())
    link._pings[1] = time.time_ns()
    answer = {"pong": 1, "came_ns": NOW_NS, "went_ns": NOW_NS, name: said}
    with pytest.raises(StreamError, match=r"its clock says|number is too large") as error:
        take(link, note_bytes(answer))
    assert str(error.value).isprintable()
    assert link.state.clock_offset_ns is None
    # As read by whatever else than the stream:
    link._pings[1] = time.time_ns()
    with pytest.raises(StreamError, match="its clock says"):
        link._noted(answer)
    assert host_line(link.state)


@pytest.mark.parametrize(("wall_ns", "mono_ns"), [(-1, 5), ((1 << 63) - 1, 5), (5, -1)])
def test_so_is_the_clock_of_a_tick(wall_ns: int, mono_ns: int) -> None:
    with pytest.raises(StreamError, match="its clock says"):
        take(a_link(), frame(wall_ns, mono_ns))


@pytest.mark.parametrize("said", [0, NOW_NS, (1 << 63) - 2])
def test_any_clock_that_can_be_is_measured(said: int) -> None:
    link = a_link()
    take(link, frame(wall_ns=said))
    link._pings[1] = time.time_ns()
    take(link, note_bytes({"pong": True, "came_ns": said}))  # answers no ping
    assert link.state.clock_offset_ns is None
    take(link, note_bytes({"pong": 1, "came_ns": said, "went_ns": said}))
    assert link.state.clock_offset_ns is not None
    assert link.state.lag_s is not None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """CLOCK_MONOTONIC as a link reads it."""
    now = [1000.0]

    class Time:
        time_ns = staticmethod(time.time_ns)

        @staticmethod
        def monotonic() -> float:
            return now[0]

    monkeypatch.setattr(link_module, "time", Time)
    return now


def test_notes_have_a_rate(clock: list[float]) -> None:
    link = a_link()
    for _ in range(3):
        clock[0] += 1.0
        take(link, note_bytes({"a": 1}) * MOST_NOTES)
    with pytest.raises(StreamError, match="more than 100 notes in a second"):
        take(link, note_bytes({"a": 1}))


class Remote:
    """A host that says something in each turn of the link, which takes 1 s; at most 200 turns."""

    def __init__(self, link: Link, clock: list[float], first: bytes) -> None:
        self.stdout, self._out = os.pipe()
        self.stderr, self._err = os.pipe()
        self._link, self._clock = link, clock
        self._turns = 0
        os.write(self._out, first)

    def write(self, line: bytes = b"") -> bool:
        self._turns += 1
        self._link._ended = self._turns > 200
        self._clock[0] += 1.0
        os.write(self._out, self.says(line))
        return True

    def says(self, line: bytes) -> bytes:
        return note_bytes({"a": 1})

    def close(self) -> None:
        for fd in (self.stdout, self._out, self.stderr, self._err):
            os.close(fd)


class Answering(Remote):
    """It answers pings."""

    def says(self, line: bytes) -> bytes:
        if not line.startswith(b'{"ping":'):
            return b""
        number = int(line[8:].rstrip(b"}\n"))
        return note_bytes({"pong": number, "came_ns": NOW_NS, "went_ns": NOW_NS})


class Slow(Remote):
    """A frame of which some bytes come each second."""

    def says(self, line: bytes) -> bytes:
        return b"x"


def ended(link: Link, remote: Remote) -> str:
    try:
        return link._read(remote)[1]  # type: ignore[arg-type]
    finally:
        remote.close()


def test_notes_that_answer_nothing_do_not_keep_a_host(clock: list[float]) -> None:
    link = a_link()
    assert ended(link, Remote(link, clock, hello_bytes(HI))) == f"nothing for {GIVE_UP_S:.0f} s"


def test_a_host_that_answers_and_sends_no_tick_is_said_to(clock: list[float]) -> None:
    link = a_link()
    assert link.state.reason is None
    assert state_text(link.state) == "no answer yet"
    take(link)
    assert link.state.state == ASKED
    assert state_text(link.state) == "it has answered, and sent no tick yet"
    reason = ended(link, Answering(link, clock, hello_bytes(HI) + frame()))
    assert reason.startswith("it answers, but has sent no tick for 6")
    paused = a_link(paused=True)
    assert ended(paused, Answering(paused, clock, hello_bytes(HI) + frame())) == ""


def test_a_frame_over_a_slow_line_is_waited_for(clock: list[float]) -> None:
    link = a_link()
    of_64_kb = frame()[:12] + b"\0\0\1\0" + frame()[16:]
    first = hello_bytes(HI) + of_64_kb
    assert ended(link, Slow(link, clock, first)) == ""


def test_a_frame_may_unpack_to_what_its_rows_take() -> None:
    assert a_link(top=500)._most_bytes() == (32 << 20) + 500 * 1024
    assert a_link(top=10**8)._most_bytes() == a_link()._most_bytes() == ALL_ROWS_BYTES
