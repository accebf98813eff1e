"""The seven ways a cell can look, in the sixteen colours of the user's own terminal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

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


def styles(color: bool) -> Mapping[Role, Style]:
    """Style of each role; without colour underline takes its place (NO_COLOR)."""
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


LEVEL_ROLES = (Role.NORMAL, Role.WATCH, Role.UNWELL)
