"""Only what differs is written, and what stands there in the end is the wanted picture."""

from __future__ import annotations

import random

import pytest
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from nettop.tui.painter import Painter
from tests.glass import Glass

STYLES = (Style(), Style(bold=True), Style(color="red"), Style(reverse=True), Style(underline=True),
          Style(color="default", bgcolor="default"),
          Style(color="#ff8800", bgcolor="color(7)"))  # fmt: skip
WIDTH, HEIGHT = 40, 8


def update(lines: list[list[tuple[str, Style]]], y: int = 0) -> LayoutUpdate:
    strips = [[Strip([Segment(t, s) for t, s in line])] for line in lines]
    return LayoutUpdate(list(strips), Region(0, y, WIDTH, len(lines)))


def take(painter: Painter, text: str, y: int = 0, *, urgent: bool = False) -> None:
    lines = [[(row.ljust(WIDTH), STYLES[0])] for row in text.split("\n")]
    painter.take(update(lines, y), (WIDTH, HEIGHT), urgent=urgent)


def painted(painter: Painter, glass: Glass, most: int | None = None) -> str:
    text = painter.paint(most)
    glass.feed(text)
    return text


@pytest.fixture
def pair() -> tuple[Painter, Glass]:
    return Painter(ColorSystem.TRUECOLOR), Glass(WIDTH, HEIGHT)


def test_what_has_not_changed_is_not_written(pair: tuple[Painter, Glass]) -> None:
    painter, glass = pair
    take(painter, "one two three\nfour")
    painted(painter, glass)
    assert glass.text[:2] == ["one two three", "four"]
    take(painter, "one two three\nfour")
    assert painter.paint() == ""
    take(painter, "one TWO three\nfour")
    assert painted(painter, glass) == "\x1b[1;5HTWO"
    take(painter, "one\nfour")
    assert painted(painter, glass) == "\x1b[1;4H\x1b[K"
    assert glass.text[:2] == ["one", "four"]


def test_blanks_are_alike_unless_their_style_is_seen(pair: tuple[Painter, Glass]) -> None:
    painter, _ = pair
    for style, written in ((STYLES[1], False), (STYLES[2], False), (STYLES[3], True),
                           (STYLES[4], True), (STYLES[6], True)):  # fmt: skip
        take(painter, "a")
        painter.paint()
        painter.take(update([[("a" + " " * 39, style)]]), (WIDTH, HEIGHT), urgent=False)
        text = painter.paint()
        assert (" " * 30 in text) == written, style


def test_any_picture_ends_as_it_is_wanted(pair: tuple[Painter, Glass]) -> None:
    """Random changes, painted whole, in parts, or not at all for a while."""
    painter, glass = pair
    chance = random.Random(5)
    letters = "ab cd  │漢█e\u0301 "
    lines: list[list[tuple[str, Style]]] = [[(" " * WIDTH, STYLES[0])]] * HEIGHT
    for step in range(300):
        for _ in range(chance.randrange(4)):
            y = chance.randrange(HEIGHT)
            parts = [
                ("".join(chance.choices(letters, k=chance.randrange(9))), chance.choice(STYLES))
                for _ in range(4)
            ]
            strip = Strip([Segment(t, s) for t, s in parts]).adjust_cell_length(WIDTH)
            lines[y] = [(s.text, s.style or STYLES[0]) for s in strip]
            painter.take(update([lines[y]], y), (WIDTH, HEIGHT), urgent=chance.random() < 0.3)
        if step % 50 == 49:
            painter.forget()
        painted(painter, glass, chance.choice([None, 40, 200]))
        if chance.random() < 0.3:
            while painter.differs:
                painted(painter, glass, 100)
            fresh = Painter(ColorSystem.TRUECOLOR)
            other = Glass(WIDTH, HEIGHT)
            fresh.take(update(lines), (WIDTH, HEIGHT), urgent=False)
            painted(fresh, other)
            assert glass.cells == other.cells, step
            assert glass.text == [
                "".join(t for t, _ in line).replace("\u0301", "").rstrip() for line in lines
            ]


def test_what_a_key_changed_comes_first_and_nothing_starves(pair: tuple[Painter, Glass]) -> None:
    painter, glass = pair
    take(painter, "\n".join(["-"] * HEIGHT))
    painted(painter, glass)
    for y in range(HEIGHT):
        take(painter, "tick " * 7, y)
    take(painter, "key " * 8, 5, urgent=True)
    painted(painter, glass, 10)
    assert glass.text[5].startswith("key"), "before all others"
    assert glass.text[0] == "-"
    for _ in range(HEIGHT):
        take(painter, "late " * 7, 7)
        painted(painter, glass, 10)
    assert all(row.startswith(("tick", "late", "key")) for row in glass.text), glass.text


def test_a_new_size_is_a_new_picture(pair: tuple[Painter, Glass]) -> None:
    painter, _ = pair
    take(painter, "same")
    painter.paint()
    painter.take(update([[("same".ljust(WIDTH), STYLES[0])]]), (WIDTH, HEIGHT + 1), urgent=False)
    assert painter.paint().startswith("\x1b[m\x1b[2J\x1b[1Hsame")


@pytest.mark.parametrize(("y", "x"), [(HEIGHT, 0), (HEIGHT + 30, 2), (0, WIDTH), (1, WIDTH + 90)])
def test_a_piece_whose_place_is_of_a_larger_screen_is_left_out(
    pair: tuple[Painter, Glass], y: int, x: int
) -> None:
    """The terminal shrinks, and a widget draws before it is given its new place."""
    painter, glass = pair
    take(painter, "one\ntwo")
    painted(painter, glass)
    painter.put(y, x, 10, [("a pane", STYLES[0])], STYLES[0], urgent=True)
    assert painter.paint() == ""
    painter.put(0, WIDTH - 3, 10, [("wide one", STYLES[0])], STYLES[0], urgent=True)
    painted(painter, glass)
    assert glass.text[:2] == ["one".ljust(WIDTH - 3) + "wid", "two"]
