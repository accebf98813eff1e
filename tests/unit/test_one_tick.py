"""A picture shows one tick, though the poller is in the middle of a sweep."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

import nettop.enginefeed as enginefeed
from nettop.collect import PollOptions
from nettop.model.types import Model
from nettop.poller import LiveFeed
from nettop.query import compile_filter
from nettop.sources import PlaneOptions

SO_COOKIE = 57
PAIRS = 3
SENT = 1000


class Halfway:
    """A live feed of some connections whose sweeps can be stopped before they end."""

    def __init__(self, sockets: ExitStack) -> None:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        self.clients = [
            sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(PAIRS)
        ]
        for _ in range(PAIRS):
            sockets.enter_context(listener.accept()[0])
        self.cookies = [
            int.from_bytes(c.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), "little")
            for c in self.clients
        ]
        chosen = compile_filter(f"dport = {port}")
        off = PlaneOptions(bpf=False)
        options = PollOptions(udp=False, filter=chosen, planes=off, delay_s=0.1)
        self.feed = sockets.enter_context(closing(LiveFeed(options)))
        self._came = threading.Semaphore(0)
        self._read, self._go = threading.Event(), threading.Event()
        self._stopped = threading.Semaphore(0)
        self._read.set()
        self._go.set()
        step = self.feed._collector.step

        def stop_at(event: threading.Event) -> None:
            if not event.is_set():
                self._stopped.release()
                event.wait(20)

        def stepped(reads: int) -> bool:
            stop_at(self._read)
            more = step(reads)
            if not more:
                stop_at(self._go)
            return more

        self.feed._collector.step = stepped  # type: ignore[method-assign]
        sockets.callback(self.go_on)
        self.feed.start(self._came.release)
        self.ticks(3)

    def ticks(self, n: int) -> Model:
        for _ in range(n):
            assert self._came.acquire(timeout=10)
            model = self.feed.latest()
        assert model is not None
        return model

    def stop_halfway(self) -> Model:
        """Data is sent; all sockets are read, but the sweep has not ended. The tick before it."""
        self._read.clear()
        self._go.clear()
        assert self._stopped.acquire(timeout=10)
        before = self.feed.latest()
        for client in self.clients:
            client.sendall(bytes(SENT))
        self._read.set()
        assert self._stopped.acquire(timeout=10)
        assert before is not None
        return before

    def go_on(self) -> None:
        self._read.set()
        self._go.set()

    def sent(self, cookie: int) -> int:
        row = self.feed.find(cookie)
        assert row is not None
        return int(row.rec.bytes_sent)


@pytest.fixture
def halfway() -> Iterator[Halfway]:
    with ExitStack() as sockets:
        yield Halfway(sockets)


def rows_sent(feed: LiveFeed) -> list[int]:
    return [row.rec.bytes_sent for row in feed.window(0, PAIRS)]


def test_outside_of_it_two_ticks_may_mix(halfway: Halfway) -> None:
    """What it is for: the rows are of the sweep under way, the model of the tick before."""
    before = halfway.stop_halfway()
    assert halfway.feed.latest() is before
    assert before.totals.tx_bytes_per_s == 0
    assert rows_sent(halfway.feed) == [SENT] * PAIRS


def test_a_short_sweep_is_waited_for(halfway: Halfway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enginefeed, "TICK_WAIT_S", 10)
    before = halfway.stop_halfway()

    def drawn() -> tuple[Model | None, list[int]]:
        with halfway.feed.one_tick() as model:
            return model, rows_sent(halfway.feed)

    with ThreadPoolExecutor(1) as screen:
        picture = screen.submit(drawn)
        time.sleep(0.05)
        assert not picture.done()
        halfway.go_on()
        model, sent = picture.result(10)
    assert model is not None
    assert model.seq == before.seq + 1
    assert model.totals.tx_bytes_per_s
    assert sent == [SENT] * PAIRS


def test_no_tick_is_replaced_inside(halfway: Halfway) -> None:
    with halfway.feed.one_tick() as model:
        assert model is halfway.feed.latest()
        for client in halfway.clients:
            client.sendall(bytes(SENT))
        time.sleep(0.3)  # some intervals
        assert halfway.feed.latest() is model
        assert rows_sent(halfway.feed) == [0] * PAIRS
        with halfway.feed.one_tick() as nested:
            assert nested is model
    halfway.ticks(2)
    assert rows_sent(halfway.feed) == [SENT] * PAIRS


@pytest.fixture
def long(halfway: Halfway, monkeypatch: pytest.MonkeyPatch) -> Halfway:
    """Its sweeps count as long, and one of the sockets is all that is on the screen."""
    monkeypatch.setattr(enginefeed, "LONG_SOCKETS", 0)
    halfway.feed.window(0, PAIRS)
    return halfway


def test_a_long_sweep_is_not_waited_for(long: Halfway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enginefeed, "TICK_WAIT_S", 10)
    before = long.stop_halfway()
    began = time.monotonic()
    with long.feed.one_tick() as model:
        took_s = time.monotonic() - began
        assert model is None
        assert long.feed.latest() is before
        assert rows_sent(long.feed) == [0] * PAIRS, "as the tick before had them"
        assert [long.sent(cookie) for cookie in long.cookies] == [0] * PAIRS
        details = [long.feed.detail(cookie) for cookie in long.cookies]
        assert all(d is not None and d.tcp_info["bytes_sent"] == 0 for d in details)
        order = [row.cookie for row in long.feed.window(0, PAIRS)]
        assert [long.feed.position(cookie) for cookie in order] == [0, 1, 2]
        with ThreadPoolExecutor(1) as poller:  # which keeps what the sweep says, not the screen
            assert poller.submit(rows_sent, long.feed).result(10) == [SENT] * PAIRS
        with long.feed.one_tick() as nested:
            assert nested is None
            long.go_on()
            while long.feed.latest() is before:
                time.sleep(0.01)
        assert rows_sent(long.feed) == [0] * PAIRS, "this picture stays of one tick"
    assert took_s < 5
    with long.feed.one_tick() as model:
        assert model is not None
        assert model.seq == before.seq + 1
        assert rows_sent(long.feed) == [SENT] * PAIRS


def test_sockets_in_focus_are_held_wherever_they_stand(
    long: Halfway, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nettop.heldrows as heldrows

    monkeypatch.setattr(heldrows, "MARGIN_ROWS", 0)
    long.feed.window(0, 1)
    last = long.feed.window(PAIRS - 1, 1)[0].cookie
    long.feed.window(0, 1)
    long.feed.set_focus([last])
    long.stop_halfway()
    with long.feed.one_tick() as model:
        assert model is None
        assert long.sent(last) == 0


@pytest.mark.parametrize("change", ["filter", "sort"])
def test_a_new_order_forgets_the_rows_that_were_held(long: Halfway, change: str) -> None:
    from nettop.feed import Sort
    from nettop.text.fields import FIELDS

    ask: dict[str, Callable[[], None]] = {
        "filter": lambda: long.feed.set_filter(compile_filter("dport = 1")),
        "sort": lambda: long.feed.set_sort(Sort(FIELDS["tx"], True)),
    }
    long.stop_halfway()
    with long.feed.one_tick() as model:
        assert model is None
        ask[change]()
        count = long.feed.count()
        assert len(long.feed.window(0, PAIRS)) == count
        assert count == (0 if change == "filter" else PAIRS)
