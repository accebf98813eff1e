"""How each pane is looked at: which view, of what span, from which line on."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from msgspec.structs import replace

from nettop.model.events import ALL_TYPES, EventType
from nettop.model.types import Model
from nettop.text.events import SHORT_NAMES
from nettop.tui.panes.heat import NO_CURSOR, HeatView

WAITS, SENDS, HEALTH, EVENTS = range(1, 5)  # numbers of the panes
HISTOGRAM, HEATMAP, CDF, PATH = "histogram", "heatmap", "CDF", "path"
STAGES, ACK = "stages", "ACK as CDF"
EVERY, CLOSED = "all types", "closed sockets"
KINDS = {SHORT_NAMES[kind]: kind for kind in EventType if kind is not EventType.CLOSED}


class Views(Struct, frozen=True):
    """names: of each pane's view, "" the usual one; scroll: lines of the events left out above."""

    names: tuple[str, str, str, str] = ("", "", "", "")
    heat: HeatView = NO_CURSOR
    scroll: int = 0

    def next(self, number: int, model: Model | None) -> Views:
        """With the pane's next view."""
        known = names_of(number, model)
        if not known:
            return self
        at = known.index(self.of(number, model))
        now = list(self.names)
        now[number - 1] = known[(at + 1) % len(known)]
        return replace(self, names=(now[0], now[1], now[2], now[3]), scroll=0)

    def with_all_events(self) -> Views:
        """Events of every type, from the newest on; the rest as it is."""
        return replace(self, names=(*self.names[:3], ""), scroll=0)

    def types(self, model: Model | None) -> Collection[EventType]:
        """The events that the pane of events shows."""
        kind = KINDS.get(self.of(EVENTS, model))
        return ALL_TYPES if kind is None else (kind,)

    def of(self, number: int, model: Model | None) -> str:
        """The name of the pane's view; "": it has one alone."""
        known = names_of(number, model)
        name = self.names[number - 1]
        return name if name in known else known[0] if known else ""


USUAL = Views()


def names_of(number: int, model: Model | None) -> tuple[str, ...]:
    """The views of a pane, the usual one first."""
    match number:
        case 1:
            paths = model is not None and model.path is not None
            return (HISTOGRAM, HEATMAP, CDF, *((PATH,) if paths else ()))
        case 2:
            return STAGES, ACK
        case 4:
            return (EVERY, *KINDS, CLOSED)
        case _:
            return ()
