"""The one registry of settings: tables, names, values, meanings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from nettop import optionvalues as take
from nettop.errors import UsageError
from nettop.feed import Grouping
from nettop.text.fields import lookup
from nettop.text.limits import DEFAULTS, FRACTIONS
from nettop.text.themes import THEMES

_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
GROUPS = tuple(g.name.lower() for g in Grouping if g is not Grouping.HOST)
_MOST = 1e9
_LARGEST_BITS = 64  # TOML has larger integers, which no float holds


class Setting(Struct, frozen=True):
    """One line of [options] or [screen]; `NETTOP_NAME` in the environment is the same."""

    table: str
    name: str
    default: str  # as a file has it
    help: str
    read: Callable[[str], Any]  # ValueError or argparse's says what is wrong

    @property
    def variable(self) -> str:
        return f"NETTOP_{self.name.upper()}"


def switch(text: str) -> bool:
    if text.lower() in (*_ON, *_OFF):
        return text.lower() in _ON
    raise ValueError(f"takes true or false, not '{text}'")


def group(text: str) -> str:
    if text.lower() in GROUPS:
        return text.lower()
    raise ValueError(f"is one of {', '.join(GROUPS)}, not '{text}'")


def theme(text: str) -> str:
    if text in THEMES:
        return text
    raise ValueError(f"is one of {', '.join(THEMES)}, not '{text}'")


def filter_text(text: str) -> str:
    from nettop.query import FilterError, compile_filter

    try:
        compile_filter(text)
    except FilterError as error:
        raise ValueError(f"is no filter: {error}") from None
    return text


_SETTINGS = (
    Setting("options", "ascii", "false", "no character beyond ASCII", switch),
    Setting("options", "color", "true", "false: as --no-color", switch),
    Setting("options", "bpf", "true", "false: as --no-bpf", switch),
    Setting("options", "bpf_budget", "5.0", "percent of one CPU, as --bpf-budget", take.percent),
    Setting("options", "rx_method", '"exact"', "as --rx-method", take.rx_method),
    Setting("options", "tx_sample", "1", "as --tx-sample; 0 stamps none by itself",
            take.one_in),
    Setting("options", "path", "false", "as --path", switch),
    Setting("screen", "delay", "1.0", "seconds between two ticks, as -d", take.seconds),
    Setting("screen", "sort", '"unwell"', "as -s", take.sort_key),
    Setting("screen", "group", '"none"', f"by {' '.join(GROUPS)}", group),
    Setting("screen", "filter", '""', "a filter in force where the command line has none",
            filter_text),
    Setting("screen", "theme", '"terminal"', f"as --theme: {', '.join(THEMES)}", theme),
    Setting("screen", "mouse", "true", "false: as --no-mouse", switch),
    Setting("screen", "readonly", "false", "as --readonly", switch),
    Setting("screen", "lookback", '"15m"', "how much is kept to look back on, as --lookback",
            take.lookback),
)  # fmt: skip
SETTINGS = {(s.table, s.name): s for s in _SETTINGS}
TABLES: Mapping[str, str] = {
    "options": "Of every command that looks at sockets.",
    "screen": "Of the live screen alone: what a script reads is as it is without this file.",
    "columns": "By the least width of the terminal in cells; names as --columns has them.",
    "thresholds": "Of verdicts: where watch begins, and unwell. nettop help verdicts says them.",
    "keys": "A key and the action that it is to have, or none; nettop help keys lists them.",
    "peers": "Names of networks, for filters: nettop backends, nettop 'dst backends'.",
}


def setting(table: str, name: str, value: object) -> Any:
    """The value of a line of [options] or [screen].

    Raises:
        ValueError: what it takes.
    """
    if not isinstance(value, str | int | float | bool):
        raise ValueError("takes one value")
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        raise ValueError("takes no number of that size")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return SETTINGS[table, name].read(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(str(error)) from None


def columns(name: str, value: object) -> tuple[int, Any]:
    """A width and its columns.

    Raises:
        ValueError: what it takes.
    """
    if not (name.isascii() and name.isdigit() and len(name) <= 5 and int(name) <= 10_000):
        raise ValueError('is no width of a terminal: write 120 = "proc remote srtt who why"')
    if not isinstance(value, str):
        raise ValueError('takes names of fields: "proc remote srtt who why"')
    try:
        return int(name), take.columns(value.replace(" ", ","))
    except argparse.ArgumentTypeError as error:
        raise ValueError(str(error)) from None


def threshold(name: str, value: object) -> tuple[float, ...]:
    """One number, or where watch and where unwell begin.

    Raises:
        ValueError: what it takes.
    """
    count = len(DEFAULTS[name])
    given = value if isinstance(value, list) else [value]
    numbers = [n for n in given if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(given) != count or len(numbers) != count:
        raise ValueError("takes [watch, unwell], two numbers" if count == 2 else "takes a number")
    most = 100 if name.endswith("_pct") else _MOST
    for number in numbers:
        if not 0 <= number <= most:  # nor nan
            large = isinstance(number, int) and number.bit_length() > _LARGEST_BITS
            raise ValueError(f"takes 0 to {most:g}" + ("" if large else f", not {number:g}"))
        if name not in FRACTIONS and number != int(number):
            raise ValueError(f"takes whole numbers, not {number:g}")
    if count == 2 and numbers[0] > numbers[1]:
        raise ValueError(f"watch begins at {numbers[0]:g}, above unwell at {numbers[1]:g}")
    # The helper's whole numbers take no others.
    return tuple(float(n) if name in FRACTIONS else int(n) for n in numbers)


def peers(name: str, value: object) -> tuple[Any, ...]:
    """Networks.

    Raises:
        ValueError: what it takes.
    """
    from nettop.query.plain import networks
    from nettop.query.values import ValueMistake

    if lookup(name) is not None:
        raise ValueError("is the name of a field: take another")
    given = value if isinstance(value, list) else [value]
    texts = [text for text in given if isinstance(text, str)]
    if not texts or len(texts) != len(given):
        raise ValueError('takes addresses: ["10.0.4.0/24", "10.0.5.7"]')
    try:
        return networks(texts)
    except (ValueMistake, UsageError) as error:
        raise ValueError(str(error)) from None
