"""The one registry of keys: what each does, and how help and footer name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """names: Textual's; shown: as help prints them; action: do_ACTION of the main screen."""

    names: tuple[str, ...]
    shown: str
    action: str
    group: str
    help: str
    footer: str = ""  # word in the footer; "" keeps it out
    past: bool = False  # in the footer only while the past is shown


KEYS: tuple[Key, ...] = (
    Key(("question_mark",), "?", "help", "RUN", "this help", "help"),
    Key(
        ("slash",), "/", "filter", "CHOOSE", "filter: ss grammar, comparisons with units", "filter"
    ),
    Key(("s",), "s", "sort", "CHOOSE", "choose the sort key", "sort"),
    Key(("enter",), "Enter", "open", "MOVE", "open the socket, or the group", "detail"),
    Key(("x",), "x", "mark", "CHOOSE", "mark; the panes show the marked together", "mark"),
    Key(("t",), "t", "group", "CHOOSE", "group: process remote local cgroup netns", "group"),
    Key(("e",), "e", "export", "RUN", "export what is shown", "export"),
    Key(
        ("space", "p"),
        "space p",
        "pause",
        "RUN",
        "pause the table; in the past: play, stop",
        "pause",
    ),
    Key(("q", "ctrl+c"), "q ^C", "quit", "RUN", "quit", "quit"),
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
    Key(("c",), "c", "columns", "CHOOSE", "choose the columns"),
    Key(("n",), "n", "names", "CHOOSE", "names or numbers of users and namespaces"),
    Key(("1",), "1", "pane_1", "PANES", "RX queue wait"),
    Key(("2",), "2", "pane_2", "PANES", "TX stages"),
    Key(("3",), "3", "pane_3", "PANES", "TCP health"),
    Key(("4",), "4", "pane_4", "PANES", "events"),
    Key(("tab",), "Tab", "next_pane", "PANES", "next pane"),
    Key(("v",), "v", "view", "PANES", "view of the pane: histogram, heatmap, CDF, path"),
    Key(("z",), "z", "zoom", "PANES", "pane at full size"),
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
        "the change before: a verdict that began or ended, an event",
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
    Key(("P",), "P", "cost", "RUN", "planes: how, why not; what nettop costs"),
    Key(("ctrl+r",), "^R", "clear", "RUN", "clear histories"),
    Key(("ctrl+l",), "^L", "redraw", "RUN", "redraw the screen"),
)

ACTIONS: dict[str, str] = {name: key.action for key in KEYS for name in key.names}
GROUPS = ("MOVE", "CHOOSE", "PANES", "RUN", "TIME")
_GROUP_OF = {key.action: key.group for key in KEYS}


def action_of(name: str, character: str | None) -> str | None:
    """What a key does, by Textual's name for it or by its character; None: nothing."""
    return ACTIONS.get(name) or ACTIONS.get(character or "")


def group_of(action: str | None) -> str | None:
    """Where help lists an action."""
    return _GROUP_OF.get(action or "")
