"""Help, made from the registries of keys, fields and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from nettop.commands.topics import WHO_WORDS
from nettop.text.fields import FIELDS
from nettop.text.keys import GROUPS, MOUSE, MOUSE_ASIDE, Key
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_name
from nettop.tui.glyphs import Glyphs
from nettop.tui.screens.overlay import Overlay
from nettop.tui.style import Role
from nettop.tui.widgets.filter_line import FILTERS
from nettop.tui.widgets.lines import BLANK, Line, line, width_of

_BETWEEN = 2  # cells between two columns
_WIDE = 90  # from here on there are two

# Keys that go two ways are one line: so that all are one page.
_TOGETHER = (
    (("down", "up"), "next line, line before"),
    (("page_down", "page_up"), "next page, page before"),
    (("first", "last"), "first line, last line (Home, End)"),
    (("sort_left", "sort_right"), "sort by the column to the left, to the right"),
    (("columns_left", "columns_right"), "columns further left, right"),
    (("pane_1", "pane_2", "pane_3", "pane_4"), "RX queue wait, TX stages, TCP health, events"),
    (("next_pane", "pane_before"), "next pane, pane before (Shift-Tab)"),
    (("tick_back", "tick_on"), "one tick back, forward; the last minutes are kept"),
    (("slower", "faster"), "longer, shorter interval; in the past: play faster, slower"),
    (("change_back", "change_on"),
     "the change before, the next one: a verdict, an event, a host lost or back"),
)  # fmt: skip


def _wrapped(name: str, text: str, width: int, indent: int = 15) -> list[Line]:
    words, rows, current = text.split(), [], ""
    for word in words:
        if current and len(current) + 1 + len(word) > width - indent:
            rows.append(current)
            current = word
        else:
            current = f"{current} {word}".strip()
    rows.append(current)
    return [
        line((f"{name if i == 0 else '':<{indent - 1}} ", Role.BOLD), row)
        for i, row in enumerate(rows)
    ]


def header_words(g: Glyphs) -> tuple[tuple[str, str], ...]:
    """What stands above the table, and what it means."""
    return (
        (
            f"{g.unwell} 5 unwell {g.watch} 2 watch",
            "sockets at these levels, of those that the filter lets through",
        ),
        (
            "tcp est listen tw udp",
            "all sockets that were polled: TCP, of these established, "
            "listening and in TIME_WAIT; UDP",
        ),
        ("retr 12.0/s 0.4%", "segments sent again per second by all of them; of the bytes sent"),
        ("↑1.2G ↓310M", "payload sent and received, bit/s, of what the filter lets through"),
        ("2 of 18 netns", "network namespaces that are polled, of those there are: -N all"),
        (
            f"diag{g.on} wait{g.partly} hw{g.off}",
            f"planes, the sources of numbers: {g.on} works, "
            f"{g.partly} in part, {g.off} off. P says why",
        ),
        ("hidden: TX99 (off)", "columns that are left out, because their plane is off"),
        (
            "cpu 1.1% bpf 38K/s",
            "what nettop costs: of one core; runs of its BPF programs. P has more",
        ),
        (
            "events lost 157 in 1m",
            "records that a plane lost recently, as they came too fast: what is shown of it has "
            "gaps. P has those since the start",
        ),
        ("1.0s", "from one tick to the next: + - d change it"),
    )


def keys_of(group: str, keys: Sequence[Key]) -> list[tuple[str, str]]:
    """The keys of a group and what they do; those that go two ways together, while each has one."""
    known = {key.action: key for key in keys if key.names}
    first = {
        actions[0]: (actions, text)
        for actions, text in _TOGETHER
        if all(action in known for action in actions)
    }
    others = {action for actions, _ in first.values() for action in actions[1:]}
    out = []
    for key in keys:
        if key.group != group or not key.names or key.action in others:
            continue
        actions, text = first.get(key.action, ((key.action,), key.help))
        out.append((" ".join(known[action].shown for action in actions), text))
    return out


class HelpScreen(Overlay[None]):
    """Everything that the screen shows, explained; it scrolls."""

    TITLE = "help"
    TALL = True

    def _keys(self, width: int) -> list[Line]:
        """By group; in two columns where there is room, so that they are one page."""
        half = (width - _BETWEEN) // 2
        column, indent = (half, 11) if width >= _WIDE else (width, 15)
        left: list[Line] = []
        right: list[Line] = []
        for group in GROUPS:
            shorter = left if column == width or len(left) <= len(right) else right
            shorter.append(line((group, Role.FOCUS)))
            for shown, text in keys_of(group, self.nettop.keymap.keys):
                shorter += _wrapped(shown, text, column, indent)
            shorter.append(BLANK)
        if not right:
            return left
        return [
            (*a, (" " * (half + _BETWEEN - width_of(a)), Role.NORMAL), *b)
            for a, b in zip_longest(left, right, fillvalue=BLANK)
        ]

    def body(self, width: int) -> list[Line]:
        g = self.nettop.glyphs
        lines = self._keys(width)
        lines.append(line(("MOUSE", Role.FOCUS), (f"  {MOUSE_ASIDE}", Role.DIM)))
        lines += [row for where, does in MOUSE for row in _wrapped(where, does, width)]
        lines += [BLANK, line(("SIGNS", Role.FOCUS))]
        for sign, role, text in (
            (g.unwell, Role.UNWELL, "unwell: past the second threshold of a verdict"),
            (g.watch, Role.WATCH, "watch: past the first threshold, in two of three intervals"),
            (g.mark, Role.FOCUS, "marked"),
            (g.cursor, Role.FOCUS, "selected"),
            ("≥48ms", Role.NORMAL, "bounded: the true value is at least this"),
            (g.off, Role.DIM, "unknown: the pane, or nettop doctor, says why"),
            (g.ellipsis, Role.NORMAL, "a name is cut; whole in the detail"),
        ):
            lines.append(line((f"{sign:<14} ", role), text))
        lines += [BLANK, line(("THE TWO LINES AT THE TOP", Role.FOCUS))]
        for shown, text in header_words(g):
            lines += _wrapped(shown, text, width, 22)
        lines += [BLANK, line(("WHOSE FAULT (WHO)", Role.FOCUS))]
        lines += [row for who, text in WHO_WORDS for row in _wrapped(who, text, width)]
        lines += [
            BLANK,
            line(("VERDICTS (WHY): held in two of the last three intervals", Role.FOCUS)),
        ]
        for spec in VERDICTS.values():
            first, second = spec.conditions
            whos = ", ".join(who_name(who) for who in spec.whos)
            word, *others = spec.words
            text = f"{whos}: {spec.sentence}. {g.watch} {first}; {g.unwell} {second}. "
            text += f"Also as {', '.join(others)}. " if others else ""
            lines += _wrapped(word, f"{text}Filter: verdict = {word.lower()}", width)
        lines += [BLANK, line(("FILTER: the grammar of ss, and any field with a unit", Role.FOCUS))]
        lines += [line(("  " + f, Role.NORMAL)) for f in FILTERS]
        lines += [BLANK, line(("SORT unwell", Role.FOCUS))]
        lines += _wrapped(
            "",
            f"{g.unwell} above {g.watch} above the rest. A socket rises at once and sinks one "
            "level after 10 s of being well. Inside a level: strength in powers of two, then "
            "traffic. Moving the cursor holds the order for 3 s, o until o. Other keys "
            "sort at most every 2 s.",
            width,
            1,
        )
        lines += [
            BLANK,
            line(
                ("COLUMNS AND FIELDS", Role.FOCUS),
                ("  name in filters, sort and exports", Role.DIM),
            ),
        ]
        for field in FIELDS.values():
            title = f"[{field.title}] " if field.title and field.title.lower() != field.id else ""
            source = "" if field.source == "diag" else f" (plane {field.source})"
            lines += _wrapped(field.id, f"{title}{field.help}{source}", width, 28)
        return lines
