"""A box of lines with its title in the upper edge and a hint in the lower one."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.tui.glyphs import Glyphs
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, clip, width_of


def boxed(
    title: str, body: Sequence[Line], foot: str, width: int, height: int, g: Glyphs
) -> list[Line]:
    """height lines of width cells: the edges, and in them as much of the body as fits."""
    inner = width - 4
    corner = "++++" if g.ascii else "┌┐└┘"
    lines: list[Line] = [_edge(corner[:2], title, Role.BOLD, False, inner, g)]
    for i in range(height - 2):
        parts = clip(body[i], inner, g.ellipsis) if i < len(body) else ()
        pad: Part = (" " * (inner - width_of(parts)), Role.NORMAL)
        lines.append(((f"{g.bar} ", Role.DIM), *parts, pad, (f" {g.bar}", Role.DIM)))
    return [*lines, _edge(corner[2:], foot, Role.DIM, True, inner, g)]


def _edge(corners: str, text: str, role: Role, right: bool, inner: int, g: Glyphs) -> Line:
    room = inner + 2
    if not text:
        return ((corners[0] + g.rule * room + corners[1], Role.DIM),)
    if len(text) > inner - 2:
        text = text[: inner - 3] + g.ellipsis
    rest = g.rule * (room - len(text) - 3)
    before, after = (rest, g.rule) if right else (g.rule, rest)
    return (
        (f"{corners[0]}{before} ", Role.DIM),
        (text, role),
        (f" {after}{corners[1]}", Role.DIM),
    )
