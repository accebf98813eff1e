"""The command line: argv becomes an Options value, or a UsageError that says how to write it."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from nettop import config
from nettop import optionvalues as take
from nettop.errors import NettopError, UsageError
from nettop.export.formats import MANY_TICKS, SUFFIXES, Format
from nettop.optionparser import Parser as Parser
from nettop.optionparser import takes_value
from nettop.optionvalues import SortKey as SortKey
from nettop.ssargs import take_ss_arguments
from nettop.text.fields import Field, lookup, nearest

if TYPE_CHECKING:
    from nettop.times import Moment

# To add a command: its name here, its options in parse() below, a file in nettop/commands with
# run(options), a line of cli.py that calls it, its synopsis and options in text/usage.py.
COMMANDS = (
    "snapshot", "open", "record", "replay", "watch", "why", "diff", "serve", "probe", "reflect",
    "clocks", "doctor", "stream", "completion", "help", "version",
)  # fmt: skip
_LISTS = (("-s", "sort"), ("--sort", "sort"), ("--columns", "columns"), ("--theme", "themes"))
_OPERATOR = re.compile(r"[<>=!]|(eq|neq?|lt|leq?|gt|geq?)$", re.IGNORECASE)
# So near to a name that it was meant: a word that is not may be one to filter by.
_NEAR = 0.75
AF_INET, AF_INET6 = 2, 10
LOOKBACK_S = 15 * 60.0


def _as_wide(width: int) -> None:
    """No columns of the user's: those that the width has."""


class Options(Struct, frozen=True):
    """All that the command line and the environment say."""

    command: str = "live"  # or one of COMMANDS
    # when to stop and what to write
    delay_s: float = 1.0
    delay_given: bool = False
    iterations: int | None = None
    batch: bool = False
    once: bool = False
    format: Format | None = None  # None: the screen, or a text table without a terminal
    output: str | None = None  # "-" is standard output
    columns: tuple[Field, ...] | None = None
    no_header: bool = False
    sort: SortKey = SortKey()
    # which sockets: handed to the poller
    filter_text: str | None = None  # FILTER as it was written
    pids: tuple[int, ...] = ()
    uids: tuple[int, ...] = ()
    family: int = 0  # AF_INET, AF_INET6, 0 both
    tcp: bool = False  # neither tcp nor udp: the default rows
    udp: bool = False
    listen_only: bool = False
    rows_all: bool = False
    netns: tuple[str, ...] = ()  # names, pids or "all"; none: own
    # BPF planes
    no_bpf: bool = False
    rx_method: str | None = None
    tx_sample: int | None = None
    path: bool = False
    bpf_budget_pct: float = 5.0
    # the screen
    ascii: bool = False
    color: bool = True
    mouse: bool | None = None  # None: where it is not over SSH
    theme: str | None = None
    readonly: bool = False
    keys: tuple[tuple[str, str], ...] = ()  # a key as people write it, and its action or none
    lookback_s: float = LOOKBACK_S  # 0: nothing is kept
    # subcommands
    file: str | None = None  # open, replay
    observe_s: float | None = None  # snapshot --for, clocks -d
    for_s: float | None = None  # record --for
    keep_s: float | None = None  # record --keep
    max_bytes: int | None = None  # record --max-size
    at: Moment | None = None  # replay
    since: Moment | None = None  # replay --from
    until: Moment | None = None  # replay --to
    as_json: bool = False  # doctor, clocks, probe
    clear_tx_flags: bool = False  # doctor
    verbose: bool = False  # doctor
    require: tuple[str, ...] = ()  # doctor: planes
    debug: str | None = None  # a file for notes of what each source did
    names: tuple[str, ...] = ()  # clocks: interfaces and PHCs
    # what the configuration says of the screen
    columns_at: Callable[[int], tuple[Field, ...] | None] = _as_wide
    group: str = "none"
    # names of the options that the command line has
    given: frozenset[str] = frozenset()

    @property
    def ticks(self) -> bool:
        """What is written has place for many ticks."""
        return self.batch or self.format in MANY_TICKS

    @property
    def fixed_filter(self) -> str | None:
        """What -p and -U say, in force whatever FILTER is."""
        parts = [_any_of("pid", self.pids), _any_of("uid", self.uids)]
        return " and ".join(part for part in parts if part) or None

    @property
    def whole_filter(self) -> str | None:
        """FILTER with what -p and -U add to it."""
        extra = self.fixed_filter
        if not extra or not self.filter_text:
            return extra or self.filter_text
        return f"({self.filter_text}) and {extra}"


