"""The feed of one other host: the same engine, fed by its stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nettop.model.types import Model
from nettop.replay import ReplayFeed
from nettop.sample import Sample

if TYPE_CHECKING:
    from nettop.feed import Sort
    from nettop.query.compile import Filter


class RemoteFeed(ReplayFeed):
    """Its last tick; one thread takes samples, any may ask."""

    live = True

    def __init__(
        self, called: str, filter_text: str | None, sort: Sort | None, *, level_now: bool = False
    ) -> None:
        """
        Args:
            called: the name of the host in filters.
            level_now: `level` in filters is that of the tick itself.
        """
        self.called, self.level_now = called, level_now
        super().__init__(iter(()), sort=sort)
        self.names.called = called
        self.filter_text = filter_text
        self._set_filter_text()

    def take(self, sample: Sample) -> Model:
        """This sample, the next one or the first of another start of the stream."""
        chosen = sample.facts.chosen
        if chosen is not None and chosen.filter_text != self.filter_text:
            # The filter was changed meanwhile: what was counted there is of another one.
            sample = replace(sample, facts=replace(sample.facts, chosen=None))
            chosen = None
        with self._replacing():
            model = super().take(sample)
            if chosen is not None and chosen.top is not None and model.totals.matched > self._count:
                # Waits of the rows that were sent are not those of all that match.
                model = replace(model, rx_wait=None if self.filter_text else model.rx_wait)
                self._model = model
        return model

    def set_filter(self, compiled: Filter | None) -> None:
        with self._changing:
            super().set_filter(compiled)

    def set_sort(self, sort: Sort) -> None:
        with self._changing:
            super().set_sort(sort)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """With the names of the host, whatever the filter was compiled with."""
        if compiled is not None:
            from nettop.query.compile import compile_filter

            compiled = compile_filter(
                compiled.text, self.names, level_now=compiled.level_now or self.level_now
            )
        return super().matching(compiled)

    def _sockets(self) -> int:
        return self._count

    def set_focus(self, cookies: Sequence[int]) -> None:
        """Histories are kept of these."""
        self._focus = tuple(cookies)
