"""The command line of nettop diff."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from msgspec import Struct

from nettop.compare.expression import Fail, parse
from nettop.errors import UsageError
from nettop.feed import Grouping
from nettop.options import Options, Parser, add_sources, ascii_wanted, source_options
from nettop.optionvalues import duration, perhaps
from nettop.stretches import Stretch, stretch_of
from nettop.text.fields import nearest

# A process is its program and the port of its service; a snapshot or recording is of one host.
_NOT = (Grouping.NONE, Grouping.PROGRAM, Grouping.HOST, Grouping.PORT, Grouping.REMOTE_PORT)
GROUPINGS = {g.name.lower(): g for g in Grouping if g not in _NOT} | {"all": Grouping.NONE}

DEFAULT_FOR_S = 10.0
LEAST_FOR_S = 2.0


class HowOptions(Struct, frozen=True):
    """What `nettop diff` does with two sides, whatever they are."""

    grouping: Grouping = Grouping.PROCESS
    fails: tuple[Fail, ...] = ()
    filter_text: str | None = None
    as_json: bool = False
    ascii: bool = False

    @property
    def by(self) -> str:
        return next(name for name, g in GROUPINGS.items() if g is self.grouping)


class DiffOptions(HowOptions, frozen=True, kw_only=True):
    """The command line of `nettop diff A B`."""

    a: Stretch
    b: Stretch


class LiveDiffOptions(HowOptions, frozen=True, kw_only=True):
    """The command line of `nettop diff -H A,B`."""

    poll: Options  # what is polled there, and the filter
    for_s: float = DEFAULT_FOR_S


class _Parser(Parser):
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
        a=stretch_of(a), b=stretch_of(b), grouping=space.by,
        fails=tuple(parse(text) for text in space.fail), filter_text=filter_text,
        as_json=space.json, ascii=space.ascii or ascii_wanted(environ),
    )  # fmt: skip


def parse_diff_hosts(words: Sequence[str], environ: Mapping[str, str]) -> LiveDiffOptions:
    """diff [options] [FILTER], of two hosts that -H names.

    Raises:
        UsageError: in one line.
    """
    parser = diff_parser(files=False)
    add_sources(parser)
    space = parser.parse_intermixed_args(words)
    if space.for_s < LEAST_FOR_S:
        raise UsageError(f"--for {space.for_s:g}s is too short: at least {LEAST_FOR_S:g}s")
    poll = Options(command="diff", delay_given=True, **source_options(space))
    return LiveDiffOptions(
        poll=poll, for_s=space.for_s, grouping=space.by,
        fails=tuple(parse(text) for text in space.fail), filter_text=poll.whole_filter,
        as_json=space.json, ascii=space.ascii or ascii_wanted(environ),
    )  # fmt: skip


def diff_parser(*, files: bool = True) -> Parser:
    parser = _Parser(prog="diff", add_help=False, allow_abbrev=False)
    parser.add_argument("--by", type=_grouping, default=Grouping.PROCESS)
    parser.add_argument("--fail", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--ascii", action="store_true")
    if files:
        parser.add_argument("words", nargs="*")
    else:
        parser.add_argument("--for", type=duration, dest="for_s", default=DEFAULT_FOR_S)
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
