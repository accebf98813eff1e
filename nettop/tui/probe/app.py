"""The live screen of `nettop probe`: the prober in its thread, drawn several times a second."""

from __future__ import annotations

import threading
import time
from typing import cast

from textual import events
from textual.app import ComposeResult

from nettop.errors import EXIT_INTERRUPTED, EXIT_OK, NettopError
from nettop.probe.opening import AnyProber
from nettop.probe.options import LEAST_INTERVAL_S, MOST_INTERVAL_S, ProbeOptions
from nettop.probe.run import close, open_probe, result, write
from nettop.text.keys import written
from nettop.tui import NO_COLOR
from nettop.tui.base import KeyScreen, ScreenApp, run_screen
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.probe.lines import screen_lines
from nettop.tui.style import styles
from nettop.tui.widgets.lines import LineWidget

_STEPS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_DRAW_S = 0.25
_STOP_S = 0.5


class _ProbeScreen(KeyScreen[None]):
    def press(self, event: events.Key) -> None:
        cast("ProbeApp", self.app).press(event)


class ProbeApp(ScreenApp):
    """One prober, one screen."""

    CSS = "Screen { background: ansi_default; } #all { width: 100%; height: 100%; }"

    def __init__(self, prober: AnyProber) -> None:
        super().__init__()
        self.prober = prober
        self.glyphs = ASCII if prober.options.ascii else UTF8
        self.styles_of = styles(prober.options.color and not NO_COLOR)
        self.message = ""
        self._thread = threading.Thread(target=self._probe, name="prober", daemon=True)

    def get_default_screen(self) -> _ProbeScreen:
        return _ProbeScreen(id="_default")

    def compose(self) -> ComposeResult:
        self._all = LineWidget(id="all")
        yield self._all

    def on_mount(self) -> None:
        self.set_interval(_DRAW_S, self.redraw)
        self._thread.start()

    def on_unmount(self) -> None:
        self.prober.stop()
        self._thread.join(timeout=_STOP_S)

    def _probe(self) -> None:
        self.prober.run(lambda _point: None)

    def redraw(self) -> None:
        width, height = self.size
        now = time.monotonic_ns()
        self._all.set_lines(
            screen_lines(self.prober, width, height, self.glyphs, now, self.message)
        )

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    def press(self, event: events.Key) -> None:
        self.message = ""
        match event.key:
            case "q":
                self.exit(EXIT_OK)
            case "ctrl+c":
                self.exit(EXIT_INTERRUPTED)
            case "space" | "p":
                self.prober.paused = not self.prober.paused
            case "plus":
                self._pace(+1)
            case "minus":
                self._pace(-1)
            case "ctrl+r":
                self.prober.clear()
                self.message = "cleared"
            case "e":
                self._export()
            case _:
                character = event.character if event.is_printable else None
                self.message = f"no key {written(event.key, character)} here"
        self.redraw()

    def _pace(self, step: int) -> None:
        """The next usual interval."""
        now = self.prober.interval_s
        usual = [s for s in _STEPS_S if (s > now if step > 0 else s < now)]
        if usual:
            wanted = usual[0] if step > 0 else usual[-1]
            self.prober.interval_s = min(max(wanted, LEAST_INTERVAL_S), MOST_INTERVAL_S)

    def _export(self) -> None:
        try:
            self.message = f"wrote {write(self.prober)}"
        except (NettopError, OSError) as error:
            self.message = str(error)


def run_probe_app(options: ProbeOptions) -> int:
    """The screen until q; then the table, so that it stays on the terminal.

    Raises:
        NettopError: nothing was answered, or the run ended by itself.
    """
    prober = open_probe(options)
    app = ProbeApp(prober)
    try:
        # An app that failed has a code of its own and returns nothing.
        code = run_screen(app, mouse=False, undo=prober.stop) or app.return_code
    finally:
        prober.stop()
        prober.close()
    close(prober)
    if code:
        return code
    return result(prober)
