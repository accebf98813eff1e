"""A picture of the text table: SVG, monospaced, no script and no font of its own.

Height stands in the first element, so the lines are counted before they are written:
at most MOST_ROWS sockets are drawn, and the picture says how many were left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from xml.sax.saxutils import escape

from nettop.model.types import Detail, Model, Row
from nettop.text.table import TableStyle, table_lines

MOST_ROWS = 2000
_CELL_W, _CELL_H, _MARGIN = 8.4, 18, 12
_HEAD_LINES = 4  # two of the header, a blank one, the titles
# Characters that XML 1.0 forbids even when escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLOURS = {"!": "#d02020", "▲": "#b07000"}


def write_svg(
    write: Callable[[bytes], object],
    model: Model,
    rows: Iterable[tuple[Row, Detail | None]],
    style: TableStyle,
    *,
    filter_text: str | None = None,
) -> None:
    """Writes the picture; the OSError of write comes through."""
    drawn = islice(rows, MOST_ROWS)
    lines = list(table_lines(model, drawn, style, filter_text=filter_text))
    left_out = model.totals.matched - (len(lines) - _HEAD_LINES)
    if left_out > 0 and len(lines) - _HEAD_LINES >= MOST_ROWS:
        lines.append(f"  … and {left_out} more sockets")
    width = round(max(map(len, lines)) * _CELL_W + 2 * _MARGIN)
    height = len(lines) * _CELL_H + 2 * _MARGIN
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f"<title>nettop {_text(model.host)}</title>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        '<g font-family="monospace" font-size="14" fill="#202020" xml:space="preserve">\n'
    ]
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        y = _MARGIN + (at + 1) * _CELL_H - 4
        colour = _COLOURS.get(line[0]) if at >= _HEAD_LINES else None
        fill = f' fill="{colour}"' if colour else ""
        bold = ' font-weight="bold"' if at in (0, _HEAD_LINES - 1) else ""
        # textLength keeps the columns straight whatever font the viewer picks.
        length = f' textLength="{len(line) * _CELL_W:.1f}" lengthAdjust="spacingAndGlyphs"'
        out.append(f'<text x="{_MARGIN}" y="{y}"{length}{fill}{bold}>{_text(line)}</text>\n')
    out.append("</g>\n</svg>\n")
    write("".join(out).encode("utf-8"))


def _text(line: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", line))
