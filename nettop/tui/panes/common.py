"""What the lower panes have in common: wrapped text, labelled values, why a plane is off."""

from __future__ import annotations

from collections.abc import Callable

from nettop.text.fields import FIELDS
from nettop.tui.glyphs import Glyphs
from nettop.tui.panes.data import PaneData
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, line, rows_of

D, B = Role.DIM, Role.BOLD
COMING = "stamping of what is selected begins"  # as the plane says it
NONE_STAMPED = "no sends are stamped"
# What the screen can do, which the reasons of planes leave to it: other commands have no keys.
BY_HAND = {
    "stages": (NONE_STAMPED, ": choose a socket, mark some, or use --tx-sample N"),
    "split": ("starts when data is read late", ", and for a socket that Enter opens"),
}
NOT_YET = "no send of it is stamped yet"
NONE_OF_IT = "no send of it was stamped"
PaneLines = Callable[[PaneData, int, int, Glyphs], list[Line]]


def reason_here(plane: str, reason: str) -> str:
    """Why a plane is off, on a screen where something can be chosen."""
    begins, by_hand = BY_HAND.get(plane, ("", ""))
    return f"{begins}{by_hand}" if begins and reason.startswith(begins) else reason


def off_lines(data: PaneData, plane: str, width: int) -> list[Line]:
    """Why a plane is off, or off for these sockets, and the command that would fix it."""
    status = data.model.source(plane)
    reason = (status.reason if status else None) or "not measured"
    if plane == "wait" and status is not None and status.state != "off":
        reason = f"not this socket: {reason}"
    if plane == "stages" and status is not None and status.state != "off":
        coming = (status.reason or "").split(";")[0]
        others = NOT_YET if data.selects else NONE_OF_IT
        reason = coming if coming.startswith(COMING) else others
    elif plane == "stages" and not data.selects and reason.startswith(NONE_STAMPED):
        reason = "no sends were stamped"  # in the past or a file nothing can be chosen
    elif plane == "stages" and data.cookies and reason.startswith(NONE_STAMPED):
        reason = f"{COMING} soon"  # chosen since the tick that is shown
    else:
        reason = reason_here(plane, reason)
    lines = [
        line(("off  " if i == 0 else "     ", Role.WATCH), text)
        for i, text in enumerate(rows_of(reason, width - 6))
    ]
    if status and status.fix:
        lines += [
            line(("fix  " if i == 0 else "     ", D), (text, B))
            for i, text in enumerate(rows_of(status.fix, width - 6))
        ]
    lines.append(line(("why  ", D), ("nettop doctor", B), (" says what works", D)))
    return lines


def row_of(label: str, value: str, note: str, role: Role = Role.NORMAL, *, first: str = "") -> Line:
    return line((f"{label:<9}", D), (first, D), (f"{value:>8}", role), (f" {note}", D))


def number_of(data: PaneData, field: str) -> float | None:
    if data.row is None:
        return None
    value = FIELDS[field].value(data.row, data.detail)
    return None if isinstance(value, str) else value
