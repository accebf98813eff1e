"""The one registry of keys: what each does, and how help and footer name it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from nettop.errors import UsageError
from nettop.text.fields import nearest


class Key(Struct, frozen=True):
    """names: Textual's; shown: as help prints them; action: do_ACTION of the main screen."""

    names: tuple[str, ...]
    shown: str
    action: str
    group: str
    help: str
    footer: str = ""  # word in the footer; "" keeps it out
    past: bool = False  # in the footer only while the past is shown


# Each is an action: found by its words, and for a key of one's own.
GROUPED = (
    ("process", "process"), ("program", "program, the processes of one name together"),
    ("remote", "remote address, of backends with their port"),
    ("remote_port", "remote address and port"), ("local", "local address"),
    ("port", "local port"), ("cgroup", "cgroup: service, pod, container"),
    ("netns", "network namespace"),
)  # fmt: skip
KEYS: tuple[Key, ...] = (
    Key(("question_mark", "h", "f1"), "? h F1", "help", "RUN", "this help", "help"),
    Key(
        ("slash", "backslash", "f3", "f4"),
        "/ \\ F3 F4",
        "filter",
        "CHOOSE",
        "filter: plain words, ss grammar, comparisons",
        "filter",
    ),
    Key(("s", "f6"), "s F6", "sort", "CHOOSE", "choose the sort key", "sort"),
    Key(("enter",), "Enter", "open", "MOVE", "open the socket, or the group", "detail"),
    Key(
        ("x",),
        "x",
        "mark",
        "CHOOSE",
        "mark; the panes show the marked together; of groups A, B",
        "mark",
    ),
    Key(
        ("t", "f5"),
        "t F5",
        "group",
        "CHOOSE",
        "group: process program remote remote_port local port cgroup netns host",
        "group",
    ),
    Key(("T",), "T", "group_back", "CHOOSE", "the grouping before"),
    *(Key((), "", f"group_by_{name}", "CHOOSE", f"group by {what}") for name, what in GROUPED),
    Key(("e",), "e", "export", "RUN", "export what is shown; e again: as what", "export"),
    Key((), "", "export_as", "RUN", "export as CSV, text, a picture, Parquet"),
    Key(
        ("space", "p"),
        "space p",
        "pause",
        "RUN",
        "pause the table; in the past: play, stop",
        "pause",
    ),
    Key(("q", "ctrl+c", "f10"), "q ^C F10", "quit", "RUN", "quit", "quit"),
    Key(("colon",), ":", "palette", "RUN", "find an action by its words, and do it", "actions"),
    Key(("ctrl+z",), "^Z", "suspend", "RUN", "back to the shell; fg comes back here"),
    Key(("down", "j"), "↓ j", "down", "MOVE", "next line"),
    Key(("up", "k"), "↑ k", "up", "MOVE", "line before"),
    Key(("pagedown", "ctrl+f"), "PgDn", "page_down", "MOVE", "next page"),
    Key(("pageup", "ctrl+b"), "PgUp", "page_up", "MOVE", "page before"),
    Key(("g", "home"), "g g", "first", "MOVE", "first line (Home)"),
    Key(("G", "end"), "G", "last", "MOVE", "last line (End)"),
    Key(("escape",), "Esc", "back", "MOVE", "back: overlay, group, filter"),
    Key(("S",), "S", "reverse", "CHOOSE", "reverse the sort"),
    Key(("less_than_sign",), "<", "sort_left", "CHOOSE", "sort by the column to the left"),
    Key(("greater_than_sign",), ">", "sort_right", "CHOOSE", "sort by the column to the right"),
    Key(("o",), "o", "hold", "CHOOSE", "hold the order until o"),
    Key(("X",), "X", "clear_marks", "CHOOSE", "clear the marks"),
    Key(("c", "f2"), "c F2", "columns", "CHOOSE", "choose the columns", "columns"),
    Key(("left",), "←", "columns_left", "CHOOSE", "columns further left"),
    Key(("right",), "→", "columns_right", "CHOOSE", "columns further right"),
    Key(("a",), "a", "all", "CHOOSE", "all sockets; again: listeners; again: as before", "all"),
    Key(("u",), "u", "udp", "CHOOSE", "all UDP sockets and no others; again: the usual ones"),
    Key(("n",), "n", "names", "CHOOSE", "names or numbers of users and namespaces"),
    Key(("1",), "1", "pane_1", "PANES", "RX queue wait"),
    Key(("2",), "2", "pane_2", "PANES", "TX stages"),
    Key(("3",), "3", "pane_3", "PANES", "TCP health"),
    Key(("4",), "4", "pane_4", "PANES", "events"),
    Key(("tab",), "Tab", "next_pane", "PANES", "next pane", "pane"),
    Key(("shift+tab",), "⇤", "pane_before", "PANES", "pane before (Shift-Tab)"),
    Key(
        ("v",),
        "v",
        "view",
        "PANES",
        "view of the pane; full size: ← → + - of a heatmap, ↑ ↓ of events",
        "view",
    ),
    Key(("z",), "z", "zoom", "PANES", "pane at full size", "full size"),
    Key(
        ("left_square_bracket",),
        "[",
        "tick_back",
        "TIME",
        "one tick back; the last minutes are kept",
        "back",
    ),
    Key(("right_square_bracket",), "]", "tick_on", "TIME", "one tick forward", "on", past=True),
    Key(
        ("left_curly_bracket",),
        "{",
        "change_back",
        "TIME",
        "the change before of what is shown: verdict, event, host",
        "change",
        past=True,
    ),
    Key(("right_curly_bracket",), "}", "change_on", "TIME", "the next change"),
    Key(("J",), "J", "jump", "TIME", "to a time: 14:02, 14:02:30, -10m", "time", past=True),
    Key(("L",), "L", "live", "TIME", "live again; of a recording its end", "live", past=True),
    Key(("C",), "C", "clocks", "RUN", "clocks of the NICs and what they stamp"),
    Key(("E",), "E", "export_all", "RUN", "export everything, unfiltered"),
    Key(("y",), "y", "copy", "RUN", "ss command of this socket"),
    Key(("B",), "B", "bell", "RUN", "ring the bell while a condition holds; B again: no more"),
    Key(("plus",), "+", "slower", "RUN", "longer interval; in the past: play faster"),
    Key(("minus",), "-", "faster", "RUN", "shorter interval; in the past: play slower"),
    Key(("d",), "d", "delay", "RUN", "next usual interval: 0.5 1 2 5 10 s"),
    Key(("r",), "r", "reset", "RUN", "reset view: no filter, group, sort"),
    Key(("W",), "W", "save_view", "RUN", "save this view: the next nettop begins with it"),
    Key(("P",), "P", "cost", "RUN", "planes: how, why not; what nettop costs"),
    Key(("ctrl+r",), "^R", "clear", "RUN", "clear histories"),
    Key(("ctrl+l",), "^L", "redraw", "RUN", "redraw the screen"),
)

