"""Waits and events are those of the sockets that are listed, and nothing is claimed beyond them."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nettop.collect import PollOptions
from nettop.engine import lib
from nettop.export.jsonout import socket_object
from nettop.model.events import EventType
from nettop.model.types import Flag, Row
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.sources.wait import JUDGED_S
from nettop.text.columns import cell
from nettop.text.fields import FIELDS
from nettop.tui.glyphs import UTF8
from nettop.tui.panes.data import PaneData
from nettop.tui.panes.gather import sends_of, waits_of
from nettop.tui.panes.lines import rx_lines, tx_lines
from tests.integration.namespaces import inside, namespace, needs_root
from tests.integration.recorder import Recorder, recorder
from tests.integration.sends import cookie_of

pytestmark = needs_root
MESSAGES = 20


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture(scope="module")
def empty() -> Iterator[str]:
    with namespace() as name:
        yield name


def pair_in(name: str, host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def connect() -> tuple[socket.socket, socket.socket]:
        with socket.create_server((host, 0), family=family) as server:
            client = socket.create_connection(server.getsockname()[:2])
            return client, server.accept()[0]

    return inside(name, connect)


def talk(client: socket.socket, peer: socket.socket) -> None:
    """MESSAGES deliveries, each read."""
    for _ in range(MESSAGES):
        client.sendall(b"x")
        assert peer.recv(10) == b"x"


def refused(name: str, times: int = 1) -> socket.socket:
    """A datagram socket that had this many errors (ECONNREFUSED)."""
    sock = inside(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.connect(("127.0.0.1", 9))
    for _ in range(times):
        sock.send(b"x")
        with suppress(ConnectionRefusedError):
            sock.recv(1, socket.MSG_DONTWAIT)
    return sock


@contextmanager
def feed_of(*netns: str, **options: object) -> Iterator[LiveFeed]:
    with closing(LiveFeed(PollOptions(netns=netns, **options))) as feed:  # type: ignore[arg-type]
        feed.tick()
        yield feed


def counts(feed: LiveFeed) -> tuple[int, int, int]:
    """Deliveries of the interval that ends now, of the run, and events."""
    model = feed.tick()
    run = feed.rx_wait(None, run=True)
    assert model.rx_wait is not None
    assert run is not None
    events, _ = feed.tick_events(1000)
    assert feed.events((), most=1000)[: len(events)] == list(events)
    return model.rx_wait.dist.count, run.dist.count, len(events)


def test_of_an_empty_namespace_nothing(space: str, empty: str) -> None:
    with pair_in(space)[0] as waiting:  # from before nettop came
        waiting.setblocking(False)
        with feed_of(empty) as feed:
            client, peer = pair_in(space)
            with client, peer:
                talk(client, peer)
            with refused(space):
                assert counts(feed) == (0, 0, 0)
            assert not feed.closed((), most=10)


def test_of_a_namespace_all_that_closed_too(space: str, empty: str) -> None:
    with feed_of(space) as feed:
        client, peer = pair_in(space)
        with client, peer:
            talk(client, peer)
        other, its = pair_in(empty)
        with other, its:
            talk(other, its)
        now, run, events = counts(feed)
        assert (now, run) == (MESSAGES, MESSAGES)
        assert events
        assert len(feed.closed((), most=10)) >= 2


def test_under_a_filter_of_what_passes_it(space: str) -> None:
    busy, peer = pair_in(space)
    idle, its = pair_in(space)
    with busy, peer, idle, its, feed_of(space) as feed:
        feed.set_filter(compile_filter(f"sport = {idle.getsockname()[1]}"))
        feed.tick()
        talk(busy, peer)
        refused(space).close()
        assert counts(feed) == (0, 0, 0)
        feed.set_filter(compile_filter(f"dport = {busy.getsockname()[1]}"))
        assert counts(feed)[2] == 0
        for turn in (1, 2):
            talk(busy, peer)
            now, run, _ = counts(feed)
            assert now == MESSAGES
            assert run == (turn + 1) * MESSAGES, "what was chosen had read some before"
        feed.clear()
        talk(busy, peer)
        assert counts(feed)[:2] == (MESSAGES, MESSAGES)


def test_what_closed_passes_a_filter_by_its_ends(space: str) -> None:
    with feed_of(space) as feed:
        gone, its = pair_in(space)
        other, peer = pair_in(space)
        port = gone.getsockname()[1]
        cookies = {cookie_of(gone), cookie_of(its)}
        for sock in (gone, its, other, peer):
            sock.close()
        feed.set_filter(compile_filter(f"sport = {port} or dport = {port}"))
        feed.tick()
        assert {e.cookie for e in feed.events((), most=100)} == cookies
        assert {c.event.cookie for c in feed.closed((), most=100)} == cookies


@pytest.mark.parametrize(
    ("options", "host", "passes"),
    [
        ({"family": socket.AF_INET}, "::1", False),
        ({"family": socket.AF_INET6}, "::1", True),
        ({"tcp": False}, "127.0.0.1", False),
        ({"udp": False}, "127.0.0.1", True),
        ({"listen_only": True}, "127.0.0.1", False),
    ],
)
def test_a_choice_of_protocols_is_one_of_waits_and_events(
    space: str, options: dict[str, object], host: str, passes: bool
) -> None:
    client, peer = pair_in(space, host)
    with client, peer, feed_of(space, **options) as feed:
        talk(client, peer)
        client.shutdown(socket.SHUT_WR)
        now, run, events = counts(feed)
        assert (now, run, bool(events)) == (MESSAGES * passes, MESSAGES * passes, passes)


def test_two_namespaces_of_three(space: str, empty: str) -> None:
    with namespace() as third, feed_of(space, third) as feed, ExitStack() as stack:
        for name in (space, empty, third):
            client, peer = pair_in(name)
            stack.enter_context(client)
            stack.enter_context(peer)
            talk(client, peer)
        assert counts(feed)[:2] == (2 * MESSAGES, 2 * MESSAGES)


# --- what is remembered ---


@pytest.fixture
def plane(space: str) -> Iterator[Recorder]:
    with recorder([Path(f"/run/netns/{space}").stat().st_ino]) as made:
        lib.nt_events_limit(made.handle, 1_000_000)
        yield made


def test_what_happened_to_a_socket_is_kept_while_others_have_thousands(
    space: str, plane: Recorder
) -> None:
    before = plane.remembered()
    with refused(space) as one:
        plane.read()
        for _ in range(4):
            refused(space, 1500).close()
            plane.read()
        (event,) = plane.recent([cookie_of(one)], types=[EventType.ERROR])
        memory = plane.remembered(cookie_of(one))
        assert memory.counts[EventType.ERROR] == 1
        assert memory.since_ns == before.since_ns <= event.at_ns


def test_a_socket_with_many_events_keeps_the_last_and_counts_all(
    space: str, plane: Recorder
) -> None:
    with refused(space, 5000) as one:
        plane.read()
        found = plane.recent([cookie_of(one)], most=5000)
        assert plane.remembered(cookie_of(one)).counts[EventType.ERROR] == 5000
    assert len(found) == 4096
    assert [e.at_ns for e in found] == sorted((e.at_ns for e in found), reverse=True)


def test_events_of_two_processors_are_in_the_order_of_time(space: str, plane: Recorder) -> None:
    children = []
    for cpu in sorted(os.sched_getaffinity(0))[:2]:
        child = os.fork()
        if not child:
            os.sched_setaffinity(0, {cpu})
            refused(space, 2000)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    plane.read()
    times = [e.at_ns for e in plane.recent(types=[EventType.ERROR], most=4000)]
    assert len(times) == 4000
    assert times == sorted(times, reverse=True)


def test_nothing_is_claimed_of_a_time_that_is_not_kept(space: str, plane: Recorder) -> None:
    came_ns = plane.remembered().since_ns
    with refused(space) as one, refused(space) as silent:
        plane.read()
        (event,) = plane.recent([cookie_of(one)])
        for _ in range(4300):
            refused(space).close()
        plane.read()
        memory = plane.remembered(cookie_of(one))
        assert not plane.recent([cookie_of(one)])
        assert not sum(memory.counts)
        assert memory.forgotten >= 200
        assert memory.since_ns >= event.at_ns > came_ns
        assert plane.remembered(cookie_of(silent)).since_ns == memory.since_ns


def test_records_that_were_left_out_are_a_gap(space: str, plane: Recorder) -> None:
    assert plane.remembered().gap_ns is None
    lib.nt_events_limit(plane.handle, 1)
    refused(space, 20).close()
    tick = plane.read()
    assert tick.totals[EventType.ERROR].left_out == 19
    gap_ns = plane.remembered().gap_ns
    assert gap_ns is not None
    assert gap_ns >= plane.recent()[0].at_ns


def test_every_event_is_in_a_list_or_counted(space: str) -> None:
    nettop = subprocess.Popen(
        [sys.executable, "-m", "nettop", "-N", space, "--ndjson", "-n", "4", "-d", "0.5"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert nettop.stdout is not None
    with nettop.stdout, closing(nettop.stdout):
        ticks = [json.loads(nettop.stdout.readline())]
        sender = threading.Thread(target=lambda: refused(space, 3000).close())
        sender.start()
        ticks += [json.loads(text) for text in nettop.stdout]
        sender.join()
    assert nettop.wait(10) == 0
    listed = [sum(e["type"] == "error" for e in tick["events"]) for tick in ticks]
    assert max(len(tick["events"]) for tick in ticks) <= 1000
    left_out = [tick["events_untold"].get("error", 0) for tick in ticks]
    assert left_out == sorted(left_out)
    assert sum(listed) + left_out[-1] == 3000


# --- what is traced, and how finely ---


def test_a_socket_that_is_not_traced_is_marked(space: str) -> None:
    """To spare CPU 1 socket in 2 is traced: a wait that is absent is then not a good one."""
    with ExitStack() as stack:
        pairs = [pair_in(space) for _ in range(8)]
        for sock in itertools.chain.from_iterable(pairs):
            stack.enter_context(sock)
        feed = stack.enter_context(feed_of(space, all_details=True))
        wait = feed._collector.planes._wait
        assert wait is not None
        lib.nt_wait_sample(wait.handle, 1)
        for pair in pairs:
            talk(*pair)
        model = feed.tick()
        rows = {row.cookie: row for row, _ in feed.rows_all()}
        readers = [rows[cookie_of(peer)] for _, peer in pairs]
        traced = [row for row in readers if not row.flags & Flag.WAIT_UNTRACED]
        assert 0 < len(traced) < len(pairs)
        for row in readers:
            waits = socket_object(row, None, feed.owners).get("rx_wait", {})
            assert row.plane.wait.count == (MESSAGES if row in traced else 0)
            assert waits.get("traced", True) is (row in traced)
            assert (cell(FIELDS["rxwait.p99"], row, None) == "–") is (row not in traced)
        other = next(row for row in readers if row not in traced)
        waits_now = waits_of(feed, model, (other.cookie,))
        data = PaneData(model, other, None, (), None, waits=waits_now, cookies=(other.cookie,))
        said = " ".join(text for line in rx_lines(data, 90, 12, UTF8) for text, _ in line)
        assert "not this socket: 1 socket in 2 is traced" in said
        talk(*pairs[0])
        time.sleep(JUDGED_S)
        feed.tick()  # little was to be done: all are traced again
        feed.tick()
        assert not any(row.flags & Flag.WAIT_UNTRACED for row, _ in feed.rows_all())


def test_percentiles_by_octaves_are_marked(space: str) -> None:
    with feed_of(space) as feed:
        client, peer = pair_in(space)
        with client, peer:

            def wait_for_ms() -> tuple[Row, dict[str, Any]]:
                for ms in (2, 3, 11):
                    client.send(b"x")
                    time.sleep(ms / 1000)
                    peer.recv(10)
                feed.tick()
                row = feed.find(cookie_of(peer))
                assert row is not None
                return row, socket_object(row, None, feed.owners)["rx_wait"]

            row, waits = wait_for_ms()  # a socket that was not known before has octaves alone
            assert waits["octaves"] is True
            assert waits["p50_ns"] in (2**22, waits["max_ns"])
            assert cell(FIELDS["rxwait.p50"], row, None) == "~4.2ms"
            assert not cell(FIELDS["rxwait.max"], row, None).startswith("~")
            assert not cell(FIELDS["rxwait.p99"], row, None).startswith("~"), "it is the longest"
            feed.tick()
            row, waits = wait_for_ms()
            assert "octaves" not in waits
            assert not cell(FIELDS["rxwait.p50"], row, None).startswith("~")


# --- reasons ---


@pytest.mark.usefixtures("at_once")
def test_the_pane_of_sends_says_what_holds(space: str) -> None:
    client, peer = pair_in(space)
    other, its = pair_in(space)

    def said(sock: socket.socket) -> str:
        model = feed.tick()
        cookies = (cookie_of(sock),)
        data = PaneData(model, feed.find(cookies[0]), None, (), None,
                        sends=sends_of(feed, model, cookies), cookies=cookies)  # fmt: skip
        lines = tx_lines(data, 70, 12, UTF8)
        return " ".join(" ".join(text for line in lines for text, _ in line).split())

    with client, peer, other, its, feed_of(space) as feed:
        assert "no sends were stamped" in said(client)
        feed.select_tx([cookie_of(client)])
        status = feed.tick().source("stages")  # puts the selection in force
        assert status is not None
        assert status.state != "off"
        assert said(client).count("no send yet") == 1
        assert "needs Linux" not in said(client)
        assert "no send of it was stamped" in said(other)
        talk(client, peer)
        assert "no send yet" not in said(client)


# --- clocks ---


def test_in_a_time_namespace_ages_and_dates_are_those_of_the_world(space: str) -> None:
    """The programs' clock is the host's; CLOCK_MONOTONIC there is days ahead of it, or behind."""
    client, peer = pair_in(space)
    with client, peer:
        for days in (1, -1):
            uptime = float(Path("/proc/uptime").read_text().split()[0])
            offset = str(max(days * 86400, int(60 - uptime)))
            client.send(b"x")
            nettop = subprocess.Popen(
                ["unshare", "--time", "--fork", "--monotonic", offset, "--boottime", offset,
                 sys.executable, "-m", "nettop", "-N", space, "--ndjson", "-n", "2", "-d", "0.5"],
                stdout=subprocess.PIPE,
            )  # fmt: skip
            assert nettop.stdout is not None
            with nettop.stdout:
                json.loads(nettop.stdout.readline())
                client.send(b"x")
                refused(space).close()
                second = json.loads(nettop.stdout.readline())
            assert nettop.wait(10) == 0
            taken = datetime.fromisoformat(second["taken"][:26])
            dates = [datetime.fromisoformat(e["at"][:26]) for e in second["events"]]
            assert dates
            assert all(timedelta(0) <= taken - date < timedelta(seconds=2) for date in dates)
            (unread,) = [s["rx_wait"] for s in second["sockets"] if s["rqueue"]]
            assert 0.4e9 < unread["oldest_unread_ns"] < 5e9
            peer.recv(10)
