"""nettop's real screen on sockets of which an exact share changes at every tick.

  python -m tests.bench.dosed --rows 10000 --share 0.1 --hz 1

The rows lie in the real engine and are read through it at every repaint; only the numbers of the
rows that change are put in afterwards. With a share above 0 the header's totals and the panes'
histories move, too.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from msgspec.structs import replace

from nettop.engine import ffi
from nettop.engine.handle import Engine
from nettop.engine.wire import EMPTY_REC, pack_row
from nettop.feed import Grouping, Sort
from nettop.model.cost import Cost
from nettop.model.events import ALL_TYPES, Closed, Event, EventMemory, EventType
from nettop.model.types import (
    AF_INET,
    Detail,
    Flag,
    Group,
    Histogram,
    Model,
    Owner,
    Point,
    Proc,
    Proto,
    Row,
    SourceStatus,
    Totals,
)
from nettop.query.compile import Filter
from nettop.sources import NAMES, off
from nettop.text.fields import Field
from nettop.tui.app import ScreenOptions, run_app

KNOWN = int(Flag.RATES | Flag.LIMITED | Flag.INFO | Flag.RETR_PCT | Flag.MATCH)


def packed(number: int) -> bytes:
    """One socket of a made-up server."""
    empty: Any = EMPTY_REC  # its members are those of struct nt_rec
    rec = empty._replace(
        cookie=number + 1, src=bytes([10, 0, 0, 5]).ljust(16, b"\0"),
        dst=(0x0A010000 + number).to_bytes(4, "big").ljust(16, b"\0"), sport=443,
        dport=32768 + number % 28000, netns=1, inode=number + 1, family=AF_INET,
        proto=int(Proto.TCP), state=1, flags=KNOWN, rtt_us=1000 + number % 900, rttvar_us=200,
        min_rtt_us=900, snd_cwnd=10 + number % 90, tx_bytes_per_s=1e6 / (number + 1),
        rx_bytes_per_s=1e5 / (number + 1), flow_bytes_per_s=1e6 / (number + 1),
    )  # fmt: skip
    return pack_row(rec, Proc(1000 + number % 64, 7, Owner.PROC, 0, "server"))


class DosedFeed:
    """A Feed that ticks by its own clock."""

    live = True
    title: str | None = None
    file_filter: str | None = None
    names = None

    def __init__(self, rows: int, share: float, hz: float) -> None:
        self._engine = Engine()
        self._engine.config.rows_all = 1
        self._engine.configure()
        self._engine.load(b"".join(packed(i) for i in range(rows)), ffi.NULL, rows)
        self._count = self._engine.order(None, True, 512, False)
        self._rows, self._share, self._hz = rows, share, hz
        self._stop = threading.Event()
        self._turn = itertools.count()
        self._visible: list[int] = []
        self._changed: dict[int, int] = {}  # cookie → the tick that last changed it
        self._tick = 0
        now = time.monotonic_ns()
        self._points = [self._point(now - i * 1_000_000_000) for i in range(90, 0, -1)]
        self._model = self._next()

    def _point(self, mono_ns: int) -> Point:
        moved = float(self._tick % 7) if self._share else 0.0
        tx = 1e6 + moved * 1e5
        return Point(mono_ns, int(tx), 10 + int(moved), moved, tx, 1e5, 0, 0, None)

    def _next(self) -> Model:
        moved = self._tick % 1000 if self._share else 0
        return Model(
            seq=self._tick + 1, mono_ns=time.monotonic_ns(), wall_ns=time.time_ns(),
            interval_s=1 / self._hz, host="web-1", kernel="6.18.0",
            sources=(SourceStatus("diag", "ok", "sock_diag"), SourceStatus("procs", "ok", "proc"),
                     *(off(name, "a benchmark") for name in NAMES)),
            cost=Cost(1.0 + moved % 10 / 10, 7.0, 0, 0, 50_000_000),
            totals=Totals(
                tcp=self._rows, udp=0, mptcp=0, by_state={"ESTABLISHED": self._rows},
                matched=self._rows, unwell=0, watch=0, who={}, opened=0, closed=0,
                tx_bytes_per_s=1e7 + moved * 1e5, rx_bytes_per_s=1e6, matched_retrans_per_s=0.0,
                retr_pct=0.0, retrans_per_s=float(moved % 10), resets_per_s=0.0,
            ),
        )  # fmt: skip

    def _run(self, on_model: Callable[[], None]) -> None:
        deadline = time.monotonic()
        while not self._stop.wait(max(0.0, deadline - time.monotonic())):
            self._tick += 1
            visible = self._visible
            for _ in range(round(self._share * len(visible))):
                self._changed[visible[next(self._turn) % len(visible)]] = self._tick
            self._points = [*self._points[-299:], self._point(time.monotonic_ns())]
            self._model = self._next()
            on_model()
            deadline += 1 / self._hz

    def start(self, on_model: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(on_model,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def undo(self) -> None: ...

    def _dosed(self, row: Row) -> Row:
        tick = self._changed.get(row.cookie)
        if tick is not None:
            rec = row.rec
            row.rec = rec._replace(
                rtt_us=rec.rtt_us + tick * 37 % 997, rttvar_us=200 + tick * 13 % 97,
                snd_cwnd=10 + tick % 89, retrans_per_s=float(tick % 9), wqueue=tick * 4099 % 99991,
                rqueue=tick * 257 % 9973, flow_bytes_per_s=1e5 + tick * 7919 % 99991,
                tx_bytes_per_s=1e5 + tick * 7919 % 99991,
            )  # fmt: skip
        return row

    def latest(self) -> Model | None:
        return self._model

    def one_tick(self) -> AbstractContextManager[Model | None]:
        return nullcontext(self._model)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        return []

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return 0, b""

    def count(self) -> int:
        return self._count

    def window(self, offset: int, rows: int) -> list[Row]:
        found = [self._dosed(row) for row in self._engine.window(offset, rows)]
        self._visible = [row.cookie for row in found]
        return found

    def position(self, cookie: int) -> int | None:
        return self._engine.position(cookie)

    def find(self, cookie: int) -> Row | None:
        row = self._engine.find(cookie)
        return self._dosed(row) if row else None

    def detail(self, cookie: int) -> Detail | None:
        info = {"unacked": 3, "snd_mss": 1448, "notsent_bytes": 0, "delivery_rate": 10**6,
                "pacing_rate": 2 * 10**6, "rto": 204000, "total_retrans": 0}  # fmt: skip
        return Detail(cookie, info, 280)

    def owners(self, row: Row) -> list[Proc]:
        return []

    def seconds_since(self, engine_s: int) -> float | None:
        return 0.0

    def groups(self, grouping: Grouping) -> Sequence[Group]:
        return []

    def members(self, grouping: Grouping, cookie: int, *, most: int) -> list[int]:
        return []

    def sum(self, cookies: Sequence[int]) -> Group | None:
        return None

    def events(
        self, cookies: Sequence[int], *, most: int, types: Collection[EventType] = ALL_TYPES
    ) -> list[Event]:
        return []

    def tick_events(
        self, most: int, *, everything: bool = False
    ) -> tuple[Sequence[Event], Mapping[EventType, int]]:
        return (), {}

    def events_memory(self, cookies: Sequence[int]) -> EventMemory | None:
        return None

    def closed(self, cookies: Sequence[int], *, most: int) -> list[Closed]:
        return []

    def select_tx(self, cookies: Sequence[int]) -> None: ...

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return None

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        return None

    def history(self, cookie: int | None) -> list[Point]:
        return self._points

    def set_focus(self, cookies: Sequence[int]) -> None: ...

    def set_filter(self, compiled: Filter | None) -> None: ...

    def set_sort(self, sort: Sort) -> None:
        self._count = self._engine.order(sort.field, sort.descending, 512, False)

    def hold_order(self, held: bool) -> None: ...

    def set_interval(self, seconds: float) -> None: ...

    def measure_cost(self, wanted: bool) -> None: ...

    def set_paused(self, paused: bool) -> None:
        self._model = replace(self._model, seq=self._model.seq + 1)

    def show_all(self, on: bool) -> bool:
        return False

    def clear(self) -> None: ...


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--hz", type=float, default=1.0)
    args = parser.parse_args()
    run_app(DosedFeed(args.rows, args.share, args.hz), ScreenOptions())
