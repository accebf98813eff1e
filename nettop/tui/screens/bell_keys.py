"""The key of the bell: a condition, looked at in every tick whatever the screen shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nettop.model.types import Model
from nettop.query import FilterError, compile_filter
from nettop.text import units
from nettop.tui.bell import Bell
from nettop.tui.screens.view_keys import ViewKeys
from nettop.tui.style import Role

if TYPE_CHECKING:
    from nettop.query.compile import Filter

DEFAULT = "level >= unwell"


class BellKeys(ViewKeys):
    """The prompt is the filter's line, which the subclass opens."""

    paused: bool

    def __init__(self) -> None:
        super().__init__()
        self.bell: Bell | None = None

    def _ask(self, label: str, text: str, take: Callable[[str], object]) -> None:
        raise NotImplementedError

    def _close_filter(self) -> None:
        raise NotImplementedError

    def do_bell(self) -> None:
        if self.bell is not None:
            self.bell = None
            self.say("bell off")
        elif not self.timeline.base.live:
            self.say("the bell is for live sockets, not for a file", Role.WATCH)
        else:
            self._ask("bell while ", self.filter_text or DEFAULT, self._set_bell)

    def _set_bell(self, text: str) -> None:
        self._close_filter()
        if not text:
            return
        whole = replace(self.nettop.options, filter_text=text).whole_filter or text
        try:
            compiled = compile_filter(whole, self.timeline.base.names, level_now=True)
        except FilterError as error:
            self.say(str(error), Role.UNWELL)
            return
        reason = self._deaf(compiled) if compiled is not None else None
        if compiled is None or reason is not None:
            self.say(f"no bell: {reason}", Role.WATCH)
            return
        self.bell = Bell(text, compiled)
        self.say(f"the bell rings while {text}; B stops it")

    def _deaf(self, compiled: Filter) -> str | None:
        """Why the condition could not be seen."""
        from nettop.query.compile import planes_off

        if compiled.needs_info:
            return "it asks for numbers that are read of the sockets on the screen alone"
        off = planes_off(compiled, self.model) if self.model is not None else {}
        return next((f"{name} is off: {why}" for name, why in off.items()), None)

    def hear(self, model: Model) -> None:
        """Each tick of the live sockets; while they stand still nothing is new."""
        bell = self.bell
        if bell is None or self.paused:
            return
        from nettop.query.compile import planes_off

        off = planes_off(bell.compiled, model)
        if off:
            self.bell = None
            self.say("bell off: " + next(f"{name} is off: {off[name]}" for name in off), Role.WATCH)
            return
        if bell.hear(len(self.timeline.base.matching(bell.compiled))):
            self.app.bell()
            count = units.counted(bell.matching, "socket")
            self.say(f"{bell.text}: {count}", Role.UNWELL)
