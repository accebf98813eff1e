"""Probes of a TCP service that does not echo: connect, send a line end, wait for its ACK, close.

A CR LF is what text protocols take for an empty line and most binary ones for the start of
something; the service's answer does not matter, since its kernel acknowledges.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable

from nettop.model.stamps import Sent
from nettop.model.tcpinfo import decode
from nettop.model.types import TCP_CLOSE
from nettop.probe.connect import Target, connect, open_socket, why
from nettop.probe.legs import Leg, Round
from nettop.probe.options import ProbeOptions
from nettop.probe.tally import Point, Tally
from nettop.stamps import Flights, StampedSocket

_EMPTY_LINE = b"\r\n"
_STAGES = ("sched", "snd", "ack")
_STEP_S = 0.1
_TCP_INFO_BYTES = 512


class ServiceProber:
    """A connection per probe; the same interface as Prober."""

    def __init__(self, options: ProbeOptions, target: Target) -> None:
        self.options = options
        self.target = target
        self.interval_s = options.interval_s
        self.paused = False
        self.tally = Tally()
        self.started_ns = time.monotonic_ns()
        self.failure: str | None = None
        self.was_answered = False  # whatever has been cleared since
        self.hardware = None  # of sockets that live so short
        self.tcp_info: dict[str, int] = {}  # of the last connection, after the ACK
        self._stop = threading.Event()
        self._clear = threading.Event()
        self._seq = 0

    def stop(self) -> None:
        self._stop.set()

    def clear(self) -> None:
        """Has `run` start counts and times anew; those of a run that has ended stay."""
        self._clear.set()

    def close(self) -> None:
        """Nothing stays open between probes."""

    def run(self, on_point: Callable[[Point], None]) -> None:
        due = time.monotonic_ns()
        while not self._stop.is_set() and not self._done():
            if self._clear.is_set():
                self._clear.clear()
                self.tally = Tally()
            now = time.monotonic_ns()
            if self.paused or now < due:
                self._stop.wait(min(_STEP_S, max(0.0, (due - now) / 1e9)) or _STEP_S)
                continue
            due = max(due + round(self.interval_s * 1e9), now)
            try:
                point = self._probe()
            except OSError as error:
                if not self.was_answered:
                    self.failure = f"{self.target.text}: {why(error)}"
                    return
                self.tally.errors[why(error)] += 1
                continue
            # Outside: an error of the output is none of the network.
            on_point(point)

    def _done(self) -> bool:
        return self.options.count is not None and self._seq >= self.options.count

    def _probe(self) -> Point:
        seq, self._seq = self._seq, self._seq + 1
        self.tally.sent += 1
        before, began = time.time_ns(), time.monotonic_ns()
        r = Round(seq, Flights(is_stream=True).sent(0, Sent(before, began, began)), 0)
        with open_socket(self.options, self.target) as sock:
            limit = began + round(self.options.timeout_s * 1e9)
            try:
                connect(sock, self.target.address, limit)
            except OSError as error:
                self._count(error)
                return self.tally.lose(r)
            took = time.monotonic_ns() - began
            self.tally.answered += 1
            self.was_answered = True
            return self._stamp(sock, r, limit, took)

    def _count(self, error: OSError) -> None:
        """A first failure ends the run: there is nothing to probe."""
        if not self.was_answered and error.errno != errno.ETIMEDOUT:
            raise error
        if error.errno == errno.ECONNREFUSED:
            self.tally.refused += 1
        else:
            self.tally.errors[why(error)] += 1

    def _stamp(self, sock: socket.socket, r: Round, limit_ns: int, took_ns: int) -> Point:
        """The stages of one empty line."""
        stamped = StampedSocket(sock, receive=False)
        flights = Flights(is_stream=True)
        sent = stamped.send(_EMPTY_LINE)
        assert sent.key is not None
        r.flight = flights.sent(sent.key, sent.clocks)
        is_reset = False
        while r.flight.ack_ns is None and not self._stop.is_set():
            left = limit_ns - time.monotonic_ns()
            if left <= 0:
                break
            # What the service says is of no interest, and must not keep waking us.
            message, stamps = stamped.wait(min(left / 1e9, _STEP_S), for_stamps=True)
            flights.take(stamps)
            if message is None or message.data or r.flight.ack_ns is not None:
                continue
            if is_reset:
                self.tally.errors[why(OSError(errno.ECONNRESET, ""))] += 1
                break
            # Closed by the service; the ACK's stamp may still come, but not after a reset: the
            # stamps of what was acknowledged before it are read once more.
            is_reset = _info(sock)["state"] == TCP_CLOSE
            if not is_reset:
                time.sleep(0.001)
        for error, n in stamped.errors.items():
            self.tally.errors[error.name or str(error.value)] += n
        self.tcp_info = _info(sock)
        return self.tally.settle(r, stages=_STAGES, before={Leg.CONNECT: took_ns})


def _info(sock: socket.socket) -> dict[str, int]:
    """Members of struct tcp_info, as far as this kernel has them."""
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return decode(raw, len(raw))
