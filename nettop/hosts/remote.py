"""The feed of one other host: the same engine, fed by its stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nettop.derive import Deriver
from nettop.model.types import Model
from nettop.replay import RecordedNames, ReplayFeed
from nettop.sample import Sample

if TYPE_CHECKING:
    from nettop.feed import Sort
    from nettop.query.compile import Filter
    from nettop.text.fields import Field


def with_host_totals(model: Model, deriver: Deriver, filter_text: str | None, count: int) -> Model:
    """A tick with what its host counted over all of its sockets, also those that it did not send.

    Under another filter than was in force there, what matches is counted among the rows that were
    sent.

    Args:
        deriver: at that tick.
        filter_text: what is in force.
        count: rows that it lets through.
    """
    chosen = deriver.facts.chosen
    if chosen is None:
        return model
    model = replace(model, totals=chosen.totals)
    same = chosen.filter_text == filter_text
    if not same:
        model = deriver.with_totals(model)
    cut = chosen.top is not None and chosen.totals.matched > (count if same else chosen.top)
    if filter_text and (cut or (not same and chosen.filter_text)):
        # Waits of the rows that were sent are not those of all that match.
        model = replace(model, rx_wait=None)
    return model


def by_names(
    compiled: Filter | None, names: RecordedNames, *, level_now: bool = False
) -> Filter | None:
    """The same filter with the names of a host."""
    from nettop.query.compile import compile_filter

    if compiled is None:
        return None
    return compile_filter(compiled.text, names, level_now=compiled.level_now or level_now)


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
        with self._replacing():
            self._model = with_host_totals(
                super().take(sample), self._deriver, self.filter_text, self._count
            )
        return self._model

    def set_filter(self, compiled: Filter | None) -> None:
        with self._changing:
            super().set_filter(compiled)

    def set_sort(self, sort: Sort) -> None:
        with self._changing:
            super().set_sort(sort)

    def matching(self, compiled: Filter | None = None) -> list[int]:
        """With the names of the host, whatever the filter was compiled with."""
        return super().matching(by_names(compiled, self.names, level_now=self.level_now))

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        return super().values(field, by_names(compiled, self.names, level_now=self.level_now))

    def _sockets(self) -> int:
        return self._count

    def set_focus(self, cookies: Sequence[int]) -> None:
        """Histories are kept of these."""
        self._focus = tuple(cookies)
