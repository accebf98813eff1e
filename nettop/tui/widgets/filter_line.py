"""The filter being written: editing, history, completion, and a caret under a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events

from nettop.query import FilterError, compile_filter
from nettop.text.fields import Field
from nettop.text.keys import written
from nettop.tui.style import Role
from nettop.tui.widgets.box import boxed
from nettop.tui.widgets.lines import Line, LineWidget, clip, flow, line, rows_of

if TYPE_CHECKING:
    from nettop.query.compile import NameSets
    from nettop.query.complete import Known
    from nettop.tui.widgets.spread_lines import Now

HISTORY_MOST = 100
LEAST_BOX = 4  # lines
FILTERS = (
    "state established and dport = :443 and srtt > 50ms",
    "retr/s > 1 or level >= watch",
    "( sport = :443 or sport = :80 ) and dst 203.0.113.0/24",
    "comm = nginx and srtt > 2*minrtt",
    "rcvq > 64K and unread > 1s",
    "cgroup = nginx.service",
)


def helped(field: Field | None, width: int, now: Now | None = None) -> tuple[str, list[Line]]:
    """Title and lines: what the field means and its values are; without one how filters are
    written."""
    from nettop.query.complete import help_of

    shown: list[Line] = [line(("plain words: programs, addresses, ports", Role.DIM)),
                        line("nginx 443 not 10.41.2.2"),
                        line(("or a comparison: field, operator, value", Role.DIM)),
                        line("srtt > 50ms and retr/s > 1"),
                        line("dport = :443 and dst 10.0.0.0/8"),
                        line("srtt > 2*minrtt")]  # fmt: skip
    if field is None:
        return "filter", shown
    what, how = help_of(field)
    shown = [line(text) for text in rows_of(what, width)]
    shown += flow([line(("write  ", Role.DIM), how)], width, " " * 7)
    if now is None:
        shown += [line(("sort   ", Role.DIM), "yes" if field.sortable else "no")]
    else:
        shown = [*now.lines(), *shown]
    return field.id, shown


class FilterLine(LineWidget):
    """The filter with its cursor, what is wrong or may come next, and, where there is room,
    boxes with the filters used before and with what the field at the cursor means."""

    def __init__(
        self,
        history_file: Path | None,
        names: Callable[[], NameSets | None],
        apply: Callable[[str], object],
        cancel: Callable[[], object],
        typed: Callable[[str], object],
    ) -> None:
        """names: whose users, cgroups and namespaces are meant; None: this host's.

        apply is called by Enter on a filter that compiles ("" clears it); cancel by Esc; typed
        after each change, while what is written is for apply.
        """
        super().__init__(id="filter")
        self._names = names
        self._take, self._cancel, self._typed = apply, cancel, typed
        self._known: Known = {}
        self._now: Callable[[Field, str], Now | None] = lambda field, before: None
        self._label, self._taker = "filter ", apply
        self.text = ""
        self.at = 0
        self._history_file = history_file
        self._history: list[str] | None = None
        self._place = 0
        self._notice = ""  # of a key that means nothing here; until the next one
        self._choices: tuple[str, ...] = ()
        self._choice = 0
        self._start = 0

    def begin(
        self, text: str, label: str = "filter ", take: Callable[[str], object] | None = None,
        known: Known | None = None, now: Callable[[Field, str], Now | None] | None = None,
    ) -> None:  # fmt: skip
        """label: what stands before it; take: called instead of apply; known: what completes; now:
        the values of a field of which a comparison is written, and of the filter before it."""
        self._known = known or {}
        if now is not None:
            self._now = now
        self.text, self.at = text, len(text)
        self._label, self._taker = label, take or self._take
        self._place = len(self.history)
        self._choices = ()
        self.redraw()

    @property
    def history(self) -> list[str]:
        if self._history is None:
            try:
                raw = self._history_file.read_text(errors="replace") if self._history_file else ""
            except OSError:
                raw = ""
            self._history = [h for h in raw.splitlines() if h.strip()][-HISTORY_MOST:]
        return self._history

    def _remember(self, text: str) -> None:
        past = [h for h in self.history if h != text] + [text]
        self._history = past[-HISTORY_MOST:]
        if self._history_file is None:
            return
        try:
            self._history_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._history_file.write_text("\n".join(self._history) + "\n")
        except OSError:
            pass  # a history that cannot be kept is no reason to stop

    def _mistake(self) -> FilterError | None:
        try:
            compile_filter(self.text, self._names())
        except FilterError as e:
            return e
        return None

    def _hint(self) -> str | None:
        """Of plain words: one that may have been meant for a field."""
        from nettop.query.plain import mistyped

        try:
            compiled = compile_filter(self.text, self._names())
        except FilterError:
            return None
        return next(iter(mistyped(compiled.words)), None) if compiled is not None else None

    def _changed(self) -> None:
        if self._taker == self._take:
            self._typed(self.text.strip())

    def redraw(self) -> None:
        from nettop.query.complete import compared, complete, help_of

        label = self._label
        before, under, after = (
            self.text[: self.at],
            self.text[self.at : self.at + 1],
            self.text[self.at + 1 :],
        )
        first = line(
            (label, Role.FOCUS),
            (before, Role.BOLD),
            (under or " ", Role.REVERSE),
            (after, Role.BOLD),
        )
        error = self._mistake() if self.text.strip() else None
        completion = complete(self.text, self.at, self._known)
        comparison = compared(self.text, self.at)
        now = self._now(*comparison) if comparison is not None else None
        pad = " " * len(label)
        if self._notice:
            second = line((pad + self._notice, Role.WATCH))
        elif self._choices:
            shown = "  ".join(self._choices[self._choice : self._choice + 8])
            second = line((pad + " " * self._start, Role.NORMAL), (shown, Role.FOCUS))
        elif error is not None and not self._unfinished(error):
            second = line((pad + error.caret(), Role.UNWELL))
        elif now is not None and self.size.height < LEAST_BOX + 2:
            second = line((pad, Role.NORMAL), (now.text(), Role.DIM))
        elif completion.field is not None:
            what, how = help_of(completion.field)
            second = line(
                (pad, Role.NORMAL),
                (f"{completion.field.id}: {what}", Role.DIM),
                (f"  ({how})", Role.DIM),
            )
        elif not completion.words and (hint := self._hint()):
            second = line((pad, Role.NORMAL), (hint, Role.DIM))
        else:
            words = "  ".join(completion.words[:10])
            second = line(
                (pad, Role.NORMAL),
                ("Tab completes: " if words else "", Role.DIM),
                (words, Role.DIM),
            )
        second = clip(second, self.size.width, self.nettop.glyphs.ellipsis)
        self.set_lines([first, second, *self._boxes(completion.field, now)])

    def _boxes(self, field: Field | None, now: Now | None) -> list[Line]:
        width, height = self.size.width, self.size.height - 2
        if height < LEAST_BOX:
            return []
        left = width * 3 // 5 if width >= 90 else width - 1
        past = self.history
        at = min(self._place, len(past))
        first = max(0, min(at - (height - 3), len(past) - (height - 2)))
        used: list[Line] = [
            line((text.ljust(left - 4), Role.REVERSE if first + i == at else Role.NORMAL))
            for i, text in enumerate(past[first : first + height - 2])
        ] or [line(("no filter was used yet", Role.DIM))]
        if not past and field is not None:  # else they stand beside
            used = [line(("no filter was used yet. Some that are:", Role.DIM)), *map(line, FILTERS)]
        g = self.nettop.glyphs
        keys = "↑↓ choose  Enter apply  Esc cancel  ^U clear"
        room = width - left - 5 if width >= 90 else left - 4
        title, shown = helped(now.field if now is not None else field, room, now)
        if width < 90:
            recalls = bool(past) and (now is None or self._place < len(past))
            kind, inside = ("history", used) if recalls else (title, shown)
            return boxed(kind, inside, keys, left, height, g)
        boxes = boxed("history", used, keys, left, height, g)
        right = boxed(title, shown, "Tab completes", width - left - 1, height, g)
        return [(*a, (" ", Role.NORMAL), *b) for a, b in zip(boxes, right, strict=True)]

    def _unfinished(self, error: FilterError) -> bool:
        """Still being written: a mistake at the very end is not shouted about."""
        return error.column >= len(self.text.rstrip())

    def press(self, event: events.Key) -> None:
        key, self._notice = event.key, ""
        if key == "tab":
            self._complete()
            return
        self._choices = ()
        if key == "enter":
            self._apply()
            return
        if key in ("escape", "ctrl+c"):
            self._cancel()
            return
        self._edit(key, event.character if event.is_printable else None)
        self.redraw()
        self._changed()

    def paste(self, text: str) -> None:
        """Puts a pasted text at the cursor, on one line and without control characters."""
        words = " ".join(text.split())
        self._choices = ()
        self._insert("".join(c for c in words if c.isprintable()))
        self.redraw()
        self._changed()

    def _insert(self, text: str) -> None:
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)

    def _edit(self, key: str, character: str | None) -> None:
        text, at = self.text, self.at
        match key:
            case "left":
                self.at = max(0, at - 1)
            case "right":
                self.at = min(len(text), at + 1)
            case "home" | "ctrl+a":
                self.at = 0
            case "end" | "ctrl+e":
                self.at = len(text)
            case "backspace":
                self.text, self.at = text[: max(0, at - 1)] + text[at:], max(0, at - 1)
            case "delete":
                self.text = text[:at] + text[at + 1 :]
            case "ctrl+u":
                self.text, self.at = text[at:], 0
            case "ctrl+k":
                self.text = text[:at]
            case "ctrl+w":
                kept = text[:at].rstrip()
                kept = kept[: kept.rfind(" ") + 1]
                self.text, self.at = kept + text[at:], len(kept)
            case "up" | "down":
                self._recall(-1 if key == "up" else 1)
            case "ctrl+r":
                self._search()
            case _ if character:
                self._insert(character)
            case _:
                self._notice = f"no key {written(key)} here"

    def _recall(self, by: int) -> None:
        self._place = max(0, min(len(self.history), self._place + by))
        self.text = self.history[self._place] if self._place < len(self.history) else ""
        self.at = len(self.text)

    def _search(self) -> None:
        """The newest older filter that contains what is written."""
        for i in range(min(self._place, len(self.history)) - 1, -1, -1):
            if self.text in self.history[i]:
                self._place, self.text = i, self.history[i]
                self.at = len(self.text)
                return

    def _complete(self) -> None:
        from nettop.query.complete import complete

        if self._choices:
            self._choice = (self._choice + 1) % len(self._choices)
        else:
            found = complete(self.text, self.at, self._known)
            if not found.words:
                return
            self._choices, self._choice, self._start = found.words, 0, found.start
        word = self._choices[self._choice]
        self.text = self.text[: self._start] + word + self.text[self.at :]
        self.at = self._start + len(word)
        if len(self._choices) == 1:
            self.text = self.text[: self.at] + " " + self.text[self.at :].lstrip()
            self.at += 1
            self._choices = ()
        self.redraw()
        self._changed()

    def _apply(self) -> None:
        try:
            compiled = compile_filter(self.text, self._names())
        except FilterError as error:
            pad = " " * len(self._label)
            caret = line((pad + error.caret(), Role.UNWELL))
            self.set_lines([self._lines[0], caret, *self._lines[2:]])
            return
        if compiled is not None:
            self._remember(self.text.strip())
        self._taker(self.text.strip())
