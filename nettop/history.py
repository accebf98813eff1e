"""What the sparklines show: at most 300 ticks of the sockets on the screen and of their sum."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence

from nettop.engine.handle import Engine
from nettop.model.buckets import octaves_of
from nettop.model.types import Detail, Model, Point, Row
from nettop.text.fields import FIELDS

LENGTH = 300
OCTAVES = struct.Struct("<32I")
# Sockets that left the screen keep their history for a while, in case they come back.
MOST_SOCKETS = 512


def point_of(row: Row, detail: Detail | None, mono_ns: int) -> Point:
    """One tick of one socket; None where its kernel or its state has no such number."""

    def number(field: str) -> float | None:
        value = FIELDS[field].value(row, detail)
        return None if isinstance(value, str) else value

    def whole(field: str) -> int | None:
        value = number(field)
        return None if value is None else int(value)

    return Point(
        mono_ns=mono_ns,
        rtt_ns=whole("srtt"),
        snd_cwnd=whole("cwnd"),
        retrans_per_s=number("retr/s"),
        tx_bytes_per_s=number("tx"),
        rx_bytes_per_s=number("rx"),
        wqueue_bytes=whole("sndq"),
        rqueue_bytes=whole("rcvq"),
        delivery_bytes_per_s=number("delivery_rate"),
        wait_octaves=OCTAVES.unpack(row.plane.wait_octaves) if row.plane.wait.count else None,
    )


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
        for cookie in focus:
            row = engine.find(cookie)
            if row is not None:
                self._append(cookie, point_of(row, engine.detail(cookie), model.mono_ns))
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
