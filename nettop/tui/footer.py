"""The last line: keys as far as they fit, and where in the list the screen stands."""

from __future__ import annotations

from collections.abc import Sequence

from nettop.text import units
from nettop.text.keys import KEYS, Key, key_name
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, Part, spread

_PLACE_CELLS = 15  # at least
_ALWAYS = ("help", "quit")
# By weight, behind all others: on wide screens.
_ROOMY = ("view", "next_pane", "zoom", "palette", "columns", "all")


_ARROWS = {"←": "left", "→": "right", "↑": "up", "↓": "down"}
_PAIRS = "↑←"  # with ↓ and →

PANE_KEYS = {
    "heatmap": (("←", "earlier"), ("→", "later"), ("+", "longer"), ("-", "shorter")),
    "events": (("↑", "newer"), ("↓", "older")),
}
_AT_FULL_SIZE = (("v", "view"), ("z", "back"), ("Tab", "next pane"), ("e", "export"), ("?", "help"),
                 ("q", "quit"))  # fmt: skip


def footer_keys(
    *,
    paused: bool,
    grouped: bool,
    readonly: bool,
    kept: bool = False,
    past: bool = False,
    playing: bool = False,
    live: bool = True,
    pane: str = "",
    registry: Sequence[Key] = KEYS,
) -> list[tuple[str, str]]:
    """(key, word) by weight; words follow the state of the screen.

    kept: there are ticks to go back to; past: one of them is shown, and the keys of time come
    first; live: L goes back to the present. pane: what is at full size, a view or "events".
    """
    if pane:
        return [*PANE_KEYS.get(pane, ()), *_AT_FULL_SIZE]
    words = {"pause": "go on"} if paused else {}
    if past:
        words["pause"] = "stop" if playing else "play"
        words["live"] = "live" if live else "end"
    if grouped:
        words["open"], words["mark"] = "open", "compare"
    shown = [
        key
        for key in registry
        if key.footer
        and key.names
        and (past or not key.past)
        and (kept or key.group != "TIME")
        and not (key.action.startswith("export") and readonly)
    ]
    shown.sort(key=lambda key: _ROOMY.index(key.action) + 1 if key.action in _ROOMY else 0)
    if past:
        shown.sort(key=lambda key: key.group != "TIME" and key.action not in ("help", "pause"))
    return [(key.shown.split()[0], words.get(key.action, key.footer)) for key in shown]


def fitting(keys: Sequence[tuple[str, str]], width: int, place: str = "") -> list[tuple[str, str]]:
    """keys: (key, word) in order of weight; those that do not fit beside the place are left out."""
    room = width - max(_PLACE_CELLS, len(place) + 2)
    out: list[tuple[str, str]] = []
    used = 1
    for key, word in keys:
        size = len(key) + len(word) + 3
        if used + size <= room or word in _ALWAYS:
            used += size
            out.append((key, word))
    return out


def key_at(keys: Sequence[tuple[str, str]], width: int, x: int, place: str = "") -> str | None:
    """The key that a click on the footer means."""
    return key_in(fitting(keys, width, place), x, begin=1)


def key_in(shown: Sequence[tuple[str, str]], x: int, *, begin: int = 0) -> str | None:
    """The key that a cell of `key word  key word` stands for; of two keys that share a word, as in
    `[ ] tick`, the one that was hit, and of their word the second, which goes on."""
    used = begin
    for key, word in shown:
        end = used + len(key) + 1 + len(word)
        if used <= x < end:
            pair = [*key] if len(key) == 2 and key[0] in _PAIRS else key.split()
            return pair[2 * (x - used) >= len(key)] if len(pair) == 2 else key
        used = end + 2
    return None


def name_of(key: str) -> str:
    """Textual's name of a key as a last line writes it."""
    return _ARROWS.get(key) or key_name(key)


def footer_line(keys: Sequence[tuple[str, str]], place: str, width: int) -> Line:
    parts: list[Part] = [(" ", Role.NORMAL)]
    for key, word in fitting(keys, width, place):
        parts += [(key, Role.BOLD), (f" {word}  ", Role.DIM)]
    return spread(tuple(parts), ((place + " ", Role.DIM),), width)


def place_of_groups(groups: int, marked: int) -> str:
    return _marked(units.counted(groups, "group"), marked)


def place_of_rows(first: int, page: int, count: int, marked: int) -> str:
    """1-25/8412, with how many are marked."""
    last = min(first + page, count)
    return _marked(f"{min(first + 1, count)}-{last}/{count}", marked)


def place_of_one(at: int | None, count: int, marked: int) -> str:
    """2 of 8412; of none that is chosen nothing."""
    return _marked("" if at is None else f"{at + 1} of {count}", marked)


def _marked(place: str, marked: int) -> str:
    return f"* {marked} marked  {place}" if marked else place