NONE = "none"  # as an action: the key has no meaning
GROUPS = ("MOVE", "CHOOSE", "PANES", "RUN", "TIME")
# Where one clicks, and what it does.
MOUSE: tuple[tuple[str, str], ...] = (
    ("a line", "chooses it; twice: Enter; the wheel moves"),
    ("a title", "sorts by that column; again: reversed"),
    ("a pane", "chooses it; twice: full size and back; the wheel scrolls events"),
    ("the header", "unwell: those first; filter, by, sort; planes and cpu: what P shows"),
    ("the last line", "the key that is named there; the lower edge of a box too"),
    ("the past", "a time on the line that stands for it"),
    ("beside a box", "closes it"),
)
MOUSE_ASIDE = "not over SSH unless --mouse; Shift and drag lets the terminal select text"
_GROUP_OF = {key.action: key.group for key in KEYS}
# What people who come from other programs try, and where it is here.
HABITS = {
    "f7": "priorities stay as they are",
    "f8": "priorities stay as they are",
    "f9": "no signals are sent",
    "K": "no signals are sent",
    "f": "/ filters",
    "H": "t groups",
    "i": "+ - change the interval",
    "I": "S reverses the sort",
    "M": "s sorts",
    "l": "a shows listeners",
    "N": "n switches names and numbers",
    "w": "e exports",
    "R": "nettop record records",
    "Z": "space pauses",
    "O": "o holds the order",
}
# Textual's names of characters that have one; those of letters and digits are themselves.
_SYMBOLS = {
    "?": "question_mark", "/": "slash", "\\": "backslash", ":": "colon", "<": "less_than_sign",
    ">": "greater_than_sign", "[": "left_square_bracket", "]": "right_square_bracket",
    "{": "left_curly_bracket", "}": "right_curly_bracket", "+": "plus", "-": "minus", " ": "space",
}  # fmt: skip
_WORDS = {
    "space": "space", "tab": "tab", "backtab": "shift+tab", "shift+tab": "shift+tab",
    "enter": "enter", "esc": "escape", "escape": "escape", "up": "up", "down": "down",
    "left": "left", "right": "right", "pgup": "pageup", "pageup": "pageup", "pgdn": "pagedown",
    "pagedown": "pagedown", "home": "home", "end": "end", "ins": "insert", "insert": "insert",
    "del": "delete", "delete": "delete", "backspace": "backspace",
}  # fmt: skip
_WRITTEN = {
    "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "up": "↑", "down": "↓", "left": "←",
    "right": "→", "shift+tab": "⇤", "insert": "Ins", "delete": "Del", "backspace": "⌫",
} | {name: sign for sign, name in _SYMBOLS.items() if sign != " "}  # fmt: skip


