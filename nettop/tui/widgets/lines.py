"""Text lines drawn through the Line API: only those that changed reach the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
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
_JOINT = "\x00"  # no text has it: they are clean of control characters
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:[nµm]?s|min|[KMG]?B|bit/s|pp[bm]|[%×])(?![\w/]))")


def line(*parts: Part | str) -> Line:
    """A line of (text, role) parts; a bare text is normal."""
    return tuple((p, Role.NORMAL) if isinstance(p, str) else p for p in parts)


def width_of(parts: Sequence[Part]) -> int:
    """Cells of a line; its text is clean of control characters by now."""
    if all(text.isascii() for text, _ in parts):
        return sum(len(text) for text, _ in parts)
    return sum(Segment(text).cell_length for text, _ in parts)


NEEDS: Line = ((f"nettop needs {LEAST_WIDTH}x{LEAST_HEIGHT}", Role.NORMAL),)


def too_small(width: int, height: int) -> bool:
    """Whether a terminal has room for no more than NEEDS."""
    return width < LEAST_WIDTH or height < LEAST_HEIGHT


def spread(left: Line, right: Line, width: int) -> Line:
    """left, a gap, and right at the right edge; right is dropped where both do not fit."""
    gap = width - width_of(left) - width_of(right)
    if gap < 1:
        return left
    return (*left, (" " * gap, Role.NORMAL), *right)


def clip(parts: Line, width: int, ellipsis: str = "") -> Line:
    """At most width cells of a line; the ellipsis stands where it is cut, so that no number is
    taken for another."""
    if ellipsis and "".join(text for text, _ in parts)[width:].strip():
        return (*clip(parts, width - len(ellipsis)), (ellipsis, Role.DIM))
    out: list[Part] = []
    left = width
    for text, role in parts:
        if left <= 0:
            break
        out.append((text[:left], role))
        left -= len(text)
    return tuple(out)


def flow(groups: Sequence[Line], width: int, indent: str = "") -> list[Line]:
    """Groups of parts beside each other; one that does not fit begins a new line, and is broken
    where it is longer than that."""
    lines: list[Line] = []
    current: Line = ()
    for group in groups:
        joined = (*current, ("  ", Role.NORMAL), *group) if current else group
        if current and width_of(joined) > width:
            lines.append(current)
            joined = ((indent, Role.NORMAL), *group)
        current = joined
    out: list[Line] = []
    for text in (*lines, current):
        out += [text] if width_of(text) <= width else wrapped(text, width, indent)
    return out


def rows_of(text: str, width: int) -> list[str]:
    """A text broken at blanks into rows of at most width cells, of one at least: where a window is
    smaller than what stands beside the text, what is left of its width is no number of cells. A
    number and its unit stay together."""
    rows = wrap(_with_units(text), max(1, width), break_on_hyphens=False)
    return [row.replace(_JOINT, " ") for row in rows]


def _with_units(text: str) -> str:
    """The blank between a number and its unit is none to break at; nothing moves."""
    return _BEFORE_UNIT.sub(_JOINT, text)


def wrapped(parts: Line, width: int, indent: str = "") -> list[Line]:
    """A line of any length as lines of at most width cells, broken at blanks, but not between a
    number and its unit; a word that is longer is broken too. indent: before every line but the
    first, which keeps the blanks that it begins with."""
    plain = "".join(text for text, _ in parts)
    before = plain[: len(plain) - len(plain.lstrip(" "))]
    before, indent = (blanks if len(blanks) < width else "" for blanks in (before, indent))
    words: list[tuple[list[Part], int]] = []  # the parts of a word, its cells
    fresh = True
    for text, role in parts:
        for i, joined in enumerate(_with_units(text).split(" ")):
            fresh = fresh or i > 0
            piece = joined.replace(_JOINT, " ")
            if not piece:
                continue
            if fresh:
                words.append(([], 0))
                fresh = False
            some, cells = words[-1]
            some.append((piece, role))
            words[-1] = some, cells + width_of(((piece, role),))
        fresh = fresh or text.endswith(" ")
    lines: list[Line] = []
    current: list[Part] = [(before, Role.NORMAL)] if before else []
    used = at = len(before)  # where its first word stands
    for some, cells in words:
        if used > at and used + 1 + cells > width:
            lines.append(tuple(current))
            current, used = [(indent, Role.NORMAL)] if indent else [], len(indent)
            at = used
        elif used > at:
            # An underline does not run on below a blank.
            current.append((" ", some[0][1] if current[-1][1] is some[0][1] else Role.NORMAL))
            used += 1
        if used + cells > width:
            for text, role in some:
                for letter in text:
                    if used >= width:
                        lines.append(tuple(current))
                        current, used = [(indent, Role.NORMAL)] if indent else [], len(indent)
                        at = used
                    current.append((letter, role))
                    used += 1
            continue
        current += some
        used += cells
    return [*lines, tuple(current)] if current else lines


def whole(lines: Sequence[Line], width: int, height: int, ellipsis: str) -> list[Line]:
    """As many as there is room for; the last says by its end that there are more."""
    if len(lines) <= height:
        return list(lines)
    kept = list(lines[:height])
    if kept:
        kept[-1] = (*clip(kept[-1], width - 2), (f" {ellipsis}", Role.DIM))
    return kept


def cut(lines: Sequence[Line], height: int, *heads: Line) -> list[Line]:
    """As many as there is room for, none of the headings without a line below it."""
    kept = list(lines[:height])
    while len(kept) < len(lines) and kept and (not kept[-1] or kept[-1] in heads):
        kept.pop()
    return kept


def beside(left: Sequence[Line], right: Sequence[Line], width: int, between: str) -> list[Line]:
    """Two columns as lines; the left one takes so many cells."""
    out: list[Line] = []
    for i in range(max(len(left), len(right))):
        a = clip(left[i], width) if i < len(left) else BLANK
        b = right[i] if i < len(right) else BLANK
        pad = (" " * (width - width_of(a)), Role.NORMAL)
        out.append((*a, pad, (between, Role.DIM), *b))
    return out


class LineWidget(Widget):
    """Shows lines; set_lines redraws those that differ, without a layout pass."""

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    @property
    def nettop(self) -> NettopApp:
        return cast("NettopApp", self.app)

    def shown(self, at: int) -> Line:
        """One of its lines, as it was set last."""
        return self._lines[at] if at < len(self._lines) else BLANK

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Replaces what is shown."""
        old, new = self._lines, list(lines)
        self._lines = new
        width, height = self.outer_size  # it has no edge; `size` looks that up at every line
        blank: Line = BLANK
        changed = [
            y
            for y in range(min(height, max(len(old), len(new))))
            if (old[y] if y < len(old) else blank) != (new[y] if y < len(new) else blank)
        ]
        if not changed or not width:
            return
        app = self.nettop
        drawn = ((y, pieces_of(new[y] if y < len(new) else blank, app)) for y in changed)
        if not app.draw_lines(self, drawn, app.styles_of[Role.NORMAL]):
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        # It has no edge, and Textual's memory of its lines would not know those drawn directly.
        strips = [self.render_line(y) for y in range(crop.y, crop.bottom)]
        whole = (crop.x, crop.width) == (0, self.outer_size.width)
        return strips if whole else [strip.crop(crop.x, crop.right) for strip in strips]

    def render_line(self, y: int) -> Strip:
        parts = self._lines[y] if y < len(self._lines) else BLANK
        return strip_of(parts, self.outer_size.width, self.nettop)


