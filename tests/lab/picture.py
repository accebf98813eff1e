"""A screen as SVG: each word at its own place, so that every viewer shows straight columns."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual.strip import Strip

CELL_W, CELL_H, MARGIN, FONT = 8.4, 18, 14, 14
PAPER, INK = "#14161b", "#d6d9e0"
ANSI = ("#14161b", "#f05a5a", "#6fbf73", "#e0a030", "#5a8fe6", "#c07fd6", "#4fbfcf", "#d6d9e0",
        "#7c818c", "#ff7b7b", "#8fdc93", "#ffc55c", "#86b1ff", "#dda3ef", "#7fdfec",
        "#ffffff")  # fmt: skip
# Block elements are drawn: fonts leave gaps between them.
HEIGHTS = {c: i / 8 for i, c in enumerate(" ▁▂▃▄▅▆▇█")}
SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75, "█": 1.0}


def _hex(color: Color | None, otherwise: str) -> str:
    if color is None or color.is_default:
        return otherwise
    if color.number is not None and color.number < len(ANSI):
        return ANSI[color.number]
    triplet = color.get_truecolor()
    return triplet.hex


def _colours(style: Style | None) -> tuple[str, str, float]:
    """Ink, paper and opacity of a segment."""

    ink = _hex(style.color if style else None, INK)
    paper = _hex(style.bgcolor if style else None, PAPER)
    if style is not None and style.reverse:
        ink, paper = paper, ink
    return ink, paper, 0.62 if style is not None and style.dim else 1.0


def svg_of(strips: Sequence[Strip], columns: int, title: str) -> str:
    """The picture as one text."""
    width = round(columns * CELL_W + 2 * MARGIN)
    height = len(strips) * CELL_H + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>',
        f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{FONT}" '
        'xml:space="preserve">',
    ]
    for row, strip in enumerate(strips):
        x = 0
        for segment in strip:
            if segment.control:
                continue
            cells = cell_len(segment.text)
            out += _run(segment.text, segment.style, x, row, cells)
            x += cells
    return "\n".join([*out, "</g>", "</svg>", ""])


def _run(text: str, style: Style | None, x: int, row: int, cells: int) -> list[str]:
    ink, paper, opacity = _colours(style)
    left, top = MARGIN + x * CELL_W, MARGIN + row * CELL_H
    out = []
    if paper != PAPER:
        out.append(_box(left, top, cells * CELL_W, CELL_H, paper, 1.0))
    weight = ' font-weight="bold"' if style is not None and style.bold else ""
    dim = f' opacity="{opacity}"' if opacity < 1 else ""
    word, at = "", 0
    for i, sign in enumerate([*text, " "]):
        block = sign in SHADES or (sign in HEIGHTS and sign != " ")
        if sign.isspace() or block or i == len(text):
            if word:
                place = left + at * CELL_W
                out.append(
                    f'<text x="{place:.1f}" y="{top + 13.5:.1f}" fill="{ink}"{weight}{dim} '
                    f'textLength="{cell_len(word) * CELL_W:.1f}">{escape(word)}</text>'
                )
            word = ""
            if block:
                share = HEIGHTS.get(sign, 1.0)
                tall = CELL_H * share
                out.append(
                    _box(left + i * CELL_W, top + CELL_H - tall, CELL_W, tall, ink,
                         opacity * SHADES.get(sign, 1.0))
                )  # fmt: skip
        else:
            if not word:
                at = i
            word += sign
    return out


def _box(x: float, y: float, width: float, height: float, fill: str, opacity: float) -> str:
    shade = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width + 0.2:.1f}" height="{height:.1f}" '
        f'fill="{fill}"{shade}/>'
    )
