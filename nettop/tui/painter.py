"""What the terminal is to show against what it shows: only the cells that differ are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import ne

from rich.color import ColorSystem
from rich.style import Style
from textual._cells import cell_len
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

# A character and the SGR codes of its style; the second cell of a wide one has no character.
Cell = tuple[str, str]
Pieces = Sequence[tuple[str, Style]]  # texts beside each other
_BLANK: Cell = (" ", "")
_MOST_CELLS = 1000  # kept of a style
_GAP = 5  # cells that are written again rather than jumped over
_BLANK_SHOWS = frozenset({"4", "7", "9", "21", "53"})  # of a blank too: lines and reverse


class _Cells(dict[str, Cell]):
    """The cells of one style by their character, each made once: to compare them is cheap then."""

    def __init__(self, codes: str, blank: str) -> None:
        """codes: SGR codes of text; blank: those of blanks."""
        super().__init__()
        self._codes = codes
        self[" "] = (" ", blank) if blank else _BLANK

    def __missing__(self, char: str) -> Cell:
        cell = char, self._codes
        if len(self) < _MOST_CELLS:
            self[char] = cell
        return cell


class Painter:
    """The wanted picture and the shown one; the screen's thread alone uses it."""

    def __init__(self, color_system: ColorSystem | None) -> None:
        self._colors = color_system or ColorSystem.TRUECOLOR
        self._styles: dict[Style, _Cells] = {}
        self._plain = _Cells("", "")
        self._unseen = {""}  # codes that make no difference to a blank
        self._narrow = {chr(code) for code in range(32, 127)}  # characters known to take one cell
        self._wanted: list[list[Cell]] = []
        self._shown: list[list[Cell]] | None = None  # None: it may show anything
        self._dirty: dict[int, tuple[bool, int]] = {}  # lines, and what comes first of them
        self._takes = 0
        self.size = (0, 0)

    def take(self, update: CompositorUpdate, size: tuple[int, int], *, urgent: bool) -> None:
        """A change of the picture, which has so many columns and lines; urgent: of a key."""
        self._takes += 1
        if size != self.size:
            self.size = size
            self._wanted = [[_BLANK] * size[0] for _ in range(size[1])]
            self.forget()
        for y, x, strip in _pieces(update):
            cells: list[Cell] = []
            for s in strip:
                cells += self._cells(s.text, s.style)
            self._put(y, x, cells, urgent)

    def put(
        self, y: int, x: int, width: int, pieces: Pieces, rest: Style, *,
        urgent: bool,
    ) -> None:  # fmt: skip
        """A piece of a line of the picture: texts, cut to that width, or what is left of it."""
        self._takes += 1
        cells: list[Cell] = []
        for text, style in pieces:
            cells += self._cells(text, style)
        if len(cells) > width:
            if not cells[width][0]:  # half of a wide character
                cells[width - 1] = _BLANK
            del cells[width:]
        elif len(cells) < width:
            cells += self._cells(" " * (width - len(cells)), rest)
        self._put(y, x, cells, urgent)

    def forget(self) -> None:
        """Whatever the terminal shows, all of it is written anew."""
        self._shown = None
        self._dirty = dict.fromkeys(range(self.size[1]), (False, self._takes))

    @property
    def differs(self) -> bool:
        """There may be something to write."""
        return bool(self._dirty)

    def _put(self, y: int, x: int, cells: list[Cell], urgent: bool) -> None:
        width, height = self.size
        if not (0 <= y < height and 0 <= x < width):
            return  # a widget whose place is still that of the size before
        line = self._wanted[y]
        cells = cells[: width - x]
        if line[x : x + len(cells)] != cells:
            line[x : x + len(cells)] = cells
            # The line that waits longest comes first, unless a key waits for another.
            late = self._dirty.get(y)
            if late is None or urgent:
                self._dirty[y] = (not urgent, self._takes)

    def _cells(self, text: str, style: Style | None) -> Iterable[Cell]:
        known = self._styles.get(style) if style is not None else self._plain
        if known is None:
            assert style is not None
            known = self._styles[style] = _Cells(*self._codes(style))
        if text.isascii() or self._narrow.issuperset(text):
            return map(known.__getitem__, text)
        cells: list[Cell] = []
        for c in text:
            width = cell_len(c)
            if width == 1 and len(self._narrow) < _MOST_CELLS:
                self._narrow.add(c)
            if width:
                cells.append(known[c])
                cells += [known[""]] * (width - 1)
            elif cells:  # it belongs to the one before
                before, its = cells[-1]
                cells[-1] = (before + c, its)
        return cells

    def _codes(self, style: Style) -> tuple[str, str]:
        """Without the default colours, which a reset has set; and as far as a blank shows it."""
        tokens = Strip.render_ansi(style, self._colors).split(";")
        codes: list[str] = []
        blank: list[str] = []
        while tokens and tokens != [""]:
            take = 1
            if tokens[0] in ("38", "48") and len(tokens) > 1:
                take = 3 if tokens[1] == "5" else 5
            code, tokens = tokens[:take], tokens[take:]
            if code[0] in ("39", "49"):
                continue
            codes += code
            ground = code[0] == "48" or (len(code[0]) > 1 and code[0][:-1] in ("4", "10"))
            if ground or code[0] in _BLANK_SHOWS:
                blank += code
        if not blank:
            self._unseen.add(";".join(codes))
        return ";".join(codes), ";".join(blank)

    def paint(self, most: int | None = None) -> str:
        """What changes the terminal's picture into the wanted one.

        most: about so many bytes; what is left comes with the next call.
        """
        out: list[str] = []
        if self._shown is None:
            out.append("\x1b[m\x1b[2J")
            self._shown = [[_BLANK] * self.size[0] for _ in range(self.size[1])]
        pen, used = "", 0
        for y in sorted(self._dirty, key=lambda y: (self._dirty[y], y) if most else y):
            if most is not None and used > most:
                break
            del self._dirty[y]
            text, pen = self._line(y, pen)
            if text:
                out.append(text)
                used += len(text.encode())
        if pen:
            out.append("\x1b[m")
        return "".join(out)

    def _line(self, y: int, pen: str) -> tuple[str, str]:
        """What changes a line, and the codes in force behind it; the line then counts as shown."""
        assert self._shown is not None
        wanted, shown = self._wanted[y], self._shown[y]
        if wanted == shown:
            return "", pen
        out: list[str] = []
        end = len(wanted)
        while end and wanted[end - 1] == _BLANK:
            end -= 1
        # Behind the last character the line is erased, where that is shorter than to write it.
        erase = shown[end:] != wanted[end:] and len(wanted) - end > 3
        at = -1  # where the cursor is; -1: on another line
        for first, last in self._spans(wanted, shown, end if erase else len(wanted)):
            if at < 0:
                out.append(f"\x1b[{y + 1}H" if first == 0 else f"\x1b[{y + 1};{first + 1}H")
            elif first > at:
                out.append(f"\x1b[{first - at}C" if first - at > 1 else "\x1b[C")
            for char, codes in wanted[first:last]:
                if codes != pen and char and (char != " " or not self._alike(codes, pen)):
                    out.append(_pen(codes, pen))
                    pen = codes
                out.append(char)
            at = last
        if erase:
            if at != end:
                out.append(f"\x1b[{y + 1};{end + 1}H" if end else f"\x1b[{y + 1}H")
            out.append("\x1b[m\x1b[K" if pen else "\x1b[K")
            pen = ""
        shown[:] = wanted
        return "".join(out), pen

    def _alike(self, codes: str, pen: str) -> bool:
        """A blank looks the same in both."""
        return not codes and pen in self._unseen

    def _spans(self, wanted: list[Cell], shown: list[Cell], end: int) -> Iterator[tuple[int, int]]:
        """Stretches that differ, first and behind the last, with short gaps in one style."""
        first = last = -1
        for i in compress(range(end), map(ne, wanted, shown)):
            if first < 0:
                first = i
            elif i > last and (
                i - last > _GAP or not self._one_style(wanted[last:i], wanted[last - 1][1])
            ):
                yield _whole(wanted, first, last)
                first = i
            last = i + 1
        if first >= 0:
            yield _whole(wanted, first, last)

    def _one_style(self, cells: list[Cell], pen: str) -> bool:
        return all(c == pen or (char == " " and self._alike(c, pen)) for char, c in cells)


def _pen(codes: str, before: str) -> str:
    if not codes:
        return "\x1b[m"
    return f"\x1b[0;{codes}m" if before else f"\x1b[{codes}m"


def _whole(wanted: list[Cell], first: int, last: int) -> tuple[int, int]:
    """Both cells of a wide character, where one of them differs."""
    while first and not wanted[first][0]:
        first -= 1
    while last < len(wanted) and not wanted[last][0]:
        last += 1
    return first, last


def _pieces(update: CompositorUpdate) -> Iterable[tuple[int, int, Strip]]:
    """Line, column and what stands from there on."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in strips:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y, x1, x2 in update.spans:
            for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if chop is not None and x <= x2 and end > x1:
                    yield y, x, chop if end <= x2 else chop.crop(0, min(end, x2) - x)
