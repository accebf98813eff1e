"""Text lines drawn through the Line API: only those that changed reach the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from nettop.tui.style import Role

if TYPE_CHECKING:
    from nettop.tui.app import NettopApp

Part = tuple[str, Role]
Line = tuple[Part, ...]
BLANK: Line = ()
# A smaller terminal gets a line that says so.
LEAST_WIDTH, LEAST_HEIGHT = 60, 12


def line(*parts: Part | str) -> Line:
    """A line of (text, role) parts; a bare text is normal."""
    return tuple((p, Role.NORMAL) if isinstance(p, str) else p for p in parts)


def width_of(parts: Sequence[Part]) -> int:
    """Cells of a line; its text is clean of control characters by now."""
    if all(text.isascii() for text, _ in parts):
        return sum(len(text) for text, _ in parts)
    return sum(Segment(text).cell_length for text, _ in parts)


def spread(left: Line, right: Line, width: int) -> Line:
    """left, a gap, and right at the right edge; right is dropped where both do not fit."""
    gap = width - width_of(left) - width_of(right)
    if gap < 1:
        return left
    return (*left, (" " * gap, Role.NORMAL), *right)


def clip(parts: Line, width: int) -> Line:
    """At most width cells of a line."""
    out: list[Part] = []
    left = width
    for text, role in parts:
        if left <= 0:
            break
        out.append((text[:left], role))
        left -= len(text)
    return tuple(out)


def flow(groups: Sequence[Line], width: int, indent: str = "") -> list[Line]:
    """Groups of parts beside each other; one that does not fit begins a new line."""
    lines: list[Line] = []
    current: Line = ()
    for group in groups:
        joined = (*current, ("  ", Role.NORMAL), *group) if current else group
        if current and width_of(joined) > width:
            lines.append(current)
            joined = ((indent, Role.NORMAL), *group)
        current = joined
    return [clip(text, width) for text in (*lines, current)]


class LineWidget(Widget):
    """Shows lines; set_lines redraws those that differ, without a layout pass."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Replaces what is shown."""
        old, new = self._lines, list(lines)
        self._lines = new
        width, height = self.size
        blank: Line = BLANK
        changed = [
            Region(0, y, width, 1)
            for y in range(min(height, max(len(old), len(new))))
            if (old[y] if y < len(old) else blank) != (new[y] if y < len(new) else blank)
        ]
        if changed and width:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        parts = self._lines[y] if y < len(self._lines) else BLANK
        return strip_of(parts, self.size.width, self.nettop)


def strip_of(parts: Line, width: int, app: NettopApp) -> Strip:
    """One line as a Strip of exactly that width; neighbours of one role are one segment."""
    segments: list[Segment] = []
    text, role = "", Role.NORMAL
    for part, part_role in parts:
        if part_role is role:
            text += part
            continue
        if text:
            segments.append(Segment(app.glyphs.text(text), app.styles_of[role]))
        text, role = part, part_role
    if text:
        segments.append(Segment(app.glyphs.text(text), app.styles_of[role]))
    return Strip(segments).adjust_cell_length(width, app.styles_of[Role.NORMAL])
