"""The command line of nettop serve."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from msgspec import Struct

from nettop import options as base
from nettop import optionvalues as take
from nettop.errors import UsageError
from nettop.metrics.groupings import DEFAULT_BY, GROUPINGS
from nettop.options import Options
from nettop.text.fields import nearest

PORT = 9478
LOOPBACK = "127.0.0.1"
DEFAULT_TOP, DEFAULT_SERIES_MAX, DEFAULT_EXPIRE_S = 100, 10_000, 600.0
LEAST_SERIES, MOST_SERIES = 1_000, 1_000_000
_LIKE_ADDRESS = re.compile(r"\[.*|localhost(:.*)?|[\w.-]+:[^=<>!()]*")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[0-9.]+|localhost|):(\d{1,6})", re.ASCII)
# Without a filter of the user's: TIME_WAIT and half open ones are left out, they count nothing.
_STATES = (
    "established", "syn-sent", "fin-wait-1", "fin-wait-2", "close-wait", "last-ack", "closing",
    "listening",
)  # fmt: skip
ALL_SOCKETS = "udp or " + " or ".join(f"state {name}" for name in _STATES)


class ServeOptions(Struct, frozen=True):
    """The command line of `nettop serve`."""

    poll: Options
    address: tuple[str, int] = (LOOPBACK, PORT)
    by: tuple[str, ...] = DEFAULT_BY  # of GROUPINGS
    top: int = DEFAULT_TOP
    series_max: int = DEFAULT_SERIES_MAX
    expire_s: float = DEFAULT_EXPIRE_S
    whole: bool = True  # no filter of the user's


def parse_serve(words: Sequence[str], environ: Mapping[str, str]) -> ServeOptions:
    """serve [ADDR:PORT] [options] [FILTER].

    Raises:
        UsageError: in one line.
    """
    space, rest = base.parse_words(serve_parser(), "serve", words)
    space.filter += rest
    address = (LOOPBACK, PORT)
    if space.filter and _ADDRESS.fullmatch(space.filter[0]):
        address = _address(space.filter.pop(0))
    elif space.filter and _means_address(space.filter[0]):
        raise UsageError(
            f"{space.filter[0]} is no address and port to listen on, such as 127.0.0.1:{PORT} or "
            f"[::]:{PORT}; as a filter say host = ADDRESS or port = :PORT"
        )
    source = base.source_options(space)
    chosen = source["filter_text"] is not None or any(
        source[name] for name in ("pids", "uids", "family", "tcp", "udp", "listen_only")
    )
    if source["filter_text"] is None:
        source["filter_text"] = ALL_SOCKETS
    poll = Options(
        command="serve",
        delay_s=1.0 if space.delay is None else space.delay,
        delay_given=True,
        debug=space.debug,
        **source,
    )
    return ServeOptions(
        poll, address, space.by, space.top, space.series_max, space.expire, not chosen
    )


def _means_address(word: str) -> bool:
    """It is rarely meant as a filter, and often to be listened on."""
    if _LIKE_ADDRESS.fullmatch(word):
        return True
    try:
        ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True


def serve_parser() -> base.Parser:
    parser = base.Parser(prog="nettop", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--debug", type=take.file_name)
    add("-d", "--delay", type=take.seconds)
    add("--by", type=_by, default=DEFAULT_BY, metavar="LIST")
    add("--top", type=take.at_least_one, default=DEFAULT_TOP, metavar="N")
    add("--series-max", type=_series, default=DEFAULT_SERIES_MAX, metavar="N")
    add("--expire", type=take.duration, default=DEFAULT_EXPIRE_S, metavar="TIME")
    base.add_sources(parser)
    return parser


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    assert match is not None
    host, port = match[1].strip("[]"), int(match[2])
    if host in ("", "localhost"):
        host = LOOPBACK
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        raise UsageError(
            f"{text}: takes an address of this host, such as 127.0.0.1:{PORT} or [::]:{PORT}"
        ) from None
    if port > 65535:
        raise UsageError(f"{text}: a port is 0 to 65535 (0: any that is free)")
    return host, port


def _by(text: str) -> tuple[str, ...]:
    names = take.names(text)
    for name in names:
        if name not in GROUPINGS:
            hint = take.perhaps(nearest(name, list(GROUPINGS)))
            raise argparse.ArgumentTypeError(
                f"takes some of {', '.join(GROUPINGS)}, joined by commas, not '{name}'{hint}"
            )
    return tuple(dict.fromkeys(names))


def _series(text: str) -> int:
    number = take.at_least_one(text)
    if not LEAST_SERIES <= number <= MOST_SERIES:
        raise argparse.ArgumentTypeError(f"takes {LEAST_SERIES} to {MOST_SERIES}, not '{text}'")
    return number
