"""The command line of nettop diff."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from nettop.compare.expression import Fail, parse
from nettop.errors import UsageError
from nettop.feed import Grouping
from nettop.options import ascii_wanted
from nettop.optionvalues import perhaps
from nettop.stretches import Stretch, stretch_of
from nettop.text.fields import nearest

# A process is its program and the port of its service; a snapshot or recording is of one host.
_NOT = (Grouping.NONE, Grouping.PROGRAM, Grouping.HOST)
GROUPINGS = {g.name.lower(): g for g in Grouping if g not in _NOT} | {"all": Grouping.NONE}


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """The command line of `nettop diff`."""

    a: Stretch
    b: Stretch
    grouping: Grouping = Grouping.PROCESS
    fails: tuple[Fail, ...] = ()
    filter_text: str | None = None
    as_json: bool = False
    ascii: bool = False

    @property
    def by(self) -> str:
        return next(name for name, g in GROUPINGS.items() if g is self.grouping)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument (\S+): expected one argument$", r"\1 needs a value", message)
        raise UsageError(f"diff: {message.removeprefix('argument ')} (nettop help diff)")


def parse_diff(words: Sequence[str], environ: Mapping[str, str]) -> DiffOptions:
    """diff A B [options] [FILTER].

    Raises:
        UsageError: in one line.
    """
    space = diff_parser().parse_intermixed_args(words)
    if len(space.words) < 2:
        raise UsageError(
            "diff takes two files, A and B: snapshots, or recordings (nettop help diff)"
        )
    a, b, *rest = space.words
    filter_text = " ".join(rest).strip() or None
    if filter_text is not None:
        _check_filter(filter_text)
    return DiffOptions(
        stretch_of(a), stretch_of(b), space.by, tuple(parse(text) for text in space.fail),
        filter_text, space.json, space.ascii or ascii_wanted(environ),
    )  # fmt: skip


def diff_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="diff", add_help=False, allow_abbrev=False)
    parser.add_argument("--by", type=_grouping, default=Grouping.PROCESS)
    parser.add_argument("--fail", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("words", nargs="*")
    return parser


def _check_filter(text: str) -> None:
    from nettop.query import FilterError, compile_filter

    try:
        compile_filter(text)
    except FilterError as error:
        raise error.with_caret() from error


def _grouping(text: str) -> Grouping:
    found = GROUPINGS.get(text)
    if found is None:
        hint = perhaps(nearest(text, list(GROUPINGS)))
        raise argparse.ArgumentTypeError(f"takes {', '.join(GROUPINGS)}, not '{text}'{hint}")
    return found
