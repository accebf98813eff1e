"""The far end of probe: answers requests with its own timestamps, and reports its own queue wait.

Only requests of probe are answered, never with more bytes than they have, and never an answer:
two reflectors cannot keep each other busy.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, field

from nettop.errors import NettopError
from nettop.probe.clock import boot_number, clock_error_ns
from nettop.probe.connect import Target, resolve, why
from nettop.probe.options import ReflectOptions
from nettop.probe.times import Times
from nettop.probe.wire import (
    GREETING,
    LEAST_BYTES,
    REQUEST,
    STAMPED_BYTES,
    FarTimes,
    Header,
    answer,
    header_of,
)
from nettop.stamps import Flights, Message, StampedSocket, StampType

LOOPBACK = ("127.0.0.1", "::1")
_NO_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_MOST_CLIENTS = 1024
_CLOCK_EVERY_S = 1.0
_BACKLOG = 64
_TURN = 64  # messages of one socket before the others get theirs


class Client(Struct):
    """One session of a probe: the last answer whose stamps are known."""

    told_seq: int = 0
    sched_ns: int | None = None
    snd_ns: int | None = None


class Counts(Struct):
    """Of one interval and one protocol."""

    wait: Times = field(default_factory=Times)
    answered: int = 0
    strangers: int = 0  # what is no request of probe
    unsent: int = 0
    clients: set[int] = field(default_factory=set)


class Port:
    """A socket that requests come from: the UDP one, or one accepted connection."""

    def __init__(self, sock: socket.socket, proto: str) -> None:
        self.sock = sock
        self.proto = proto
        self.stamped = StampedSocket(sock)
        self.flights = Flights(is_stream=self.stamped.is_stream)
        self.owners: OrderedDict[int, tuple[int, int]] = OrderedDict()  # key: session, seq
        self.stream = b""


class Reflector:
    """The sockets and the loop; `run` calls back once per interval."""

    def __init__(self, options: ReflectOptions) -> None:
        self.options = options
        self.counts = {proto: Counts() for proto in options.protos}
        self.total = {proto: Counts() for proto in options.protos}
        self.bound: list[str] = []
        self._select = selectors.DefaultSelector()
        self._clients: OrderedDict[int, Client] = OrderedDict()
        self._clock_error: int | None = None
        self._clock_read_s = 0.0
        self._connections = 0
        try:
            self._bind()
        except BaseException:
            self.close()
            raise

    def _bind(self) -> None:
        for proto in self.options.protos:
            for target in self._targets(proto):
                try:
                    self._listen(proto, target.family, target.address)
                except OSError as error:
                    # A host without IPv6 still has the other loopback address.
                    if self.options.host or error.errno not in _NO_ADDRESS:
                        raise NettopError(f"{target.text}: {why(error)}") from None
                else:
                    self.bound.append(target.text)
        if not self.bound:
            raise NettopError("this host has no loopback address: name one, ADDR:PORT")

    def _targets(self, proto: str) -> list[Target]:
        hosts = (self.options.host,) if self.options.host else LOOPBACK
        return [t for host in hosts for t in resolve(host, self.options.port, proto, 0)]

    def _listen(self, proto: str, family: int, address: Any) -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if proto == "tcp":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            if proto == "tcp":
                sock.listen(_BACKLOG)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        data = Port(sock, proto) if proto == "udp" else None
        self._select.register(sock, selectors.EVENT_READ, data)

    def run(self, on_interval: Callable[[], None]) -> None:
        """Answers until as many intervals have passed as the options say."""
        interval_s = self.options.delay_s
        due = time.monotonic() + interval_s
        passed = 0
        while self.options.reports is None or passed < self.options.reports:
            for key, _events in self._select.select(max(0.0, due - time.monotonic())):
                assert isinstance(key.fileobj, socket.socket)
                if key.data is None:
                    self._accept(key.fileobj)
                else:
                    self._serve(key.data)
            if time.monotonic() >= due:
                passed += 1
                due = max(due + interval_s, time.monotonic())
                on_interval()
                self.counts = {proto: Counts() for proto in self.options.protos}

    def close(self) -> None:
        for key in list(self._select.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._select.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: the next turn sees
        if self._connections >= _MOST_CLIENTS:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.send(GREETING)
            # After the greeting: keys count from here.
            port = Port(sock, "tcp")
        except OSError:
            sock.close()
            return
        self._connections += 1
        self._select.register(sock, selectors.EVENT_READ, port)

    def _drop(self, port: Port) -> None:
        self._select.unregister(port.sock)
        self._connections -= 1
        port.sock.close()

    def _serve(self, port: Port) -> None:
        try:
            for _ in range(_TURN):
                message = port.stamped.recv()
                if port.stamped.is_stream and not message.data:
                    self._drop(port)
                    return
                self._take(port, message)
                self._file(port)
        except BlockingIOError:
            self._file(port)
        except (ConnectionError, TimeoutError):
            if port.stamped.is_stream:
                self._drop(port)
        except OSError:
            if not port.stamped.is_stream:
                raise
            self._drop(port)

    def _file(self, port: Port) -> None:
        """Stamps of answers that were sent: their clients get them with the next answer."""
        stamps = port.stamped.stamps()
        # A lone ACK says nothing of what left, and may belong to an answer before the one reported.
        left = [s.key for s in stamps if s.key is not None and s.type is StampType.SND]
        flights = {key: port.flights.get(key) for key in left}
        port.flights.take(stamps)
        for key, flight in flights.items():
            owner = port.owners.get(key)
            client = self._clients.get(owner[0]) if owner else None
            if flight is None or client is None or owner is None or flight.snd_ns is None:
                continue
            client.told_seq, client.sched_ns, client.snd_ns = (
                owner[1], flight.sched_ns, flight.snd_ns,
            )  # fmt: skip

    def _take(self, port: Port, message: Message) -> None:
        for head in self._requests(port, message.data):
            self._answer(port, message, head)
        wait = message.queue_wait_ns
        for counts in self._both(port):
            if wait is not None:
                counts.wait.add(wait)

    def _both(self, port: Port) -> tuple[Counts, Counts]:
        return self.counts[port.proto], self.total[port.proto]

    def _requests(self, port: Port, data: bytes) -> Iterator[Header]:
        """Whole requests; a connection that says anything else is closed."""
        if not port.stamped.is_stream:
            head = header_of(data)
            if head is None or head.kind != REQUEST or head.size != len(data):
                self._stranger(port)
            else:
                yield head
            return
        port.stream += data
        while len(port.stream) >= LEAST_BYTES:
            head = header_of(port.stream)
            if head is None or head.kind != REQUEST:
                self._stranger(port)
                raise ConnectionError("not a probe")
            if len(port.stream) < head.size:
                return
            port.stream = port.stream[head.size :]
            yield head

    def _stranger(self, port: Port) -> None:
        for counts in self._both(port):
            counts.strangers += 1

    def _answer(self, port: Port, message: Message, head: Header) -> None:
        client = self._clients.get(head.session)
        if client is None:
            client = self._clients[head.session] = Client()
            if len(self._clients) > _MOST_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(head.session)
        times = None
        if head.size >= STAMPED_BYTES:
            times = FarTimes(
                boot_number(), self._own_error(), message.stamp.software_ns,
                message.stamp.read_ns, time.time_ns(), client.told_seq, client.sched_ns,
                client.snd_ns,
            )  # fmt: skip
        try:
            sent = port.stamped.send(answer(head, times), message.address)
        except OSError as error:
            # No room or no way back: the answer is lost, as the network may lose it.
            if port.stamped.is_stream and not isinstance(error, BlockingIOError):
                raise
            for counts in self._both(port):
                counts.unsent += 1
            return
        if port.stamped.is_stream and sent.taken < head.size:
            raise ConnectionError("the client does not read")
        assert sent.key is not None
        port.flights.sent(sent.key, sent.clocks)
        port.owners[sent.key] = (head.session, head.seq)
        if len(port.owners) > _MOST_CLIENTS:
            port.owners.popitem(last=False)
        if len(port.flights) > _MOST_CLIENTS:
            port.flights.older_than(sent.clocks.before_mono_ns - 1_000_000_000)
        for counts in self._both(port):
            counts.answered += 1
            counts.clients.add(head.session)

    def _own_error(self) -> int | None:
        now = time.monotonic()
        if now - self._clock_read_s > _CLOCK_EVERY_S:
            self._clock_read_s = now
            self._clock_error = clock_error_ns()
        return self._clock_error
