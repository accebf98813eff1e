"""Probes that are answered: paced messages to reflect, or to any UDP echo."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from nettop.clocks.follow import SystemTime
from nettop.errors import NettopError
from nettop.model.stamps import Sent
from nettop.probe.connect import Target, open_socket, why
from nettop.probe.hardware import Hardware, interface_of
from nettop.probe.legs import Round
from nettop.probe.options import ProbeOptions
from nettop.probe.tally import Point, Tally
from nettop.probe.wire import ANSWER, LEAST_BYTES, header_of, request, times_of
from nettop.stamps import Flights, Message, Stamp, StampedSocket

_SETTLE_NS = 20_000_000  # stamps that are not there so long after the answer will not come
_STAGES = {"udp": ("sched", "snd"), "tcp": ("sched", "snd", "ack")}
_PLACE_NS = 2_000_000_000  # so long a hardware stamp may wait for the NIC's clock to be read
_RETRY_NS = 1_000_000
_KEPT_LOST = 4096
_MOST_WAIT_S = 0.1  # so that a stop is noticed
_NETSTAMP_S = 0.05  # the kernel switches stamping on by a work queue

OnPoint = Callable[[Point], None]


class Prober:
    """One stamped socket, its probes under way and what became of them.

    `run` blocks; another thread may read `tally`, change `interval_s`, `paused`, and `stop`.
    """

    def __init__(self, options: ProbeOptions, target: Target, sock: socket.socket | None = None):
        self.options = options
        self.target = target
        self.interval_s = options.interval_s
        self.paused = False
        self.tally = Tally()
        self.started_ns = time.monotonic_ns()
        self.failure: str | None = None  # why it ended by itself
        self.was_answered = False  # whatever has been cleared since
        self.hardware: Hardware | None = None
        self._stages = _STAGES[options.proto]
        self._session = int.from_bytes(os.urandom(8), "big")
        self._stop = threading.Event()
        self._clear = threading.Event()
        self._seq = 0
        self._first = 0  # seq of the tally's first probe
        self._highest = -1
        self._open: OrderedDict[int, Round] = OrderedDict()  # not answered yet
        self._answered: OrderedDict[int, Round] = OrderedDict()  # stamps still to come
        self._lost: OrderedDict[int, Round] = OrderedDict()
        self._keys: dict[int, int] = {}  # seq to the key of its stamps
        self._stream = b""  # received, not a whole answer yet
        self._rest = b""  # of a probe that the send buffer had no room for
        self._began: Sent | None = None  # clocks of that probe's first part
        self._sock = sock or self._connected()
        try:
            if options.hardware:
                self.hardware = Hardware(options.interface or interface_of(self._sock))
            self._stamped = StampedSocket(self._sock, hardware=options.hardware)
        except BaseException:
            self._sock.close()
            raise
        self._flights = Flights(is_stream=self._stamped.is_stream)
        time.sleep(_NETSTAMP_S)

    def _connected(self) -> socket.socket:
        sock = open_socket(self.options, self.target)
        try:
            sock.connect(self.target.address)
        except OSError as error:
            sock.close()
            raise NettopError(f"{self.target.text}: {why(error)}") from None
        return sock

    def stop(self) -> None:
        self._stop.set()

    def clear(self) -> None:
        """Has `run` start counts and times anew; those of a run that has ended stay."""
        self._clear.set()

    def _start_anew(self) -> None:
        """A new tally; probes under way and their answers belong to neither."""
        self._clear.clear()
        self.tally = Tally()
        self._first, self._highest = self._seq, -1
        for rounds in (self._open, self._answered, self._lost):
            rounds.clear()
        self._keys.clear()
        self._flights = Flights(is_stream=self._stamped.is_stream)
        self._stamped.errors.clear()

    def close(self) -> None:
        self._stamped.close()
        if self.hardware is not None:
            self.hardware.close()

    def run(self, on_point: OnPoint) -> None:
        """Probes until the count is reached and answered, or stopped.

        Raises:
            KeyboardInterrupt: after all answers have been reported.
        """
        try:
            self._probe(on_point)
        except KeyboardInterrupt:
            self._settle_answered(on_point)
            raise
        self._settle_answered(on_point)

    def _probe(self, on_point: OnPoint) -> None:
        due = time.monotonic_ns()
        while not self._stop.is_set() and not self._finished():
            if self._clear.is_set():
                self._start_anew()
            # on_point stays outside: an error of the output is none of the network.
            try:
                due = self._exchange(due)
            except OSError as error:
                self.failure = f"{self.target.text}: {why(error)}"
                return
            self._give_up(on_point)
            self._settle(on_point)

    def _exchange(self, due_ns: int) -> int:
        """Sends what is due and takes what has come; returns when the next probe is due."""
        now = time.monotonic_ns()
        if self.paused or self._all_sent():
            due_ns = now + round(self.interval_s * 1e9)
        elif now >= due_ns:
            self._send()
            pause = _RETRY_NS if self._rest else round(self.interval_s * 1e9)
            due_ns = max(due_ns + pause, now)
        self._listen(due_ns)
        return due_ns

    def _settle_answered(self, on_point: OnPoint) -> None:
        """Answered probes with the stamps that they have."""
        while self._answered:
            _, r = self._answered.popitem(last=False)
            on_point(self._settled(r))

    def _all_sent(self) -> bool:
        return self.options.count is not None and self._seq >= self.options.count

    def _finished(self) -> bool:
        return self._all_sent() and not self._open and not self._answered

    def _send(self) -> None:
        """The next probe, or what a stream did not take of it before."""
        data = self._rest or request(self._seq, self._session, self.options.size)
        try:
            sent = self._stamped.send(data, flags=socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._refused()
            return
        self._began = self._began or sent.clocks
        self._rest = data[sent.taken :]
        if self._rest:
            return
        assert sent.key is not None
        flight = self._flights.sent(sent.key, self._began)
        self._began = None
        self._keys[self._seq] = sent.key
        self._open[self._seq] = Round(self._seq, flight, self.options.size)
        self._seq += 1
        self.tally.sent += 1

    def _refused(self) -> None:
        """The port is not open: reported once for a probe that was sent before."""
        if not self.was_answered:
            self._stop.set()
            self.failure = f"{self.target.text}: port unreachable: nothing listens there"
        self.tally.refused += 1

    def _listen(self, due_ns: int) -> None:
        """Waits until a probe is due, an answer came, or something has to be given up."""
        now = time.monotonic_ns()
        until = min(due_ns, now + round(_MOST_WAIT_S * 1e9))
        if self._answered:
            until = min(until, now + _SETTLE_NS)
        try:
            message, stamps = self._stamped.wait(
                max(0, until - now) / 1e9, for_stamps=bool(self._answered)
            )
        except ConnectionRefusedError:
            self._refused()
            return
        self._file(stamps)
        while message is not None:
            self._take(message)
            try:
                message = self._stamped.recv()
            except BlockingIOError:
                message = None
            except ConnectionRefusedError:
                self._refused()
                return

    def _file(self, stamps: list[Stamp]) -> None:
        self._flights.take(stamps)
        for error, n in self._stamped.errors.items():
            self.tally.errors[error.name or str(error.value)] = n

    def _take(self, message: Message) -> None:
        if not self._stamped.is_stream:
            self._answer(message.data, message)
            return
        if not message.data:
            raise OSError("the far end closed the connection")
        self._stream += message.data
        while len(self._stream) >= LEAST_BYTES:
            head = header_of(self._stream)
            if head is None:
                raise OSError("the far end answers what is no nettop reflect")
            if len(self._stream) < head.size:
                return
            data, self._stream = self._stream[: head.size], self._stream[head.size :]
            self._answer(data, message)

    def _answer(self, data: bytes, message: Message) -> None:
        head = header_of(data)
        if head is None or head.session != self._session or head.size != len(data):
            self.tally.garbage += 1
            return
        self.was_answered = True
        if head.seq < self._first:
            return
        r = self._open.pop(head.seq, None)
        if r is None:
            r = self._lost.pop(head.seq, None)
            if r is None:
                self.tally.duplicates += 1
                return
            self.tally.lost -= 1
            self.tally.overdue += 1
        self.tally.answered += 1
        self.tally.reordered += head.seq < self._highest
        self._highest = max(self._highest, head.seq)
        r.read_ns, r.read_mono_ns = message.stamp.read_ns, message.stamp.read_mono_ns
        r.arrived_ns = message.stamp.software_ns
        r.arrived_hw_ns = message.stamp.hardware_ns
        r.clock_steps = self.hardware.clock.steps_seen if self.hardware is not None else 0
        r.far = times_of(data) if head.kind == ANSWER else None
        self._answered[head.seq] = r

    def _settle(self, on_point: OnPoint) -> None:
        now = time.monotonic_ns()
        for seq, r in list(self._answered.items()):
            age = now - r.read_mono_ns
            if not self._complete(r) and age < _SETTLE_NS:
                continue
            if not self._placed(r) and age < _PLACE_NS:
                continue
            del self._answered[seq]
            self._forget_flight(r)
            on_point(self._settled(r))

    def _complete(self, r: Round) -> bool:
        """Whether every stamp is there."""
        f = r.flight
        if self.hardware is not None and f.hardware_ns is None:
            return False
        return f.joined or all(getattr(f, f"{s}_ns") is not None for s in self._stages)

    def _placed(self, r: Round) -> bool:
        """Whether its hardware stamps lie between two readings of the NIC's clock."""
        if self.hardware is None:
            return True
        stamps = (r.flight.hardware_ns, r.arrived_hw_ns)
        return all(ns is None or self.hardware.clock.is_between(ns) for ns in stamps)

    def _settled(self, r: Round) -> Point:
        stages = self._stages
        if self.hardware is not None:
            stages = (*stages, "hardware")
            times: list[SystemTime | None] = []
            if r.flight.hardware_ns is not None:
                r.left_hw = self._as_system(self.hardware, r, r.flight.hardware_ns)
                times.append(r.left_hw)
            if r.arrived_hw_ns is not None:
                r.arrived_hw = self._as_system(self.hardware, r, r.arrived_hw_ns)
                times.append(r.arrived_hw)
            self.tally.hardware(times)
        return self.tally.settle(r, stages=stages)

    @staticmethod
    def _as_system(hardware: Hardware, r: Round, ns: int) -> SystemTime | None:
        return hardware.clock.to_system(ns) if hardware.clock.steps_seen == r.clock_steps else None

    def _give_up(self, on_point: OnPoint) -> None:
        limit = time.monotonic_ns() - round(self.options.timeout_s * 1e9)
        for seq, r in list(self._open.items()):
            if r.flight.clocks.before_mono_ns > limit:
                break
            del self._open[seq]
            # Its flight stays: a late answer needs the stamps.
            self._lost[seq] = r
            if len(self._lost) > _KEPT_LOST:
                _, gone = self._lost.popitem(last=False)
                self._forget_flight(gone)
            on_point(self.tally.lose(r))

    def _forget_flight(self, r: Round) -> None:
        key = self._keys.pop(r.seq)
        # After a refused send keys start anew: this one may be a later probe's.
        if self._flights.get(key) is r.flight:
            self._flights.pop(key)
