"""The command line of nettop stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from nettop import options as base
from nettop import optionvalues as take
from nettop.options import Options


class StreamOptions(Struct, frozen=True):
    """The command line of `nettop stream`."""

    poll: Options
    top: int | None = None  # rows that are sent; None: all that match
    control: bool = False  # settings come on standard input, and its end is the end


def parse_stream(words: Sequence[str], environ: Mapping[str, str]) -> StreamOptions:
    """stream [options] [FILTER ...]

    Raises:
        UsageError: in one line.
    """
    parser = stream_parser()
    space, rest = base.parse_words(parser, "stream", words)
    space.filter += rest
    poll = Options(
        command="stream",
        delay_s=1.0 if space.delay is None else space.delay,
        delay_given=True,
        iterations=space.iterations,
        sort=space.sort,
        debug=space.debug,
        **base.source_options(space),
    )
    return StreamOptions(poll, space.top, space.control)


def stream_parser() -> base.Parser:
    parser = base.Parser(prog="nettop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--debug", type=take.file_name)
    add("-d", "--delay", type=take.seconds)
    add("-n", "--iterations", type=take.at_least_one)
    add("-s", "--sort", type=take.sort_key, default=take.SortKey())
    add("--top", type=take.at_least_one)
    add("--control", action="store_true")
    base.add_sources(parser)
    return parser
