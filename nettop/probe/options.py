"""The command lines of probe and reflect."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import NoReturn

from msgspec import Struct

from nettop.errors import UsageError
from nettop.options import AF_INET, AF_INET6, Parser, ascii_wanted, color_wanted
from nettop.optionvalues import decimal, file_name
from nettop.probe.wire import LEAST_BYTES, MOST_BYTES

DEFAULT_INTERVAL_S = 0.2
DEFAULT_BYTES = 128
DEFAULT_TIMEOUT_S = 2.0
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.0005, 3600.0


class ProbeOptions(Struct, frozen=True):
    """The command line of `nettop probe`."""

    proto: str  # tcp or udp
    host: str
    port: int
    count: int | None = None
    interval_s: float = DEFAULT_INTERVAL_S
    size: int = DEFAULT_BYTES
    timeout_s: float = DEFAULT_TIMEOUT_S
    family: int = 0  # AF_INET, AF_INET6, 0 either
    interface: str | None = None
    hardware: bool = False
    as_json: bool = False
    output: str | None = None
    ascii: bool = False
    color: bool = True

    @property
    def target(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.proto} {host}:{self.port}"


class ReflectOptions(Struct, frozen=True):
    """The command line of `nettop reflect`."""

    protos: tuple[str, ...]
    host: str  # empty: the loopback addresses
    port: int
    delay_s: float = 1.0
    reports: int | None = None
    as_json: bool = False
    ascii: bool = False


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        message = message.removeprefix("argument ")
        raise UsageError(f"{self.prog}: {message} (nettop help {self.prog})")


def parse_probe(words: Sequence[str], environ: Mapping[str, str]) -> ProbeOptions:
    """probe tcp|udp HOST:PORT [options].

    Raises:
        UsageError: in one line.
    """
    space = probe_parser().parse_intermixed_args(words)
    host, port = split_target(space.target, "probe")
    if not host:
        raise UsageError(f"probe: {space.target!r} names no host; write HOST:PORT")
    family = {(True, False): AF_INET, (False, True): AF_INET6}.get((space.inet, space.inet6), 0)
    return ProbeOptions(
        space.proto, host, port, space.count,
        DEFAULT_INTERVAL_S if space.interval is None else space.interval,
        space.size, space.timeout, family, space.interface, space.hw, space.json, space.output,
        space.ascii or ascii_wanted(environ), not space.no_color and color_wanted(environ),
    )  # fmt: skip


def probe_parser() -> Parser:
    parser = _Parser(prog="probe", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("proto", choices=("tcp", "udp"))
    add("target", metavar="HOST:PORT")
    add("-c", "--count", type=_count)
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("-i", "--interval", type=_interval)
    pace.add_argument("--rate", type=_rate, dest="interval")
    add("-s", "--size", type=_size, default=DEFAULT_BYTES)
    add("-W", "--timeout", type=_timeout, default=DEFAULT_TIMEOUT_S)
    add("-I", "--interface", type=_interface)
    add("-4", dest="inet", action="store_true")
    add("-6", dest="inet6", action="store_true")
    add("--hw", action="store_true")
    add("--json", action="store_true")
    add("-o", "--output", type=_json_name)
    add("--ascii", action="store_true")
    add("--no-color", action="store_true")
    return parser


def parse_reflect(words: Sequence[str], environ: Mapping[str, str]) -> ReflectOptions:
    """reflect [tcp|udp] [ADDR]:PORT [options].

    Raises:
        UsageError: in one line.
    """
    space = reflect_parser().parse_intermixed_args(words)
    given = list(space.words)
    protos = (given.pop(0),) if given[0] in ("tcp", "udp") else ("tcp", "udp")
    if len(given) != 1:
        raise UsageError("reflect takes [tcp|udp] and one ADDR:PORT")
    host, port = split_target(given[0], "reflect")
    return ReflectOptions(
        protos, host, port, space.delay, space.iterations, space.json,
        space.ascii or ascii_wanted(environ),
    )  # fmt: skip


def reflect_parser() -> Parser:
    parser = _Parser(prog="reflect", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("words", nargs="+", metavar="[tcp|udp] ADDR:PORT")
    add("-d", "--delay", type=_interval, default=1.0)
    add("-n", "--iterations", type=_count)
    add("--json", action="store_true")
    add("--ascii", action="store_true")
    return parser


def split_target(text: str, program: str) -> tuple[str, int]:
    """HOST:PORT, [V6]:PORT or :PORT; no host is the empty string."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{program}: write an IPv6 address in brackets: [{host}]:{port}")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
        raise UsageError(f"{program}: {text!r} is no HOST:PORT (a port is 1 to 65535)")
    return host, int(port)


def _interface(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("takes the name of an interface")
    return text


def _json_name(text: str) -> str:
    if file_name(text) != "-" and not text.lower().endswith(".json"):
        raise argparse.ArgumentTypeError(f"takes a file name that ends in .json, not '{text}'")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= 0xFFFFFFFF:
        raise argparse.ArgumentTypeError(f"takes a whole number, 1 to {0xFFFFFFFF}, not '{text}'")
    return int(text)


def _number(text: str, least: float, most: float, what: str) -> float:
    value = decimal(text)
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"takes {what}, {least:g} to {most:g}, not '{text}'")
    return value


def _interval(text: str) -> float:
    return _number(text, LEAST_INTERVAL_S, MOST_INTERVAL_S, "seconds")


def _rate(text: str) -> float:
    return 1 / _number(text, 1 / MOST_INTERVAL_S, 1 / LEAST_INTERVAL_S, "probes per second")


def _timeout(text: str) -> float:
    return _number(text, 0.01, 60.0, "seconds")


def _size(text: str) -> int:
    return round(_number(text, LEAST_BYTES, MOST_BYTES, "bytes"))
