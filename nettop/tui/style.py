"""The ways a cell can look, in the colours of the user's own terminal or of a theme."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from rich.style import Style


class Role(Enum):
    """What a text is, not how it looks."""

    NORMAL = "normal"
    BOLD = "bold"  # titles, keys, the selected row
    DIM = "dim"  # labels, zeros, absent values, bars
    UNWELL = "unwell"
    WATCH = "watch"
    FOCUS = "focus"  # cursor, marks, the pane in focus
    REVERSE = "reverse"  # the selected name, badges
    TITLE = "title"  # column titles: the underline is the rule below them
    TITLE_BOLD = "title_bold"  # the column that sorts


class Colours(Struct, frozen=True):
    """Of a theme that does not take the terminal's own."""

    back: str
    text: str
    dim: str
    unwell: str
    watch: str
    focus: str


COLOURS: Mapping[str, Colours] = {
    "light": Colours("#ffffff", "#1a1a1a", "#5f5f5f", "#b00020", "#7a4f00", "#005a8c"),
    "dark": Colours("#101010", "#e4e4e4", "#9e9e9e", "#ff6b6b", "#e6b400", "#4fc3f7"),
}


def styles(color: bool, theme: str | None = None) -> Mapping[Role, Style]:
    """Style of each role; without colour underline takes its place (NO_COLOR)."""
    colours = COLOURS.get(theme or "") if color else None
    if colours is not None:
        return _of(colours)
    return {
        Role.NORMAL: Style(),
        Role.BOLD: Style(bold=True),
        Role.DIM: Style(dim=True),
        Role.UNWELL: Style(color="red", bold=True) if color else Style(bold=True, underline=True),
        Role.WATCH: Style(color="yellow") if color else Style(underline=True),
        Role.FOCUS: Style(color="cyan", bold=True) if color else Style(bold=True),
        Role.REVERSE: Style(reverse=True, bold=True),
        Role.TITLE: Style(underline=True),
        Role.TITLE_BOLD: Style(underline=True, bold=True),
    }


def background(color: bool, theme: str | None) -> str:
    """Of what no text is on, as CSS has it."""
    colours = COLOURS.get(theme or "") if color else None
    return colours.back if colours is not None else "ansi_default"


def _of(colours: Colours) -> Mapping[Role, Style]:
    def style(color: str, **more: Any) -> Style:
        return Style(color=color, bgcolor=colours.back, **more)

    text = colours.text
    return {
        Role.NORMAL: style(text),
        Role.BOLD: style(text, bold=True),
        Role.DIM: style(colours.dim),
        Role.UNWELL: style(colours.unwell, bold=True),
        Role.WATCH: style(colours.watch),
        Role.FOCUS: style(colours.focus, bold=True),
        Role.REVERSE: style(text, reverse=True, bold=True),
        Role.TITLE: style(text, underline=True),
        Role.TITLE_BOLD: style(text, underline=True, bold=True),
    }


LEVEL_ROLES = (Role.NORMAL, Role.WATCH, Role.UNWELL)
