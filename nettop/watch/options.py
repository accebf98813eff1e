"""The command line of watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from nettop import options as base
from nettop import optionvalues as take
from nettop.errors import UsageError
from nettop.export.formats import SUFFIXES, Format
from nettop.options import Options

RECORDING = ".nettop"


class WatchOptions(Struct, frozen=True):
    """The command line of `nettop watch`."""

    poll: Options  # what is polled; its filter is the condition
    for_s: float = 0.0
    within_s: float | None = None  # None: until it holds
    any_socket: bool = False
    then: str | None = None

    @property
    def records(self) -> bool:
        """-o names a recording."""
        return self.poll.output is not None and self.poll.output.lower().endswith(RECORDING)


def parse_watch(words: Sequence[str], environ: Mapping[str, str]) -> WatchOptions:
    """watch EXPR [options].

    Raises:
        UsageError: in one line.
    """
    space, rest = base.parse_words(watch_parser(), "watch", words)
    space.filter += rest
    delay_s = 1.0 if space.delay is None else space.delay
    poll = Options(
        command="watch",
        delay_s=delay_s,
        delay_given=True,
        format=_format(space.output),
        output=space.output,
        ascii=space.ascii or base.ascii_wanted(environ),
        debug=space.debug,
        **base.source_options(space),
    )
    if poll.filter_text is None:
        raise UsageError("watch needs a condition: nettop watch 'level >= unwell' --for 10s")
    options = WatchOptions(poll, space.for_s or 0.0, space.within_s, space.any, space.then)
    if options.within_s is not None and options.within_s < options.for_s + delay_s:
        least = f"{options.for_s + delay_s:g}s"
        raise UsageError(
            f"--within {options.within_s:g}s is too short: the first interval takes -d "
            f"{delay_s:g}s, and --for {options.for_s:g}s comes after it: at least {least}"
        )
    return options


def watch_parser() -> base.Parser:
    parser = base.Parser(prog="nettop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--debug", type=take.file_name)
    add("-o", "--output", type=take.file_name)
    add("-d", "--delay", type=take.seconds)
    add("--for", type=take.duration, dest="for_s")
    add("--within", type=take.duration, dest="within_s")
    add("--any", action="store_true")
    add("--then", metavar="CMD")
    add("--ascii", action="store_true")
    base.add_sources(parser)
    return parser


def _format(output: str | None) -> Format:
    """Of the snapshot; a recording has room for all formats."""
    if output is None:
        return Format.JSON
    suffix = Path(output).suffix.lower()
    if output == "-" or (suffix != RECORDING and suffix not in SUFFIXES):
        known = ", ".join((*(s for s in SUFFIXES), RECORDING))
        raise UsageError(f"-o {output}: the file's ending says what to write: one of {known}")
    form = SUFFIXES.get(suffix, Format.JSON)
    base.check_format(form)
    return form
