"""A live feed that stands still: the sockets of a recorded snapshot, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from nettop.export.load import load_snapshot
from nettop.feed import Sort
from nettop.filefeed import FileFeed
from nettop.model.types import Detail, Histogram, Model, Point, Row, SourceStatus

SESSION = Path(__file__).parent / "data" / "session.json"


class FakeFeed(FileFeed):
    """FileFeed that calls itself live; `tick` publishes the same sockets once more."""

    live = True

    def __init__(self, path: Path = SESSION) -> None:
        super().__init__(load_snapshot(str(path)))
        self.title = None
        self.asked: list[tuple[str, Any]] = []
        self.on_model: Callable[[], None] | None = None
        self.error: BaseException | None = None

    def start(self, on_model: Callable[[], None]) -> None:
        self.on_model = on_model
        on_model()

    def publish(self, **changes: Any) -> None:
        """A further tick, with these members of the model changed."""
        self._model = replace(self._model, seq=self._model.seq + 1, **changes)
        assert self.on_model is not None
        self.on_model()

    def without_privilege(self) -> None:
        """Every plane but diag is off, as an ordinary user sees it."""
        off = [
            SourceStatus(s.name, "off", reason="needs CAP_BPF and CAP_PERFMON", fix="sudo nettop")
            for s in self._model.sources
            if s.name != "diag"
        ]
        diag = SourceStatus("diag", "ok", "sock_diag")
        self._model = replace(self._model, sources=(diag, *off), rx_wait=None)

    def latest(self) -> Model | None:
        if self.error is not None:
            raise self.error
        return super().latest()

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        if self._model.rx_wait is None:
            return None
        return super().rx_wait(cookies, run=False)

    def history(self, cookie: int | None) -> list[Point]:
        return [
            Point(10**12 + i * 10**9, 18_000_000 + i * 10_000, 30 + i % 7, float(i % 5), 2e6, 1e5,
                  9000 * i, 0, 2e6)
            for i in range(60)
        ]  # fmt: skip

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        self.asked.append(("rows_all", everything))
        return super().rows_all(with_detail=with_detail, everything=everything)

    def set_sort(self, sort: Sort) -> None:
        self.asked.append(("sort", sort))
        super().set_sort(sort)

    def set_paused(self, paused: bool) -> None:
        self.asked.append(("paused", paused))

    def show_all(self, on: bool) -> bool:
        self.asked.append(("all", on))
        return True

    def measure_cost(self, wanted: bool) -> None:
        self.asked.append(("measure_cost", wanted))

    def set_interval(self, seconds: float) -> None:
        self.asked.append(("interval", seconds))

    def hold_order(self, held: bool) -> None:
        self.asked.append(("hold", held))

    def clear(self) -> None:
        self.asked.append(("clear", None))
