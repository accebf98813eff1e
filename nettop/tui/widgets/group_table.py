"""Groups of sockets, worst first."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from textual import events
from textual.message import Message

from nettop.feed import Grouping
from nettop.groups import ManyGroups
from nettop.model.causes import Cause
from nettop.model.types import Flag, Group, Verdict
from nettop.text.verdicts import verdict_words
from nettop.text.words import why_text
from nettop.tui import group_lines
from nettop.tui.widgets.lines import BLANK, Line, LineWidget, line

MOST_COMPARED = 2
HELD_AROUND = 64  # groups above and below the screen, for keys that scroll


def _place_of(groups: Sequence[Group], key: Hashable) -> int | None:
    """Of the group that is known by that key in every tick."""
    if isinstance(groups, ManyGroups):
        return groups.at_key(key) if isinstance(key, bytes) else None
    return next((at for at, group in enumerate(groups) if group.title == key), None)


class GroupTable(LineWidget):
    """The groups of the feed's matched sockets; the cursor follows the group."""

    class Clicked(Message):
        """The cursor was moved by the mouse."""

        def __init__(self, twice: bool) -> None:
            """twice: the group is to be opened."""
            super().__init__()
            self.twice = twice

    def __init__(self) -> None:
        super().__init__(id="groups")
        self.grouping = Grouping.NONE
        self.groups: Sequence[Group] = []
        self._given: Sequence[Group] = []  # as the feed has them
        self._causes: Mapping[int, Cause] = {}  # of their sockets
        self.sort: group_lines.Column | None = None  # None: worst first
        self.descending = True  # its largest first
        self.held = False
        # Some were compared with each other since this grouping was chosen: once there, that column
        # stays.
        self.equals = False
        self._read = Grouping.NONE  # what they are groups by
        self.at = 0
        self.top = 0
        self.compared: list[str] = []  # titles of the groups that are A and B
        self._by: list[float | None] = []  # how each compares
        self._known: tuple[Sequence[Group], tuple[Hashable, ...], list[Line]] | None = None
        self._keys: dict[Grouping, Hashable] = {}  # where the cursor stands in each
        self._compared_keys: dict[str, Hashable] = {}  # by title

    def show(self, grouping: Grouping) -> None:
        """Groups by this, the cursor where it was left."""
        if grouping is not self.grouping:
            self.compared = []
            self.sort = None
            self.descending = True
            self.equals = False
        self.grouping = grouping
        self.at = self.top = 0
        if grouping:
            self.reload()

    @property
    def selected(self) -> Group | None:
        return self.groups[self.at] if self.at < len(self.groups) else None

    @property
    def both(self) -> list[Group]:
        """Those that are compared, A first."""
        places = [_place_of(self.groups, self._compared_keys[title]) for title in self.compared]
        return [self.groups[at] for at in places if at is not None]

    @property
    def lines_needed(self) -> int:
        """Of all groups with what stands below them."""
        return len(self.groups) + len(self._notes()) if self.groups else 0

    def _key(self, at: int) -> Hashable:
        """What a group is known by in other ticks."""
        groups = self.groups
        return groups.key_of(at) if isinstance(groups, ManyGroups) else groups[at].title

    def others(self, most: int) -> list[Group]:
        """Of those that are shown the first that are not chosen."""
        chosen = {*self.compared, self.selected.title if self.selected else ""}
        shown = self.groups[self.top : self.top + max(1, self.size.height)]
        return [group for group in shown if group.title not in chosen][:most]

    def compare(self) -> None:
        """The group at the cursor is compared, or no longer; of three the first one goes."""
        group = self.selected
        if group is None:
            return
        if group.title in self.compared:
            self.compared.remove(group.title)
        else:
            self.compared = [*self.compared, group.title][-MOST_COMPARED:]
            self._compared_keys[group.title] = self._key(self.at)
        self.redraw()

    def titles(self, width: int) -> Line:
        """Above lines of the same width, which may not have been laid out yet."""
        return group_lines.titles(
            self.grouping, width, self.sort, self.equals, descending=self.descending
        )

    def sort_by(self, column: group_lines.Column | None, *, descending: bool = True) -> None:
        """By a column, largest or smallest first; None: worst first."""
        self.sort, self.descending = column, descending
        self._order()
        self.at = self.top = 0
        self._place()

    def hold(self, held: bool) -> None:
        """While held, groups on the screen and around it keep their places from tick to tick."""
        self.held = held

    def _in_place(self) -> tuple[int, list[Hashable]]:
        """Where the first of those stands, and the keys of them all."""
        first = max(0, self.top - HELD_AROUND)
        last = min(len(self.groups), self.top + self.size.height + HELD_AROUND)
        return first, [self._key(at) for at in range(first, last)]

    def _order(self, held: tuple[int, list[Hashable]] | None = None) -> None:
        """Sets the groups, in the order that was chosen, but for those that are held."""
        groups, by = group_lines.ordered(
            self._given, self.grouping, self.sort, descending=self.descending
        )
        if held is not None:
            first, keys = held
            stay = dict.fromkeys(at for key in keys if (at := _place_of(groups, key)) is not None)
            others = [at for at in range(len(groups)) if at not in stay]
            order = [*others[:first], *stay, *others[first:]]
            groups, by = group_lines.in_order(groups, order), [by[at] for at in order]
        self.groups, self._by = groups, by

    def reload(self) -> None:
        """Reads the groups anew; while a long sweep is under way those at hand stay."""
        feed = self.nettop.feed
        with feed.one_tick() as model:
            if model is not None or self._read is not self.grouping:
                stays = self.held and self._read is self.grouping
                held = self._in_place() if stays else None
                self._given = feed.groups(self.grouping)
                self._causes = model.causes if model is not None else {}
                self._order(held)
                self._read = self.grouping
                self.equals |= any(self._by)
        at = _place_of(self.groups, self._keys.get(self.grouping))
        self.at = self.at if at is None else at
        self._place()

    def move(self, by: int) -> None:
        self.at += by
        self._place()

    def _place(self) -> None:
        self.at = max(0, min(self.at, len(self.groups) - 1))
        height = max(1, self.size.height)
        self.top = max(0, min(self.top, self.at, len(self.groups) - height))
        if self.at >= self.top + height:
            self.top = self.at - height + 1
        self._keys[self.grouping] = self._key(self.at) if self.groups else None
        self.redraw()

    def redraw(self) -> None:
        height = max(1, self.size.height)
        by, notes = self._by, self._notes()
        shown = range(self.top, min(len(self.groups), self.top + height))
        lines = [self._line(self.groups[i], by[i], selected=i == self.at) for i in shown]
        lines += notes[: height - len(lines)]
        if not lines:
            lines = [BLANK, line("   " + self.nettop.empty_text())]
        self.set_lines(lines)

    def _notes(self) -> list[Line]:
        """What stands below all; of groups that are as they were it is not worked out again."""
        groups, grouping, sort = self.groups, self.grouping, self.sort
        width = self.size.width or self.nettop.size.width  # it may be laid out soon
        known, asked = self._known, (grouping, width, sort, self.equals)
        if known is None or known[0] is not groups or known[1] != asked:
            notes: list[Line] = []
            if groups:
                g = self.nettop.glyphs
                notes += group_lines.median_line(groups, grouping, width, g, sort, self.equals)
                notes += group_lines.notes(groups, self._by, grouping, width, self._causes, sort)
            known = self._known = groups, asked, notes
        return known[2]

    def _line(self, group: Group, factor: float | None, *, selected: bool) -> Line:
        compared = self.compared
        return group_lines.group_line(
            group, factor, self.grouping, self.size.width, self.nettop.glyphs, selected=selected,
            letter="AB"[compared.index(group.title)] if group.title in compared else "",
            why=self._why(group.verdict, group),
            sort=self.sort, equals=self.equals,
        )  # fmt: skip

    def _why(self, verdict: Verdict | None, group: Group) -> str:
        """The words of the worst member; of unread data and round trips it has more to say, and
        where the level sinks, what it was."""
        asked = verdict in (Verdict.UNREAD, Verdict.RTT) or (verdict is None and group.level)
        worst = self.nettop.feed.find(group.worst_cookie) if asked else None
        if verdict is None:
            return (why_text(worst) or "") if worst is not None else ""
        bounded = worst is None or not worst.flags & Flag.UNREAD_EXACT
        least_us = worst.rec.min_rtt_us if worst is not None else 0
        return verdict_words(
            verdict, group.verdict_value, group.because, bounded=bounded, least_us=least_us
        )

    def on_click(self, event: events.Click) -> None:
        self.move(self.top + event.y - self.at)
        self.post_message(self.Clicked(event.chain == 2))

    def on_mouse_scroll_down(self) -> None:
        self.move(3)
        self.post_message(self.Clicked(False))

    def on_mouse_scroll_up(self) -> None:
        self.move(-3)
        self.post_message(self.Clicked(False))

    def on_resize(self) -> None:
        self._lines = []
        self._place()
