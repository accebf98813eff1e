"""A recording replayed says what was said live, key by key."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nettop.collect import PollOptions
from nettop.export.formats import Format
from nettop.export.snapshot import write_tick
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.replay import ReplayFeed
from nettop.sources import PlaneOptions
from nettop.store.recording import Recording, RecordingWriter
from tests.integration.namespaces import inside, namespace
from tests.integration.trouble import Trouble

TICKS = 6
ABOUT = {"host": "x", "kernel": "y", "nettop": "z"}
NOT_REPLAYED = frozenset({"tx"})  # keys of the tick and of its sockets


@pytest.fixture
def traffic() -> Iterator[int]:
    with talking(lambda work: work()) as port:
        yield port


@contextmanager
def talking(here: Callable[[Callable[[], Any]], Any]) -> Iterator[int]:
    """Connections that come, talk late and go, after some ticks also on a busy machine; the port of
    their listener. here calls its argument in their namespace."""
    listener = here(lambda: socket.create_server(("127.0.0.1", 0), backlog=64))
    port = int(listener.getsockname()[1])
    ended = threading.Event()

    def talk() -> None:
        pairs: list[tuple[socket.socket, socket.socket]] = []
        while not ended.wait(0.02):
            client = socket.create_connection(("127.0.0.1", port))
            pairs.append((client, listener.accept()[0]))
            for one, other in (*pairs[:2], *pairs[-3:]):
                one.sendall(b"x" * 1000)
                time.sleep(0.002)
                other.recv(700)
            if len(pairs) > 60:
                for end in pairs.pop(0):
                    end.close()
        for pair in pairs:
            for end in pair:
                end.close()

    thread = threading.Thread(target=here, args=(talk,), daemon=True)
    thread.start()
    yield port
    ended.set()
    thread.join()
    listener.close()


def written(feed: Any, model: Any, filter_text: str | None) -> dict[str, Any]:
    out: list[bytes] = []
    write_tick(out.append, feed, model, Format.NDJSON, filter_text=filter_text)
    tick: dict[str, Any] = json.loads(b"".join(out))
    lines: list[bytes] = []
    write_tick(lines.append, feed, model, Format.CSV)
    tick["csv"] = sorted(b"".join(lines).splitlines())  # as by_cookie
    return tick


def record(
    path: Path,
    options: PollOptions,
    filter_text: str | None,
    between: Callable[[], None] = lambda: time.sleep(0.3),
) -> list[dict[str, Any]]:
    said = []
    writer = RecordingWriter(path, ABOUT)
    with closing(writer), closing(LiveFeed(options)) as feed:
        feed.record(True)
        for _ in range(TICKS):
            model = feed.tick()
            writer.add(feed.sample(model, whole=writer.wants_whole(model.mono_ns)))
            said.append(written(feed, model, filter_text))
            between()
    return said


def replayed(path: Path, filter_text: str | None) -> list[dict[str, Any]]:
    with closing(Recording(path)) as recording:
        feed = ReplayFeed(recording.samples(), filter_text=filter_text)
        said = [written(feed, feed.tick(), filter_text) for _ in range(TICKS)]
        with pytest.raises(EOFError):
            feed.tick()
    return said


def by_cookie(tick: dict[str, Any]) -> dict[str, Any]:
    """Sockets whose key is equal come in an order that says nothing."""
    sockets = {(s["netns"], s["cookie"]): replayable(s) for s in tick["sockets"]}
    return {**replayable(tick), "sockets": sockets}


def replayable(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key not in NOT_REPLAYED}


@pytest.mark.parametrize("text", [None, "comm = python*", "srtt > 1us and uid = root"])
def test_a_replay_equals_what_was_said_live(traffic: int, tmp_path: Path, text: str | None) -> None:
    compiled = compile_filter(text) if text else None
    options = PollOptions(
        rows_all=True, filter=compiled, planes=PlaneOptions(bpf=False), all_details=True
    )
    live = record(tmp_path / "a.nettop", options, text)
    again = replayed(tmp_path / "a.nettop", text)
    assert [t["taken"] for t in again] == [t["taken"] for t in live]
    for here, there in zip(again, live, strict=True):
        assert by_cookie(here) == by_cookie(there)
    assert any(s.get("rates", {}).get("tx_bytes_per_s") for s in live[-1]["sockets"])
    assert any(s["procs"] for s in live[-1]["sockets"] if "procs" in s)


@pytest.mark.needs_root
def test_a_replay_has_what_the_planes_measured(space: str, at_once: None, tmp_path: Path) -> None:
    options = PollOptions(
        netns=(space,), rows_all=True, planes=PlaneOptions(tx_sample=1), all_details=True
    )
    with talking(partial(inside, space)):
        live = record(tmp_path / "a.nettop", options, None)
    again = replayed(tmp_path / "a.nettop", None)
    for here, there in zip(again, live, strict=True):
        assert by_cookie(here) == by_cookie(there)
    last = live[-1]
    assert last["tx"]["total"]["count"] > 0
    assert any(s["tx"]["total"]["count"] for s in last["sockets"] if s.get("tx"))
    assert any(s["rx_wait"]["count"] for s in last["sockets"] if s.get("rx_wait"))


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (None, {"drop", "retransmit", "closed"}),
        ("comm = python* and drops > 0", {"drop"}),
        ("comm = python* and proto = tcp", {"retransmit"}),
    ],
)
def test_waits_and_events_are_replayed(tmp_path: Path, text: str | None, kinds: set[str]) -> None:
    with namespace() as name, closing(Trouble(name)) as trouble:
        options = PollOptions(
            rows_all=True,
            netns=(name,),
            filter=compile_filter(text) if text else None,
            all_details=True,
        )
        live = record(tmp_path / "a.nettop", options, text, trouble.cause)
    again = replayed(tmp_path / "a.nettop", text)
    for here, there in zip(again, live, strict=True):
        assert here["events"] == there["events"]
        assert here["events_untold"] == there["events_untold"]
        assert by_cookie(here) == by_cookie(there)
    said = [event for tick in live for event in tick["events"]]
    assert {event["type"] for event in said} >= kinds
    assert any(s.get("drops") for s in live[-1]["sockets"]) == ("drop" in kinds)
    if text is None:
        assert live[-1]["rx_wait"]["count"]
        assert "SOCKET_RCVBUFF" in {event.get("reason") for event in said}
