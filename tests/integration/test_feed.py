"""The live feed on real sockets of a namespace made for the test."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import nettop.poller as poller
from nettop import headless
from nettop.collect import PollOptions
from nettop.errors import NettopError
from nettop.export.snapshot import write_snapshot
from nettop.feed import Grouping, Sort
from nettop.model.types import Model, Owner, Verdict
from nettop.options import Options, parse_args
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.text.fields import FIELDS
from tests.integration.bpfobjects import held
from tests.integration.namespaces import inside, namespace, needs_root

pytestmark = needs_root


class Pairs:
    """Connections inside a namespace, held by this process."""

    def __init__(self, name: str, n: int) -> None:
        self.listener = inside(name, lambda: socket.create_server(("127.0.0.1", 0), backlog=64))
        self.address = self.listener.getsockname()
        self.clients = inside(
            name, lambda: [socket.create_connection(self.address) for _ in range(n)]
        )
        self.servers = [self.listener.accept()[0] for _ in range(n)]
        self.name = name

    def connect(self) -> socket.socket:
        return inside(self.name, lambda: socket.create_connection(self.address))

    def close(self) -> None:
        for s in (*self.clients, *self.servers, self.listener):
            s.close()


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    with namespace() as name, closing(Pairs(name, 5)) as made:
        yield made


@pytest.fixture
def feed(pairs: Pairs) -> Iterator[LiveFeed]:
    with closing(LiveFeed(PollOptions(netns=(pairs.name,)))) as made:
        yield made


def test_rows_of_a_named_namespace(pairs: Pairs, feed: LiveFeed) -> None:
    model = feed.tick()
    assert model.interval_s is None
    assert model.totals.tx_bytes_per_s is None
    assert model.totals.by_state["ESTABLISHED"] == 10
    assert model.totals.by_state["LISTEN"] == 1
    assert feed.count() == 10, "a quiet listener is no row"
    rows = feed.window(0, 100)
    assert {row.proc.pid for row in rows} == {os.getpid()}
    assert {row.netns_name for row in rows} == {pairs.name}
    assert {row.rec.sport for row in rows} >= {pairs.address[1]}


def test_rates_match_what_was_sent(pairs: Pairs, feed: LiveFeed) -> None:
    feed.tick()
    started = time.monotonic()
    for _ in range(10):
        pairs.clients[0].sendall(b"x" * 10_000)
        assert pairs.servers[0].recv(20_000)
        time.sleep(0.02)
    while (
        pairs.servers[0].recv(100_000, socket.MSG_DONTWAIT)
        if _readable(pairs.servers[0])
        else False
    ):
        pass
    time.sleep(0.3)
    model = feed.tick()
    took = time.monotonic() - started
    cookie = _cookie(pairs.clients[0])
    row = feed.find(cookie)
    assert row is not None
    assert FIELDS["tx"].value(row) == pytest.approx(100_000 / took, rel=0.2)
    assert model.totals.tx_bytes_per_s == pytest.approx(100_000 / took, rel=0.2)


def _readable(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK))
    except BlockingIOError:
        return False


def _wait(true: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def _wait_for_ten(feed: LiveFeed) -> None:
    """Sockets, which are counted some time before the first model of them is there."""
    _wait(lambda: feed.count() == 10 and feed.latest() is not None)


def _cookie(sock: socket.socket) -> int:
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 57, 8), "little")


def test_a_program_that_does_not_read(pairs: Pairs, feed: LiveFeed) -> None:
    pairs.clients[1].sendall(b"z" * 5000)
    time.sleep(0.6)
    feed.tick()
    time.sleep(0.6)
    feed.tick()
    row = feed.find(_cookie(pairs.servers[1]))
    assert row is not None
    unread = FIELDS["unread"].value(row)
    assert isinstance(unread, int)
    assert 1.1e9 <= unread <= 1.6e9, "a lower bound, and close to it"
    assert row.verdicts == [Verdict.UNREAD]
    assert feed.window(0, 1)[0].cookie == row.cookie, "the unwell socket stands on top"


def test_a_connection_nobody_accepted(pairs: Pairs, feed: LiveFeed) -> None:
    with pairs.connect() as pending:
        feed.tick()
        peer = [r for r in feed.window(0, 100) if r.rec.dport == pending.getsockname()[1]]
        assert [r.proc.owner for r in peer] == [Owner.NOT_ACCEPTED]


def test_a_full_accept_queue_is_a_row(pairs: Pairs) -> None:
    with namespace() as name, ExitStack() as stack:
        small = stack.enter_context(
            inside(name, lambda: socket.create_server(("127.0.0.1", 0), backlog=4))
        )
        for _ in range(5):
            stack.enter_context(inside(name, lambda: socket.create_connection(small.getsockname())))
        with closing(LiveFeed(PollOptions(netns=(name,)))) as feed:
            feed.tick()
            time.sleep(0.3)
            feed.tick()
            [row] = [r for r in feed.window(0, 50) if r.is_listen]
            assert (row.rec.rqueue, row.rec.wqueue) == (5, 4)
            assert row.verdicts == [Verdict.ACCEPT]


def test_groups(pairs: Pairs, feed: LiveFeed) -> None:
    feed.tick()
    [group] = feed.groups(Grouping.PROCESS)
    assert group.sockets == 10
    assert group.proc is not None
    assert group.filter_text == f"pid = {os.getpid()}"
    local = {g.title: g.sockets for g in feed.groups(Grouping.LOCAL)}
    assert sum(local.values()) == 10


def test_thread_ticks_pauses_and_ends(pairs: Pairs) -> None:
    told = threading.Semaphore(0)
    feed = LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))
    feed.start(told.release)
    try:
        seqs = []
        for _ in range(4):
            assert told.acquire(timeout=5)
            model = feed.latest()
            assert model is not None
            seqs.append(model.seq)
        assert seqs == sorted(seqs)
        feed.set_paused(True)
        time.sleep(0.3)
        before = feed.find(_cookie(pairs.clients[2]))
        pairs.clients[2].sendall(b"x" * 100)
        time.sleep(0.3)
        after = feed.find(_cookie(pairs.clients[2]))
        assert before is not None
        assert after is not None
        assert before.rec == after.rec, "paused: the sockets stand still"
        last = feed.latest()
        assert last is not None
        assert last.seq > seqs[-1], "the header lives on"
        feed.set_paused(False)
        time.sleep(0.3)
        moved = feed.find(_cookie(pairs.clients[2]))
        assert moved is not None
        assert moved.rec.bytes_sent >= 100
    finally:
        started = time.monotonic()
        feed.stop()
        assert time.monotonic() - started < 1


def test_a_shorter_interval_counts_at_once(pairs: Pairs) -> None:
    came: list[float] = []
    feed = LiveFeed(PollOptions(netns=(pairs.name,), delay_s=30))

    def on_model() -> None:
        feed.latest()
        came.append(time.monotonic())

    with closing(feed):
        feed.start(on_model)
        time.sleep(0.5)  # the first two: sockets, and who holds them
        before = len(came)
        feed.set_interval(0.2)
        time.sleep(1.1)
    assert len(came) >= before + 3


def test_one_message_until_latest(pairs: Pairs) -> None:
    """A screen that is late is told once, however many ticks passed."""
    told = []
    feed = LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))
    feed.start(lambda: told.append(1))
    try:
        time.sleep(0.7)
        assert len(told) == 1
        feed.latest()
        time.sleep(0.3)
        assert len(told) == 2
    finally:
        feed.stop()


def test_paced_sweeps_find_the_same(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PACE_ABOVE_SOCKETS", 0)
    monkeypatch.setattr(poller, "PACE_READS", 1)
    feed = LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))
    feed.set_focus([_cookie(pairs.clients[0])])
    feed.start(lambda: None)
    try:
        time.sleep(0.5)
        pairs.clients[0].sendall(b"x" * 321)
        time.sleep(0.4)
        model = feed.latest()
        assert model is not None
        assert model.totals.by_state["ESTABLISHED"] == 10
        row = feed.find(_cookie(pairs.clients[0]))
        assert row is not None
        assert row.rec.bytes_sent == 321
        assert len(feed.history(row.cookie)) >= 3
    finally:
        feed.stop()


@pytest.mark.parametrize("paused", [False, True])
def test_reading_all_rows_beside_the_thread(
    pairs: Pairs, paused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))) as feed:
        feed._collector.engine.config.detail_max = 1
        feed.start(lambda: None)
        _wait_for_ten(feed)
        port = pairs.clients[2].getsockname()[1]
        feed.set_filter(compile_filter(f"sport = :{port}"))
        _wait(lambda: feed.count() == 1)
        feed.set_paused(paused)
        shown = list(feed.rows_all())
        everything = list(feed.rows_all(everything=True))
        assert [row.rec.sport for row, _ in shown] == [port]
        assert len({row.cookie for row, _ in everything}) == len(everything) == 10
        if not paused:
            assert all(detail for _, detail in everything), "an export has every tcp_info"
        assert feed.count() == 1, "the filter is in force again"
        model = feed.latest()
        assert model is not None
        assert model.totals.matched == 1
        assert feed._collector.engine.config.detail_max == 1


def test_polling_goes_on_while_rows_are_written(pairs: Pairs) -> None:
    with closing(LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))) as feed:
        feed.start(lambda: None)
        _wait_for_ten(feed)
        rows = feed.rows_all(everything=True)
        first, _ = next(rows)
        before = feed.latest()
        assert before is not None
        _wait(lambda: (now := feed.latest()) is not None and now.seq >= before.seq + 3)
        assert len({first.cookie, *(row.cookie for row, _ in rows)}) == 10


def test_an_export_ends_with_the_feed_and_leaves_nothing(pairs: Pairs, tmp_path: Path) -> None:
    feed = LiveFeed(PollOptions(netns=(pairs.name,), delay_s=0.1))
    feed.start(lambda: None)
    asked, ended = threading.Event(), threading.Event()

    class Slow:
        """The feed, whose first row takes until the feed is asked to end."""

        def __getattr__(self, name: str) -> Any:
            return getattr(feed, name)

        def packed_all(self, **options: Any) -> Any:
            source = feed.packed_all(**options)
            packed = source.packed

            def slow() -> Iterator[Any]:
                yield next(packed)
                asked.set()
                _wait(lambda: feed._ended)
                yield from packed

            source.packed = slow()
            return source

    def export(model: Model) -> None:
        with pytest.raises(NettopError, match="nothing is left"):
            write_snapshot(tmp_path / "x.json", Slow(), model, False)
        ended.set()

    try:
        _wait_for_ten(feed)
        model = feed.latest()
        assert model is not None
        thread = threading.Thread(target=export, args=(model,))
        thread.start()
        assert asked.wait(5)
        assert list(tmp_path.iterdir()), "it is being written"
    finally:  # else its BPF objects are in the way of other tests
        began = time.monotonic()
        feed.stop()
    assert time.monotonic() - began < 2
    assert ended.wait(5)
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_exact_lookup_refreshes_one_socket(pairs: Pairs, feed: LiveFeed) -> None:
    feed.tick()
    cookie = _cookie(pairs.clients[3])
    pairs.clients[3].sendall(b"x" * 777)
    time.sleep(0.15)
    assert feed._collector.engine.lookup([cookie, 999_999_999]) == 1
    row, detail = feed.find(cookie), feed.detail(cookie)
    assert row is not None
    assert detail is not None
    assert detail.tcp_info["bytes_sent"] == 777


def test_sort_and_position(pairs: Pairs, feed: LiveFeed) -> None:
    feed.tick()
    feed.set_sort(Sort(FIELDS["lport"], descending=False))
    ports = [r.rec.sport for r in feed.window(0, 20)]
    assert ports == sorted(ports)
    row = feed.window(4, 1)[0]
    assert feed.position(row.cookie) == 4


def test_all_namespaces(pairs: Pairs) -> None:
    with closing(LiveFeed(PollOptions(netns=("all",)))) as feed:
        model = feed.tick()
        assert model.totals.netns >= 2
        assert pairs.name in {r.netns_name for r in feed.window(0, feed.count())}
    with closing(LiveFeed(PollOptions())) as feed:
        feed.tick()
        model = feed.tick()
        assert model.totals.netns == 1
        assert model.totals.netns_hidden >= 1


def test_unknown_namespace_is_one_clear_line_and_leaves_nothing() -> None:
    before = held(os.getpid())
    with pytest.raises(NettopError, match="no-such-netns") as caught:
        LiveFeed(PollOptions(netns=("no-such-netns",)))
    assert "\n" not in str(caught.value)
    assert held(os.getpid()) == before


def test_ipv4_and_ipv6_and_udp_choices(pairs: Pairs) -> None:
    with closing(LiveFeed(PollOptions(netns=(pairs.name,), family=10))) as feed:
        feed.tick()
        assert feed.count() == 0
    with closing(LiveFeed(PollOptions(netns=(pairs.name,), tcp=False, rows_all=True))) as feed:
        receiver = inside(pairs.name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with receiver:
            receiver.bind(("127.0.0.1", 0))
            model = feed.tick()
            assert (model.totals.tcp, model.totals.udp) == (None, 1)
            assert feed.window(0, 1)[0].rec.sport == receiver.getsockname()[1]


def test_udp_with_unread_data_is_a_row(pairs: Pairs, feed: LiveFeed) -> None:
    def make() -> tuple[socket.socket, socket.socket]:
        a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        a.bind(("127.0.0.1", 0))
        return a, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    receiver, sender = inside(pairs.name, make)
    with receiver, sender:
        feed.tick()
        assert feed.count() == 10
        sender.sendto(b"unread", receiver.getsockname())
        feed.tick()
        assert feed.count() == 11
        [row] = [r for r in feed.window(0, 20) if r.rec.sport == receiver.getsockname()[1]]
        assert row.rec.rqueue > 0


def test_ticks_left_out_are_counted_without_a_screen(pairs: Pairs) -> None:
    """A reader that stalls costs ticks: the file says how many."""
    stalls = [0.9]
    options = parse_args(["--ndjson", "-d", "0.2", "-n", "3"], {})
    assert isinstance(options, Options)
    models: list[Model] = []

    def write(_raw: bytes) -> None:
        if stalls:
            time.sleep(stalls.pop())

    with closing(LiveFeed(PollOptions(delay_s=0.2, netns=(pairs.name,)))) as feed:
        tick = feed.tick

        def remember(missed: int = 0) -> Model:
            models.append(tick(missed))
            return models[-1]

        feed.tick = remember  # type: ignore[method-assign]
        headless._run(feed, options, write, lambda: None)
    missed = [m.cost.missed_ticks for m in models]
    assert missed[0] == 0
    assert 4 <= missed[1] <= missed[2]
    at = [m.mono_ns / 2e8 for m in models]
    for n, fewer in ((1, missed[1]), (2, missed[2] - missed[1])):
        assert at[n] - at[n - 1] == pytest.approx(1 + fewer, abs=0.8)
