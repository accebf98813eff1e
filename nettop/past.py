"""Moving over recorded ticks: a replay that goes to any of them, forward and back."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.feed import Sort
from nettop.model.types import Histogram, Model
from nettop.replay import ReplayFeed
from nettop.store.source import FrameInfo, FrameSource
from nettop.warm import Gone, Warm, WarmTicks, Wish

if TYPE_CHECKING:
    from nettop.query.compile import Filter

_TRIES = 8  # while ticks are forgotten


class PastFeed(ReplayFeed):
    """The tick of a recording, or of memory, that one stands at.

    One thread moves, one sets filter, order and focus, any asks. A tick shows the same whichever
    way one came to it. What is slow and can wait is done beside: under another focus histories are
    there a moment later.
    """

    current: FrameInfo

    def __init__(
        self,
        source: FrameSource,
        *,
        seq: int | None = None,
        title: str | None = None,
        filter_text: str | None = None,
        sort: Sort | None = None,
        focus: Sequence[int] = (),
        beside: PastFeed | None = None,
        ticks: WarmTicks | None = None,
    ) -> None:
        """
        Args:
            seq: where to stand first; None: at the newest tick.
            focus: as set_focus.
            beside: another feed of the same source; what one has read the other need not.
            ticks: the same, without that feed.

        Raises:
            FilterError: filter_text is wrong.
            NettopError: in one line, when there is no tick, or one cannot be read.
            EOFError: the tick is kept no more.
        """
        super().__init__(iter(()), title=title, filter_text=filter_text, sort=sort)
        self._source = source
        self._ticks: WarmTicks = beside._ticks if beside is not None else ticks or WarmTicks(source)
        self._on_model: Callable[[], None] | None = None
        self._moving = threading.RLock()
        self._engine: Warm | None = None
        self._focus = tuple(focus)
        frames = self.frames
        if not frames:
            raise NettopError("there is no tick to look back on yet")
        self.seek(frames[-1].seq if seq is None else seq)

    # --- moving ---

    @property
    def frames(self) -> list[FrameInfo]:
        """All that there are by now, oldest first."""
        return self._source.frames()

    def seek(self, seq: int) -> Model:
        """Stands at a tick, or at the last before it; at the first where there is none before.

        Raises:
            NettopError: in one line, when a tick cannot be read.
            EOFError: it is kept no more.
        """
        return self._go(lambda frames: _place(frames, seq))

    def step(self, n: int) -> Model:
        """n ticks forward, or (negative) back; at the ends it stays. Raises as seek."""
        return self._go(lambda frames: _place(frames, self.current.seq) + n)

    def _go(self, place: Callable[[Sequence[FrameInfo]], int]) -> Model:
        with self._moving:
            for _ in range(_TRIES):
                frames = self.frames
                at = min(max(0, place(frames)), len(frames) - 1)
                with suppress(Gone):  # it was forgotten meanwhile: the oldest is next
                    focus = frozenset(self._focus)
                    engine = self._ticks.at(frames, at, self.filter_text, focus)
                    self._show(engine, frames[at])
                    if not engine.focus >= focus:
                        self._look_again()
                    assert self._model is not None
                    return self._model
            raise EOFError

    def _show(self, engine: Warm, at: FrameInfo) -> None:
        with self._changing:
            self._engine, self.current = engine, at
            self.names, self._deriver = engine.names, engine._deriver
            self._histories = engine._histories
            self._asked, self._filter, self._seq = engine._asked, engine._filter, engine._seq
            self._reorder()
            self._model = model = engine._model
            if self._cleared and model is not None and model.path is not None:
                path = {hook: replace(seen, run=seen.now) for hook, seen in model.path.items()}
                self._model = replace(model, path=path)

    def _look_again(self) -> None:
        """The same tick, read under the filter and the focus in force, once that is done."""
        text, at = self.filter_text, self.current

        def ready(engine: Warm) -> None:
            # Whoever draws holds this one, and may set a filter or a focus meanwhile.
            with self._changing:
                if text != self.filter_text or at != self.current:
                    return
                self._show(engine, at)
            if self._on_model is not None:
                self._on_model()

        self._ticks.wish(id(self), Wish(text, frozenset(self._focus), at.seq, ready))

    def settle(self) -> None:
        """Waits until all is done that can wait."""
        self._ticks.settle()

    # --- a feed ---

    def start(self, on_model: Callable[[], None]) -> None:
        self._on_model = on_model
        on_model()

    def stop(self) -> None:
        self._ticks.stop()

    close = stop

    def set_filter(self, compiled: Filter | None) -> None:
        with self._changing:
            if self._engine is not None:  # it may be another feed's too
                self._show(self._engine.twin(), self.current)
            super().set_filter(compiled)
            self._look_again()

    def set_focus(self, cookies: Sequence[int]) -> None:
        with self._changing:
            self._focus = tuple(cookies)
            if self._engine is not None and not self._engine.focus >= set(cookies):
                self._look_again()

    # --- runs: the planes counted on when they were cleared, and know nothing of filters ---

    @property
    def _cleared(self) -> bool:
        """Runs were begun anew before this tick."""
        cleared = self._source.cleared_seq
        return cleared is not None and self.current.seq > cleared

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        """As the feed of a replay; None too where a run is not known: behind a clear, or of what a
        filter lets through."""
        if run and (self._cleared or (cookies is None and self._deriver.chooses)):
            return None
        return super().rx_wait(cookies, run=run)

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return None if run and self._cleared else super().tx(cookies, run=run)

    def choose_next(self, filter_text: str | None, focus: Sequence[int]) -> None:
        """What is in force from the next move on."""
        self.filter_text, self._focus = filter_text, tuple(focus)

    def clear(self) -> None:
        """What is past stays as it was."""


def _place(frames: Sequence[FrameInfo], seq: int) -> int:
    return max(0, bisect_right(frames, seq, key=lambda f: f.seq) - 1)