class ClickLine(LineWidget):
    """A line that acts where it is clicked."""

    def __init__(self, id: str, go: Callable[[int], object]) -> None:
        """go: is given the cell that was clicked."""
        super().__init__(id=id)
        self._go = go

    def on_click(self, event: events.Click) -> None:
        self._go(event.x)


_BLANKS = re.compile(r"( +)")


def words_of(parts: Line) -> Line:
    """The blanks of what is loud made normal: where underlines stand for colours, they would be
    lines between columns and in empty pictures. The titles' underline is a rule."""
    out: list[Part] = []
    for text, role in parts:
        if role not in (Role.UNWELL, Role.WATCH):
            out.append((text, role))
            continue
        words = [piece for piece in _BLANKS.split(text) if piece]
        # One blank between two words is theirs.
        for i, piece in enumerate(words):
            inner = piece == " " and 0 < i < len(words) - 1
            out.append((piece, role if inner or piece.strip() else Role.NORMAL))
    return tuple(out)


def pieces_of(parts: Line, app: NettopApp) -> list[tuple[str, Style]]:
    """The texts of a line as they are shown; neighbours of one role are one piece."""
    pieces: list[tuple[str, Style]] = []
    styles, shown = app.styles_of, app.glyphs.text
    text, role = "", Role.NORMAL
    for part, part_role in words_of(parts) if styles[Role.WATCH].underline else parts:
        if part_role is role:
            text += part
            continue
        if text:
            pieces.append((shown(text), styles[role]))
        text, role = part, part_role
    if text:
        pieces.append((shown(text), styles[role]))
    return pieces


def strip_of(parts: Line, width: int, app: NettopApp) -> Strip:
    """One line as a Strip of exactly that width."""
    pieces = pieces_of(parts, app)
    strip = Strip([Segment(*piece) for piece in pieces], sum(cell_len(text) for text, _ in pieces))
    normal = app.styles_of[Role.NORMAL]
    return strip if strip.cell_length == width else strip.adjust_cell_length(width, normal)