def written(name: str, character: str | None = None) -> str:
    """A key as people write it, from Textual's name for it."""
    if character and character.isprintable() and character != " ":
        return character
    if name in _WRITTEN:
        return _WRITTEN[name]
    before, plus, last = name.rpartition("+")
    if before == "ctrl" and len(last) == 1:
        return f"^{last.upper()}"
    text = last.capitalize() if len(last) > 1 and last != "space" else last
    return f"{before.capitalize()}-{text}" if plus else text


def key_name(text: str) -> str:
    """Textual's name of a key as people write it: x F9 ^S ctrl+s Space PgDn.

    Raises:
        UsageError: there is no such key.
    """
    if len(text) == 1 and text.isprintable():
        return _SYMBOLS.get(text, text)
    low = text.lower().replace("c-", "ctrl+", 1) if text.lower().startswith("c-") else text.lower()
    if low.startswith("^") and len(low) == 2:
        low = f"ctrl+{low[1]}"
    if low in _WORDS:
        return _WORDS[low]
    head, _, last = low.rpartition("+")
    if head == "ctrl" and len(last) == 1 and "a" <= last <= "z":
        return low
    if low[:1] == "f" and low[1:].isdecimal() and 1 <= int(low[1:]) <= 24:
        return low
    raise UsageError(f"no key '{text}': write x, ?, F9, ^S, Space, Tab, PgDn and the like")


class Keymap:
    """What each key does: the registry, with what the user wants otherwise."""

    def __init__(self, changed: Mapping[str, str] | None = None) -> None:
        """changed: a key as people write it, and its action, or none.

        Raises:
            UsageError: no such key or action, or one that must stay.
        """
        wanted = dict(changed or {})
        moved = {key_name(text): action for text, action in wanted.items()}
        for text, action in wanted.items():
            if action != NONE and action not in _GROUP_OF:
                near = nearest(action, list(_GROUP_OF))
                hint = f": perhaps {' or '.join(near)}?" if near else ""
                raise UsageError(f"key {text}: no action '{action}'{hint} (nettop help keys)")
            if key_name(text) == "ctrl+c" and action != "quit":
                raise UsageError("key ^C: it always quits")
        self.keys = tuple(self._with(key, moved) for key in KEYS)
        self._actions = {name: key.action for key in self.keys for name in key.names}

    @staticmethod
    def _with(key: Key, moved: Mapping[str, str]) -> Key:
        more = tuple(name for name, action in moved.items() if action == key.action)
        if not more and not moved.keys() & set(key.names):
            return key
        names = more + tuple(name for name in key.names if name not in moved)
        return replace(key, names=names, shown=" ".join(map(written, names)))

    def action_of(self, name: str, character: str | None) -> str | None:
        """What a key does, by Textual's name for it or by its character; None: nothing."""
        return self._actions.get(name) or self._actions.get(character or "")


ACTIONS: dict[str, str] = {name: key.action for key in KEYS for name in key.names}


def group_of(action: str | None) -> str | None:
    """Where help lists an action."""
    return _GROUP_OF.get(action or "")


def no_key(name: str, character: str | None, help_key: str = "?") -> str:
    """What is said of a key that means nothing."""
    text = written(name, character)
    habit = HABITS.get(name) or HABITS.get(character or "")
    return f"no key {text}: {habit + '; ' if habit else ''}{help_key} lists all"
