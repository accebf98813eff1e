"""nettop stream, as a program at the other end of a pipe."""

from __future__ import annotations

import json
import select
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from nettop.hosts.wire import Hello, StreamReader
from nettop.replay import ReplayFeed
from nettop.store.frames import FrameReader
from tests.cli.conftest import NETTOP, environment
from tests.cli.test_signals import in_terminal


class Streaming:
    """A stream and what it has said so far."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen(
            [*NETTOP, "stream", "--no-bpf", "-d", "0.2", *argv], env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._reader, self._frames = StreamReader("0"), FrameReader()
        self.notes: list[dict[str, Any]] = []
        self.hello: Hello | None = None
        self.feed = ReplayFeed(iter(()))
        self.whole: list[int] = []  # seq of key frames

    def ask(self, **said: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(said).encode() + b"\n")
        self.process.stdin.flush()

    def read(self) -> int:
        """Frames of one read."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 60)[0]
        data = self.process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
        assert data, self.process.stderr.read() if self.process.stderr else ""
        frames = 0
        for message in self._reader.take(data):
            if isinstance(message, Hello):
                self.hello = message
            elif isinstance(message, dict):
                self.notes.append(message)
            else:
                sample = self._frames.sample(message)
                self.feed.take(sample)
                self.whole += [sample.seq] if sample.whole else []
                frames += 1
        return frames

    def ticks(self, count: int) -> None:
        while count > 0:
            count -= self.read()


@pytest.fixture
def controlled() -> Iterator[Streaming]:
    stream = Streaming("--control")
    with stream.process:
        yield stream
        stream.process.kill()


def test_the_filter_is_decided_there_and_totals_are_of_all(
    controlled: Streaming, pair: tuple[socket.socket, socket.socket]
) -> None:
    port = pair[1].getsockname()[1]
    controlled.ask(set={"filter": f"sport = :{port}", "called": "a"})
    controlled.ask(ping=5)
    controlled.ticks(3)
    rows = controlled.feed.window(0, 100)
    assert [row.rec.sport for row in rows] == [port]
    assert rows[0].proc.pid  # its owner came with it
    model = controlled.feed.latest()
    assert model is not None
    assert model.totals.matched == 1
    assert model.totals.tcp is not None
    assert model.totals.tcp >= 3  # both ends, and the listener: not sent, but counted
    assert [note["pong"] for note in controlled.notes] == [5]
    assert controlled.notes[0]["came_ns"] <= controlled.notes[0]["went_ns"]

    controlled.ask(set={"filter": "srtt >"})
    controlled.ask(set={"filter": f"dport = :{port} and host = a"})
    # What was sent before goes on for a while: who comes and goes has rates.
    while port not in [row.rec.dport for row in controlled.feed.window(0, 100)]:
        controlled.ticks(1)
    assert "filter, column 7" in controlled.notes[-1]["error"]


def test_settings_that_are_not_understood_are_a_note_and_change_nothing(
    controlled: Streaming,
) -> None:
    wrong = [{"sort": "nope"}, {"filter": 5}, {"top": 1, "colour": "red"}]
    for setting in wrong:
        controlled.ask(set=setting)
    controlled.ask(ping=1)
    while not controlled.notes or len(controlled.notes) <= len(wrong):
        controlled.read()
    controlled.ticks(2)
    said = [note["error"] for note in controlled.notes if "error" in note]
    assert [text.split(" ")[0] for text in said] == ["sort:", "filter:", "no"]
    model = controlled.feed.latest()
    assert model is not None
    assert model.totals.matched == controlled.feed.count()  # all are sent
    assert controlled.process.poll() is None


def test_a_tick_that_needs_none_before_it_comes_when_asked_for(controlled: Streaming) -> None:
    controlled.ask(set={"level_now": True, "filter": "level >= watch"})
    controlled.ticks(3)
    assert controlled.whole == [1]
    controlled.ask(whole=True)
    while len(controlled.whole) < 2:
        controlled.read()
    assert not controlled.notes


def test_it_ends_with_standard_input(controlled: Streaming) -> None:
    controlled.ask(set={})
    controlled.ticks(1)
    assert controlled.process.stdin is not None
    controlled.process.stdin.close()
    assert controlled.process.wait(60) == 0


def test_it_ends_at_once_when_its_reader_does() -> None:
    stream = Streaming("-d", "600")
    with stream.process:
        stream.ticks(1)
        assert stream.process.stdout is not None
        stream.process.stdout.close()
        assert stream.process.wait(60) == 0  # long before its next tick


def test_a_terminal_is_refused_and_so_is_what_stream_does_not_have() -> None:
    code, said = in_terminal("stream", term="xterm")
    assert code == 2
    assert b"not for a terminal" in said
    done = subprocess.run(
        [*NETTOP, "stream", "--json"], capture_output=True, text=True, timeout=60, check=False,
        env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert "no option --json of nettop stream" in done.stderr
