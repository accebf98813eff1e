"""What a field's values are now, for who looks for a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nettop.engine.spread import Spread
from nettop.text import units
from nettop.text.columns import NAMES, number_text
from nettop.text.fields import Field, Kind
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line

_NO_AMOUNTS = frozenset({Kind.TEXT, Kind.ADDRESS})


class Now(NamedTuple):
    """The values of a field, and of which sockets and when they are."""

    field: Field
    spread: Spread
    narrowed: bool  # a filter stands before the comparison
    off: Mapping[str, str] = {}  # planes that are off, with the reason
    when: str = "now"

    @property
    def of_text(self) -> str:
        """Those that pass the filter before the comparison, or all rows; how many are known."""
        spread, source = self.spread, self.field.source
        if not spread.known and source in self.off:
            return f"plane {source} is off"
        rows = units.count(spread.rows)
        whose = f"{rows} before it" if self.narrowed else f"all {rows}"
        known = "" if spread.known == spread.rows else f"{units.count(spread.known)} known of "
        return f"of {known}{whose}"

    def _texts(self) -> tuple[str, str, str]:
        bounded = self.field.id == "unread" and "wait" in self.off
        p50, p90, most = (
            number_text(self.field, v, bounded=bounded and bool(v))
            for v in (self.spread.p50, self.spread.p90, self.spread.max)
        )
        return p50, p90, most

    def lines(self) -> list[Line]:
        shown = zip(("p50", "p90", "max"), self._texts(), strict=True)
        first, *others = (line((f"{self.when} {name}  ", Role.DIM), v) for name, v in shown)
        return [(*first, (f"  {self.of_text}", Role.DIM)), *others]

    def text(self) -> str:
        """The same in one line."""
        p50, p90, most = self._texts()
        return f"{self.when} p50 {p50}  p90 {p90}  max {most}  {self.of_text}"


def has_spread(field: Field) -> bool:
    """It is an amount, and no name or code."""
    return field.kind not in _NO_AMOUNTS and field.id not in NAMES and not field.words
