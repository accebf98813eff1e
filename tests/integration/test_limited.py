"""What holds a sender back, on real connections over a path of 40 ms."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager

from nettop.collect import PollOptions
from nettop.poller import LiveFeed
from nettop.sources import PlaneOptions
from tests.integration.namespaces import inside, needs_root
from tests.integration.relay import relayed
from tests.integration.sends import cookie_of

pytestmark = needs_root

SO_MAX_PACING_RATE = 47
INTERVALS = 12  # looked at for those in which the path held nothing up
# A buffer that is full for most of the time has room at the end of some interval.
ENOUGH = 3
# Name → (options before connect, NODELAY, bytes a send, pause between sends, who holds it back)
KINDS = {
    "nagle": ([], False, 100, 0.005, "in_flight"),
    "cork": ([(socket.IPPROTO_TCP, socket.TCP_CORK, 1)], False, 100, 0.02, "in_flight"),
    "pacing": ([(socket.SOL_SOCKET, SO_MAX_PACING_RATE, 50_000)], True, 65536, 0.0, "in_flight"),
    # Segments of one send each, and fewer than the first congestion window takes.
    "buffer": ([(socket.SOL_SOCKET, socket.SO_SNDBUF, 9000)], True, 1448, 0.0, "sndbuf"),
    "bulk": ([], True, 65536, 0.0, "cwnd"),
}


@contextmanager
def busy(kind: str, near: str, far: str) -> Iterator[socket.socket]:
    """A connection whose two ends write and read all the time."""
    options, nodelay, size, pause, _ = KINDS[kind]
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):  # a time-out of a full buffer, or the end
                sender.send(bytes(size))
            time.sleep(pause)

    def read() -> None:
        with contextlib.suppress(OSError):
            while receiver.recv(1 << 20):
                pass

    with inside(far, lambda: socket.create_server(("10.7.0.2", 0))) as listener:
        sender = inside(near, socket.socket)
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        for option in options:
            sender.setsockopt(*option)
        sender.connect(listener.getsockname())
        receiver, _ = listener.accept()
    sender.settimeout(0.5)
    threads = [threading.Thread(target=work) for work in (write, read)]
    with sender, receiver:
        for thread in threads:
            thread.start()
        try:
            yield sender
        finally:
            ended.set()
            sender.shutdown(socket.SHUT_RDWR)
            receiver.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def held_back(feed: LiveFeed, sock: socket.socket) -> dict[str, int]:
    row = feed.find(cookie_of(sock))
    assert row is not None
    names = ("rwnd", "sndbuf", "cwnd", "in_flight", "idle")
    return {name: getattr(row.rec, f"lim_{name}_pct") for name in names}


def of_info(sock: socket.socket, at: int) -> int:
    """The u32 at that offset of the socket's own TCP_INFO."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[at : at + 4], sys.byteorder)


def resent(senders: Iterable[socket.socket]) -> int:
    """Segments (tcpi_total_retrans)."""
    return sum(of_info(sender, 100) for sender in senders)


def windows_have_room(senders: Iterable[socket.socket]) -> bool:
    """tcpi_unacked below tcpi_snd_cwnd: what was lost earlier shrinks windows for a while."""
    return all(of_info(sender, 24) < of_info(sender, 80) for sender in senders)


def an_interval(feed: LiveFeed) -> None:
    feed.tick()
    time.sleep(1.1)
    feed.tick()


def test_each_is_held_back_by_what_holds_it_back() -> None:
    with ExitStack() as stack:
        near, far, relay = stack.enter_context(relayed(20_000_000))
        senders = {k: stack.enter_context(busy(k, near, far)) for k in KINDS}
        options = PollOptions(netns=(near,), planes=PlaneOptions(bpf=False))
        feed = stack.enter_context(closing(LiveFeed(options)))
        time.sleep(1.5)
        seen = {kind: Counter[str]() for kind in senders}
        others = [sender for kind, sender in senders.items() if kind != "bulk"]
        taken = 0
        for _ in range(INTERVALS):
            before, had_room = resent(senders.values()), windows_have_room(others)
            an_interval(feed)
            # A relay that was late makes senders wait for answers, and that is what is said then.
            as_before = resent(senders.values()) == before
            if as_before and had_room and windows_have_room(others):
                taken += 1
                for kind, sender in senders.items():
                    seen[kind].update(held_back(feed, sender))
            if taken == ENOUGH:
                break
        assert taken == ENOUGH, "the relay was late too often"
        most = {kind: max(shares, key=shares.__getitem__) for kind, shares in seen.items()}
        assert most == {kind: by for kind, (*_, by) in KINDS.items()}, seen
        assert all(shares["cwnd"] == 0 for kind, shares in seen.items() if kind != "bulk"), seen

        # Nothing comes back: everybody waits for an answer, however full the window is.
        relay.shape = lambda _number: []
        time.sleep(1.5)
        an_interval(feed)
        last = {kind: held_back(feed, sender) for kind, sender in senders.items()}
        assert all(shares["cwnd"] == 0 for shares in last.values()), last
