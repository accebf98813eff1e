"""What the sparklines show: at most 300 ticks of the sockets on the screen and of their sum."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from math import isnan

from nettop.engine.handle import Engine
from nettop.model.buckets import octaves_of
from nettop.model.types import Model, Point
from nettop.text.fields import FIELDS

LENGTH = 300
OCTAVES = struct.Struct("=32I")
# Sockets that left the screen keep their history for a while, in case they come back.
MOST_SOCKETS = 512


# In the order of Point, and how many waits its octaves are of.
NUMBERS = tuple(
    FIELDS[name]
    for name in ("srtt", "cwnd", "retr/s", "tx", "rx", "sndq", "rcvq", "delivery_rate", "rxwait.n")
)
VALUES = struct.Struct(f"={len(NUMBERS)}d")


def points_of(engine: Engine, cookies: Sequence[int], mono_ns: int) -> Iterator[tuple[int, Point]]:
    """One tick of each of these sockets that is there; None where its kernel or its state has no
    such number."""
    found = engine.values_of(cookies, NUMBERS)
    numbers, octaves = VALUES.iter_unpack(found.values), OCTAVES.iter_unpack(found.octaves)
    for cookie, there, values, waits in zip(cookies, found.there, numbers, octaves, strict=True):
        if there:
            rtt, cwnd, resent, tx, rx, sndq, rcvq, rate, waited = (
                None if isnan(value) else value for value in values
            )
            yield cookie, Point(
                mono_ns, _whole(rtt), _whole(cwnd), resent, tx, rx, _whole(sndq), _whole(rcvq),
                rate, waits if waited else None,
            )  # fmt: skip


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


class Histories:
    """Points by cookie; None stands for the sum of the matched sockets."""

    def __init__(self) -> None:
        self._points: dict[int | None, deque[Point]] = {}

    def add(self, model: Model, focus: Sequence[int], engine: Engine) -> None:
        """Takes this tick's numbers of the sockets in focus."""
        totals = model.totals
        resent = totals.matched_retrans_per_s if model.chosen else totals.retrans_per_s
        self._append(
            None,
            Point(
                model.mono_ns, None, None, resent, totals.tx_bytes_per_s,
                totals.rx_bytes_per_s, None, None, None,
                octaves_of(model.rx_wait) if model.rx_wait else None,
            ),
        )  # fmt: skip
        for cookie, point in points_of(engine, focus, model.mono_ns) if focus else ():
            self._append(cookie, point)
        surplus = len(self._points) - MOST_SOCKETS
        if surplus > 0:
            kept = {None, *focus}
            for cookie_ in [c for c in self._points if c not in kept][:surplus]:
                del self._points[cookie_]

    def _append(self, cookie: int | None, point: Point) -> None:
        points = self._points.setdefault(cookie, deque(maxlen=LENGTH))
        if points and points[-1].mono_ns == point.mono_ns:
            points.pop()
        points.append(point)

    def of(self, cookie: int | None) -> list[Point]:
        # list() of a deque that another thread appends to may raise once in a while.
        for _ in range(8):
            try:
                return list(self._points.get(cookie, ()))
            except RuntimeError:
                continue  # it was appended to meanwhile
        return []

    def copy(self) -> Histories:
        made = Histories()
        made._points = {cookie: points.copy() for cookie, points in self._points.items()}
        return made

    def clear(self) -> None:
        self._points.clear()
