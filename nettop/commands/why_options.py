"""The command line of why."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from nettop import options as base
from nettop import optionvalues as take
from nettop.errors import UsageError
from nettop.options import Options
from nettop.query.plain import PATHS
from nettop.store.recording import is_recording
from nettop.stretches import Stretch, stretch_of

DEFAULT_FOR_S = 10.0
LEAST_FOR_S = 1.0  # verdicts must hold in two intervals
_FILES = (".nettop", ".json")
_OUTPUTS = (".html", ".json", ".txt")
_LIVE_ONLY = ("for_s", "netns", "pid", "user", "inet", "inet6", "tcp", "udp", "listen", "all",
              "no_bpf", "rx_method", "tx_sample", "path")  # fmt: skip


class WhyOptions(Struct, frozen=True):
    """The command line of `nettop why`."""

    poll: Options  # what is polled, and the filter; of a file the filter alone
    stretch: Stretch | None = None  # of a recording, or a snapshot; None: this host, now
    for_s: float = DEFAULT_FOR_S
    as_json: bool = False
    output: str | None = None

    @property
    def kind(self) -> str:
        """What is written: html, json or txt."""
        if self.output in (None, "-"):
            return "json" if self.as_json else "txt"
        assert self.output is not None
        return Path(self.output).suffix.lower().removeprefix(".")


def parse_why(words: Sequence[str], environ: Mapping[str, str]) -> WhyOptions:
    """why [FILE[@FROM..TO]] [FILTER] [options].

    Raises:
        UsageError: in one line.
    """
    space, rest = base.parse_words(why_parser(), "why", list(words))
    space.filter += rest
    stretch = None
    if space.filter and _names_file(space.filter[0]):
        stretch = stretch_of(space.filter.pop(0))
        given = next((name for name in _LIVE_ONLY if getattr(space, name)), None)
        if given is not None:
            raise UsageError(
                f"--{given.removesuffix('_s').replace('_', '-')} is for a look at this host, "
                f"and {stretch.file} is a file: leave it out, or write a FILTER"
            )
        if Path(stretch.file).suffix.lower() == ".json" and not stretch.whole:
            raise UsageError(f"{stretch.file}: a snapshot is one moment; leave out what follows @")
    _check_first(space.filter)
    for_s = DEFAULT_FOR_S if space.for_s is None else space.for_s
    if for_s < LEAST_FOR_S:
        raise UsageError(f"--for {for_s:g}s is too short: verdicts need {LEAST_FOR_S:g}s at least")
    poll = Options(
        command="why",
        delay_s=for_s / max(2, round(for_s)),
        delay_given=True,
        ascii=space.ascii or base.ascii_wanted(environ),
        debug=space.debug,
        **base.source_options(space),
    )
    options = WhyOptions(poll, stretch, for_s, space.json, space.output)
    _check_output(options)
    return replace(options, as_json=options.kind == "json")


def _check_first(words: Sequence[str]) -> None:
    """Refuses a first word that was meant for a file."""
    first = words[0] if words else ""
    if first and Path(first).is_file():
        raise UsageError(f"{first}: neither a recording nor a snapshot of nettop")
    if first.startswith(PATHS):
        exists = os.path.lexists(first)
        raise UsageError(
            f"{first}: {'is not a regular file' if exists else os.strerror(errno.ENOENT)}"
        )


def _check_output(options: WhyOptions) -> None:
    if options.output in (None, "-"):
        return
    if f".{options.kind}" not in _OUTPUTS:
        raise UsageError(
            f"-o {options.output}: the file's ending says what to write: one of "
            f"{', '.join(_OUTPUTS)}"
        )
    if options.as_json and options.kind != "json":
        raise UsageError(f"--json and -o {options.output} exclude each other: name it .json")


def why_parser() -> base.Parser:
    parser = base.Parser(prog="nettop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--debug", type=take.file_name, metavar="FILE")
    add("-o", "--output", type=take.file_name)
    add("--for", type=take.duration, dest="for_s", metavar="TIME")
    add("--json", action="store_true")
    add("--ascii", action="store_true")
    base.add_sources(parser)
    return parser


def _names_file(word: str) -> bool:
    """A recording or a snapshot, by its ending or by what it is; else a filter begins."""
    file = stretch_of(word).file if "@" in word and ".." not in word.split("@")[0] else word
    path = Path(file)
    return path.suffix.lower() in _FILES or (path.is_file() and is_recording(path))
