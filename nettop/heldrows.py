"""The rows on the screen as the last tick had them, while a long sweep replaces the engine's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from nettop.engine.handle import Engine
from nettop.engine.wire import cookies_of
from nettop.model.types import Detail, Row

MARGIN_ROWS = 64  # above and below what is on the screen, for keys that scroll
MOST_ROWS = 256


class HeldRows:
    """Rows and details around a window of the order, and of some sockets elsewhere."""

    def __init__(
        self,
        engine: Engine,
        name: Callable[[Row], Row],
        window: tuple[int, int],
        cookies: Sequence[int],
        count: int,
    ) -> None:
        """
        Args:
            name: adds the names of a row's numbers.
            window: first place and number of the rows that the screen shows.
            cookies: further sockets, such as the marked ones.
            count: rows in the order.
        """
        offset, rows = window
        self._engine, self._name, self.count = engine, name, count
        self._first = max(0, offset - MARGIN_ROWS)
        most = min(MOST_ROWS, offset - self._first + rows + MARGIN_ROWS)
        self._packed = engine.packed(self._first, most)
        here = cookies_of(self._packed[0])
        self._elsewhere = {
            cookie: (name(row), engine.detail(cookie))
            for cookie in cookies
            if cookie not in here and (row := engine.find(cookie)) is not None
        }

    @cached_property
    def _rows(self) -> list[tuple[Row, Detail | None]]:
        return [(self._name(row), detail) for row, detail in self._engine.unpacked(self._packed)]

    @cached_property
    def _by_cookie(self) -> dict[int, tuple[Row, Detail | None]]:
        return self._elsewhere | {row.cookie: (row, detail) for row, detail in self._rows}

    def window(self, offset: int, rows: int) -> list[Row] | None:
        """As Feed.window; None where these rows are not held."""
        at = offset - self._first
        held = [row for row, _ in self._rows[at : at + rows]] if at >= 0 else []
        return held if len(held) == min(rows, self.count - offset) else None

    def position(self, cookie: int) -> int | None:
        """As Feed.position; None where it is not held."""
        places = (at for at, (row, _) in enumerate(self._rows) if row.cookie == cookie)
        return next((self._first + at for at in places), None)

    def find(self, cookie: int) -> tuple[Row, Detail | None] | None:
        return self._by_cookie.get(cookie)
