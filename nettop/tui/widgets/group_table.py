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
from nettop.tui import group_lines
from nettop.tui.widgets.lines import BLANK, Line, LineWidget, line

MOST_COMPARED = 2


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
        self._read = Grouping.NONE  # what they are groups by
        self.at = 0
        self.top = 0
        self.compared: list[str] = []  # titles of the groups that are A and B
        self._known: (
            tuple[Sequence[Group], tuple[Grouping, int], tuple[list[float | None], list[Line]]]
            | None
        ) = None
        self._keys: dict[Grouping, Hashable] = {}  # where the cursor stands in each
        self._compared_keys: dict[str, Hashable] = {}  # by title

    def show(self, grouping: Grouping) -> None:
        """Groups by this, the cursor where it was left."""
        if grouping is not self.grouping:
            self.compared = []
            self.sort = None
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
        found = {}
        wanted = {self._compared_keys[title]: title for title in self.compared}
        for at in range(len(self.groups)) if wanted else ():
            if (title := wanted.pop(self._key(at), "")) and (group := self.groups[at]):
                found[title] = group
                if not wanted:
                    break
        return [found[title] for title in self.compared if title in found]

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
        return group_lines.titles(self.grouping, width, self.sort)

    def sort_by(self, column: group_lines.Column | None) -> None:
        """By a column, largest first; None: worst first."""
        self.sort = column
        self.groups = group_lines.ordered(self._given, self.grouping, column)
        self.at = self.top = 0
        self._place()

    def reload(self) -> None:
        """Reads the groups anew; while a long sweep is under way those at hand stay."""
        feed = self.nettop.feed
        with feed.one_tick() as model:
            if model is not None or self._read is not self.grouping:
                self._given = feed.groups(self.grouping)
                self._causes = model.causes if model is not None else {}
                self.groups = group_lines.ordered(self._given, self.grouping, self.sort)
                self._read = self.grouping
        key = self._keys.get(self.grouping)
        self.at = next((i for i in range(len(self.groups)) if self._key(i) == key), self.at)
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
        by, notes = self._about()
        shown = range(self.top, min(len(self.groups), self.top + height))
        lines = [self._line(self.groups[i], by[i], selected=i == self.at) for i in shown]
        lines += notes[: height - len(lines)]
        if not lines:
            lines = [BLANK, line("   " + self.nettop.empty_text())]
        self.set_lines(lines)

    def _about(self) -> tuple[list[float | None], list[Line]]:
        """Of each group how it compares, and what stands below all; of groups that are as they were
        it is not worked out again."""
        groups, grouping, width = self.groups, self.grouping, self.size.width
        known = self._known
        if known is None or known[0] is not groups or known[1] != (grouping, width):
            notes: list[Line] = []
            if groups:
                notes += group_lines.median_line(groups, grouping, width, self.nettop.glyphs)
                notes += group_lines.notes(groups, grouping, width, self._causes)
            by = group_lines.factors(groups, grouping)
            known = self._known = groups, (grouping, width), (by, notes)
        return known[2]

    def _line(self, group: Group, factor: float | None, *, selected: bool) -> Line:
        compared = self.compared
        return group_lines.group_line(
            group, factor, self.grouping, self.size.width, self.nettop.glyphs, selected=selected,
            letter="AB"[compared.index(group.title)] if group.title in compared else "",
            why=self._why(group.verdict, group) if group.verdict is not None else "",
        )  # fmt: skip

    def _why(self, verdict: Verdict, group: Group) -> str:
        """The words of the worst member; of unread data and round trips it has more to say."""
        asked = verdict in (Verdict.UNREAD, Verdict.RTT)
        worst = self.nettop.feed.find(group.worst_cookie) if asked else None
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
