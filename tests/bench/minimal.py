"""The smallest Textual app, to which nettop's start and memory are compared."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Minimal(App[None]):
    """One word on the screen."""

    def compose(self) -> ComposeResult:
        yield Static("READY")


if __name__ == "__main__":
    Minimal().run()
