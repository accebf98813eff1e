"""Values of options: what each takes, and what is said of one that it does not take."""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING

from msgspec import Struct

from nettop.text.fields import FIELDS, Field, lookup, nearest
from nettop.text.themes import THEMES

if TYPE_CHECKING:
    from nettop.times import Moment

UNWELL = "unwell"  # the sort key of the default order, which is no field
LEAST_DELAY_S = 0.1
MOST_DELAY_S = 3600.0
MOST_NUMBER = 0xFFFFFFFF
LEAST_FILE_BYTES = 4 << 20  # of a recording: two key frames of a small host, and SQLite's -wal


class SortKey(Struct, frozen=True):
    """A field and its direction; field None is the `unwell` order."""

    field: Field | None = None
    descending: bool = True


def file_name(text: str) -> str:
    """Of a file to write, or - for standard output."""
    if not text or "\0" in text or text.endswith("/"):
        raise argparse.ArgumentTypeError(f"takes a file name, not '{text}'")
    return text


def decimal(text: str) -> float:
    """A number of ASCII digits; NaN for what is none, which no range has."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def seconds(text: str) -> float:
    value = decimal(text)
    if not LEAST_DELAY_S <= value <= MOST_DELAY_S:
        limits = f"{LEAST_DELAY_S:g} to {MOST_DELAY_S:g}"
        raise argparse.ArgumentTypeError(f"takes seconds, {limits}, not '{text}'")
    return value


def duration(text: str) -> float:
    """Seconds of 90s, 15m or 2h."""
    from nettop import times

    try:
        return times.duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def lookback(text: str) -> float:
    """As duration; 0: none."""
    return 0.0 if text == "0" else duration(text)


def file_size(text: str) -> int:
    """Bytes of 64M or 2G."""
    match = re.fullmatch(r"(\d{1,15})([KMGT])B?", text, re.ASCII | re.IGNORECASE)
    n_bytes = int(match[1]) << 10 * (1 + "KMGT".index(match[2].upper())) if match else 0
    if not LEAST_FILE_BYTES <= n_bytes < 1 << 60:
        raise argparse.ArgumentTypeError(
            f"takes a size such as 64M or 2G, at least 4M, not '{text}'"
        )
    return n_bytes


def moment(text: str) -> Moment:
    """A time in a recording."""
    from nettop import times

    try:
        return times.moment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def theme(text: str) -> str:
    if text not in THEMES:
        hint = perhaps(nearest(text, list(THEMES))) or f": one of {', '.join(THEMES)}"
        raise argparse.ArgumentTypeError(f"no theme '{text}'{hint} (--theme help says them)")
    return text


def names(text: str) -> tuple[str, ...]:
    """Names joined by commas."""
    found = tuple(filter(None, (part.strip() for part in text.split(","))))
    if not found:
        raise argparse.ArgumentTypeError("takes names, joined by commas")
    return found


def netns(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("takes a name, a process id or all")
    return text


def rx_method(text: str) -> str:
    from nettop.sources import RX_METHODS

    if text not in RX_METHODS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of: {', '.join(RX_METHODS)}")
    return text


def one_in(text: str) -> int:
    """0: none."""
    if not text.isascii() or not text.isdigit() or int(text[:12]) > MOST_NUMBER:
        raise argparse.ArgumentTypeError(
            f"takes a whole number, 1 to {MOST_NUMBER}, or 0 for none, not '{text}'"
        )
    return int(text)


def at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= MOST_NUMBER:
        raise argparse.ArgumentTypeError(f"takes a whole number, 1 to {MOST_NUMBER}, not '{text}'")
    return int(text)


def percent(text: str) -> float:
    value = decimal(text)
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(
            f"takes a percentage of one CPU, above 0 to 100, not '{text}'"
        )
    return value


def pids(text: str) -> list[int]:
    out = []
    for part in text.split(","):
        if not part.isascii() or not part.isdigit() or not 1 <= int(part[:12]) <= 0x7FFFFFFF:
            raise argparse.ArgumentTypeError(f"takes a process id, not '{text}'")
        out.append(int(part))
    return out


def uids(text: str) -> list[int]:
    from nettop.users import COMMAND_LINE_S, USERS, PendingError

    out = []
    for part in text.split(","):
        if part.isascii() and part.isdigit() and int(part[:12]) <= 0xFFFFFFFF:
            out.append(int(part))
            continue
        try:
            uid = USERS.uid(part)
        except PendingError:
            raise argparse.ArgumentTypeError(
                f"no answer who '{part}' is after {COMMAND_LINE_S:.0f} s: give the number"
            ) from None
        if uid is None:
            raise argparse.ArgumentTypeError(f"no user '{part}' on this host")
        out.append(uid)
    return out


def sort_key(text: str) -> SortKey:
    name, colon, direction = text.partition(":")
    field = None if name.lower() == UNWELL else lookup(name)
    if field is None and name.lower() != UNWELL:
        near = nearest(name, [UNWELL, *(f.id for f in FIELDS.values() if f.sortable)])
        hint = perhaps(near)
        raise argparse.ArgumentTypeError(f"no sort key '{name}'{hint} (-s help lists them)")
    if field is not None and not field.sortable:
        raise argparse.ArgumentTypeError(f"cannot sort by '{name}' (-s help lists the keys)")
    if colon and direction not in ("asc", "desc"):
        raise argparse.ArgumentTypeError(f"'{direction}' is neither asc nor desc")
    descending = field.descending if field is not None else True
    return SortKey(field, direction == "desc" if colon else descending)


def columns(text: str) -> tuple[Field, ...]:
    out: list[Field] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        field = lookup(name)
        if field is None:
            hint = perhaps(nearest(name))
            more = "(--columns help lists them)"
            raise argparse.ArgumentTypeError(f"no column '{name}'{hint} {more}")
        out.append(field)
    if not out:
        raise argparse.ArgumentTypeError("takes names of fields, joined by commas")
    return tuple(dict.fromkeys(out))


def perhaps(names: list[str]) -> str:
    return f": perhaps {' or '.join(names)}?" if names else ""