def _any_of(field: str, numbers: Sequence[int]) -> str:
    if len(numbers) < 2:
        return "".join(f"{field} = {n}" for n in numbers)
    return "(" + " or ".join(f"{field} = {n}" for n in numbers) + ")"


class Help(Struct, frozen=True):
    """The command line asks for a text instead of a run."""

    topic: str  # usage, version, contents, sort, columns, a topic or a command


def parse_args(argv: Sequence[str], environ: Mapping[str, str]) -> Options | Help:
    """Reads the command line.

    Raises:
        UsageError: in one line, with the nearest valid names.
    """
    command = argv[0] if argv and argv[0] in COMMANDS else "live"
    words = list(argv[1:] if command != "live" else argv)
    topic = _help_topic(command, words)
    if topic:
        return Help(topic)
    if command in {"completion", "diff", "probe", "reflect", "serve", "stream", "watch", "why"}:
        return Options(command=command)
    parser = _parser(command)
    if command == "live" and not (argv and argv[0] in parser.option_names):
        _check_command(list(argv))
    space, rest = parse_words(parser, command, words)
    given = frozenset(name for name, v in vars(space).items() if v is not parser.get_default(name))
    return replace(_options(command, space, rest, environ), debug=space.debug, given=given)


def parse_words(
    parser: Parser, command: str, words: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """What the options say, and the words after --, which are none whatever they look like.

    Raises:
        UsageError: in one line.
    """
    words, rest = list(words), []
    if "--" in words:
        at = words.index("--")
        words, rest = words[:at], words[at + 1 :]
    if command == "live":  # ss has no commands
        words = take_ss_arguments(words, takes_value(parser), _flags(parser))
    if command == "replay":
        words = _joined_moments(words)
    space, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        raise _unknown_option(unknown[0], parser, command)
    return space, rest


def _options(
    command: str, space: argparse.Namespace, rest: list[str], environ: Mapping[str, str]
) -> Options:
    if command == "open":
        space.file += rest
        return _open_options(space, environ)
    if command == "replay":
        space.file += rest
        return _replay_options(space, environ)
    if command == "doctor":
        return Options(
            command=command,
            as_json=space.json,
            clear_tx_flags=space.clear_tx_flags,
            verbose=space.verbose,
            require=space.require,
            ascii=ascii_wanted(environ),
        )
    if command == "clocks":
        return Options(
            command=command,
            names=(*space.names, *rest),
            observe_s=space.observe_s,
            as_json=space.json,
            ascii=space.ascii or ascii_wanted(environ),
        )
    _check_misplaced_command(space.filter)
    if command == "live":
        _check_command(space.filter)
    space.filter += rest
    if command == "record":
        return _record_options(space)
    return _poll_options(command, space, environ)


def _joined_moments(words: list[str]) -> list[str]:
    """--at -10m as --at=-10m: argparse takes it for an option."""
    out: list[str] = []
    for word in words:
        if out and out[-1] in ("--at", "--from", "--to") and re.match(r"-\d", word):
            out[-1] += f"={word}"
        else:
            out.append(word)
    return out


def _help_topic(command: str, words: list[str]) -> str | None:
    words = words[: words.index("--")] if "--" in words else words
    if command in ("help", "version"):
        return _asked_topic(command, words)
    if "-h" in words or "--help" in words:
        return "usage" if command == "live" else command
    if "--help-json" in words:
        return "json"
    if "--print-config" in words:
        return "config"
    if command == "live" and ("-V" in words or "--version" in words):
        return "version"
    for option, topic in _LISTS:
        if f"{option}=help" in words or (option == "-s" and "-shelp" in words):
            return topic
        if option in words and words[words.index(option) + 1 :][:1] == ["help"]:
            return topic
    return None


def _asked_topic(command: str, words: list[str]) -> str:
    names = [word for word in words if not word.startswith("-")]
    if command == "version" or not names:
        return "contents" if command == "help" else "version"
    if len(names) > 1:
        raise UsageError("nettop help takes one TOPIC or COMMAND (nettop help lists them)")
    return names[0]


def _parser(command: str) -> Parser:
    parser = Parser(prog="nettop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--debug", type=take.file_name, metavar="FILE")
    if command == "doctor":
        add("--json", action="store_true")
        add("--verbose", action="store_true")
        add("--clear-tx-flags", action="store_true")
        add("--require", type=take.names, default=())
        return parser
    if command == "clocks":
        add("--json", action="store_true")
        add("--ascii", action="store_true")
        add("-d", "--delay", type=take.seconds, dest="observe_s", metavar="SECS")
        add("names", nargs="*")
        return parser
    add("-o", "--output", type=take.file_name)
    add("--columns", type=take.columns)
    add("-s", "--sort", type=take.sort_key, default=SortKey())
    add("--ascii", action="store_true")
    add("--no-color", action="store_true")
    if command == "record":
        return _record_parser(parser)
    if command != "snapshot":
        add("-b", "--batch", action="store_true")
        add("-1", "--once", action="store_true")
        add("--json", action="store_true")
        add("--ndjson", action="store_true")
        add("--csv", action="store_true")
        add("-H", "--no-header", action="store_true")
    if command != "snapshot":
        add("--mouse", action="store_true", default=None)
        add("--no-mouse", action="store_false", dest="mouse", default=None)
        add("--theme", type=take.theme)
        add("--readonly", action="store_true")
    if command == "replay":
        add("--at", type=take.moment)
        add("--from", type=take.moment, dest="since")
        add("--to", type=take.moment, dest="until")
        add("-p", "--pid", type=take.pids, action="extend", default=[])
        add("file", nargs="*")
        return parser
    if command == "live":
        add("--lookback", type=take.lookback, default=LOOKBACK_S, metavar="TIME")
    if command == "open":
        add("file", nargs="*")
        return parser
    if command == "snapshot":
        add("--for", "-d", "--delay", type=take.seconds, dest="observe_s", metavar="SECS")
    else:
        add("-d", "--delay", type=take.seconds, metavar="SECS")
        add("-n", "--iterations", type=take.at_least_one, metavar="N")
    add_sources(parser)
    return parser


def _record_parser(parser: Parser) -> Parser:
    add = parser.add_argument
    add("--ndjson", action="store_true")
    add("-d", "--delay", type=take.seconds, metavar="SECS")
    add("-n", "--iterations", type=take.at_least_one, metavar="N")
    add("--for", type=take.duration, dest="for_s", metavar="DURATION")
    add("--keep", type=take.duration, dest="keep_s", metavar="DURATION")
    add("--max-size", type=take.file_size, dest="max_bytes", metavar="SIZE")
    add_sources(parser)
    return parser


def add_sources(parser: Parser) -> None:
    """Which sockets are polled, and the planes."""
    add = parser.add_argument
    add("-p", "--pid", type=take.pids, action="extend", default=[])
    add("-U", "--user", type=take.uids, action="extend", default=[])
    add("-4", dest="inet", action="store_true")
    add("-6", dest="inet6", action="store_true")
    add("-t", "--tcp", action="store_true")
    add("-u", "--udp", action="store_true")
    add("-l", "--listen", action="store_true")
    add("-a", "--all", action="store_true")
    add("-N", "--netns", type=take.netns, action="append", default=[])
    add("--no-bpf", action="store_true")
    add("--rx-method", type=take.rx_method)
    add("--tx-sample", type=take.one_in)
    add("--path", action="store_true")
    add("--bpf-budget", type=take.percent, default=5.0)
    add("filter", nargs="*")
    wanted = dict(config.in_force().options)
    parser.set_defaults(
        no_bpf=not wanted.pop("bpf", True),
        **{name: value for name, value in wanted.items() if name not in ("ascii", "color")},
    )


def _flags(parser: argparse.ArgumentParser) -> frozenset[str]:
    return frozenset(o for a in parser._actions if a.nargs == 0 for o in a.option_strings)


def _unknown_option(word: str, parser: argparse.ArgumentParser, command: str) -> UsageError:
    known = [o for a in parser._actions for o in a.option_strings if o.startswith("--")]
    name = word.split("=")[0]
    names = [option.removeprefix("--") for option in (*known, "--help", "--version")]
    near = nearest(name[2:], names, cutoff=_NEAR) if name.startswith("--") else []
    hint = f": perhaps {' or '.join(f'--{word}' for word in near)}?" if near else ""
    place = "" if command == "live" else f" of nettop {command}"
    return UsageError(f"no option {name}{place}{hint} (nettop --help lists them)")


def _check_misplaced_command(words: list[str]) -> None:
    if words and words[0] in COMMANDS:
        raise UsageError(f"write the command first: nettop {words[0]} …")


def _check_command(words: list[str]) -> None:
    """Refuses a first word that is nearly a command."""
    word, following = words[0] if words else "", words[1] if len(words) > 1 else ""
    if not word or lookup(word) is not None or _OPERATOR.match(following):
        return
    near = nearest(word, list(COMMANDS), cutoff=_NEAR)
    if near:
        raise UsageError(
            f"no command '{word}': perhaps nettop {near[0]}? (nettop help lists them; to filter "
            f"by this word: nettop -- {word})"
        )


def _open_options(space: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    if len(space.file) != 1:
        raise UsageError("nettop open takes one FILE, a snapshot (.json) or a recording")
    return Options(
        command="open", file=space.file[0], readonly=True, batch=space.batch,
        once=space.once, format=_format(space), output=space.output, columns=space.columns,
        no_header=space.no_header, sort=space.sort, theme=space.theme, mouse=space.mouse,
        ascii=space.ascii or ascii_wanted(environ),
        color=not space.no_color and color_wanted(environ),
    )  # fmt: skip


def _record_options(space: argparse.Namespace) -> Options:
    if space.output is not None and Path(space.output).suffix.lower() in SUFFIXES:
        raise UsageError(
            f"-o {space.output}: a recording is no {Path(space.output).suffix} file; "
            "name it something.nettop, or write nettop --ndjson -o FILE"
        )
    if space.output == "-":
        raise UsageError("a recording is a file, not standard output: -o FILE")
    return Options(
        command="record",
        delay_s=1.0 if space.delay is None else space.delay,
        delay_given=True,
        iterations=space.iterations,
        format=Format.NDJSON if space.ndjson else None,
        for_s=space.for_s,
        keep_s=space.keep_s,
        max_bytes=space.max_bytes,
        **source_options(space),
        output=space.output,
    )


def _replay_options(space: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    if not space.file:
        raise UsageError("nettop replay takes a FILE that nettop record wrote")
    if space.at is not None and (space.since is not None or space.until is not None):
        raise UsageError("--at is one tick, --from and --to a range: choose one")
    return Options(
        command="replay", file=space.file[0],
        filter_text=" ".join(space.file[1:]).strip() or None, pids=tuple(space.pid),
        batch=space.batch, once=space.once, format=_format(space), output=space.output,
        columns=space.columns, no_header=space.no_header, sort=space.sort, at=space.at,
        since=space.since, until=space.until, theme=space.theme, mouse=space.mouse,
        readonly=space.readonly, ascii=space.ascii or ascii_wanted(environ),
        color=not space.no_color and color_wanted(environ),
    )  # fmt: skip


def source_options(space: argparse.Namespace) -> dict[str, Any]:
    """Which sockets are polled, and the planes."""
    family = {(True, False): AF_INET, (False, True): AF_INET6}.get((space.inet, space.inet6), 0)
    return {
        "filter_text": " ".join(space.filter).strip() or None,
        "pids": tuple(space.pid),
        "uids": tuple(space.user),
        "family": family,
        "tcp": space.tcp,
        "udp": space.udp,
        "listen_only": space.listen,
        "rows_all": space.all,
        "netns": tuple(dict.fromkeys(space.netns)),
        "no_bpf": space.no_bpf,
        "rx_method": space.rx_method,
        "tx_sample": space.tx_sample,
        "path": space.path,
        "bpf_budget_pct": space.bpf_budget,
    }


def _poll_options(command: str, space: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    snapshot = command == "snapshot"
    delay = None if snapshot else space.delay
    iterations = None if snapshot else space.iterations
    once = snapshot or space.once or space.json
    if not snapshot and space.json and iterations not in (None, 1):
        raise UsageError("--json is one object; write --ndjson for one per tick")
    if not snapshot and space.once and iterations not in (None, 1):
        raise UsageError("--once stops after one tick; leave out -n, or --once")
    return Options(
        command=command,
        delay_s=1.0 if delay is None else delay,
        delay_given=delay is not None,
        iterations=iterations,
        batch=not snapshot and space.batch,
        once=once,
        format=_suffix_format(space.output) if snapshot else _format(space),
        output=space.output,
        columns=space.columns,
        no_header=not snapshot and space.no_header,
        sort=space.sort,
        **source_options(space),
        ascii=space.ascii or ascii_wanted(environ),
        color=not space.no_color and color_wanted(environ),
        mouse=None if snapshot else space.mouse,
        theme=None if snapshot else space.theme,
        readonly=not snapshot and space.readonly,
        lookback_s=LOOKBACK_S if snapshot else space.lookback,
        observe_s=space.observe_s if snapshot else None,
    )


def _format(space: argparse.Namespace) -> Format | None:
    given = [f for f in (Format.JSON, Format.NDJSON, Format.CSV) if getattr(space, f.value)]
    found = _format_of(space, given)
    if space.no_header and found not in (None, Format.TEXT, Format.CSV):
        raise UsageError(f"-H is for tables and CSV: {found.value} has no titles")
    return Format.TEXT if space.no_header and found is None else found


def _format_of(space: argparse.Namespace, given: list[Format]) -> Format | None:
    if len(given) > 1:
        names = " and ".join(f"--{f.value}" for f in given)
        raise UsageError(f"{names} exclude each other: choose one")
    if given and space.batch:
        raise UsageError(f"--batch is the text table; leave it out beside --{given[0].value}")
    if given:
        return given[0]
    if space.output not in (None, "-") and not space.batch:
        return _suffix_format(space.output)
    return Format.TEXT if space.batch or space.output else None


def _suffix_format(output: str | None) -> Format:
    if output in (None, "-"):
        return Format.JSON
    assert output is not None
    suffix = Path(output).suffix.lower()
    found = SUFFIXES.get(suffix)
    if found is None:
        known, hint = ", ".join(SUFFIXES), take.perhaps(nearest(suffix, list(SUFFIXES)))
        raise UsageError(f"-o {output}: the file's ending says what to write: one of {known}{hint}")
    check_format(found)
    return found


def check_format(form: Format) -> None:
    """
    Raises:
        NettopError: what writes it is not installed.
    """
    if form is Format.PARQUET and find_spec("pyarrow") is None:
        raise NettopError(
            "a .parquet file needs pyarrow, which is not installed where nettop is: "
            f"{sys.executable or 'python3'} -m pip install pyarrow"
        )


def color_wanted(environ: Mapping[str, str]) -> bool:
    """False when NO_COLOR holds anything at all; set but empty means nothing (no-color.org)."""
    return not environ.get("NO_COLOR") and config.in_force().options.get("color", True)


def ascii_wanted(environ: Mapping[str, str]) -> bool:
    """True when the locale that the user set is not UTF-8, or the configuration wants it."""
    if config.in_force().options.get("ascii"):
        return True
    name = ""
    for variable in ("LC_ALL", "LC_CTYPE", "LANG"):
        name = environ.get(variable, "")
        if name:
            break
    return not name.lower().replace("-", "").endswith("utf8")


def user_environ() -> dict[str, str]:
    """The environment as the shell gave it: Python may have coerced LC_CTYPE since."""
    environ = dict(os.environ)
    if environ.get("LC_CTYPE", "").startswith("C.") and not environ.get("LC_ALL"):
        try:
            given = Path("/proc/self/environ").read_bytes()
        except OSError:
            return environ
        if b"LC_CTYPE=" not in given:
            del environ["LC_CTYPE"]
    return environ


def has_terminal(environ: Mapping[str, str]) -> bool:
    """Whether a screen can be shown: both ends are a terminal that is not dumb."""
    if environ.get("TERM", "") in ("", "dumb"):
        return False
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):  # closed
        return False
