"""Every option with a number, of every command: what it does not take is said in one line."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop import options
from nettop import optionvalues as take
from nettop.cli import main
from nettop.commands.why_options import why_parser
from nettop.compare import options as comparing
from nettop.compare.options import diff_parser
from nettop.hosts.options import stream_parser
from nettop.probe import options as probing
from nettop.serve import options as serving
from nettop.serve.options import serve_parser
from nettop.watch.options import watch_parser

# Each command with the words that it needs beside the option.
PARSERS: dict[str, tuple[Callable[[], options.Parser], list[str]]] = {
    "live": (lambda: options._parser("live"), ["-1", "--no-bpf"]),
    "snapshot": (lambda: options._parser("snapshot"), ["snapshot", "-o", "/nowhere/x.json"]),
    "record": (lambda: options._parser("record"), ["record", "-o", "/nowhere/x.nettop"]),
    "replay": (lambda: options._parser("replay"), ["replay", "/nowhere/x.nettop"]),
    "open": (lambda: options._parser("open"), ["open", "/nowhere/x.nettop"]),
    "clocks": (lambda: options._parser("clocks"), ["clocks"]),
    "doctor": (lambda: options._parser("doctor"), ["doctor"]),
    "watch": (watch_parser, ["watch", "srtt > 1s"]),
    "why": (why_parser, ["why", "--no-bpf"]),
    "serve": (serve_parser, ["serve", "--no-bpf"]),
    "stream": (stream_parser, ["stream"]),
    "probe": (probing.probe_parser, ["probe", "udp", "127.0.0.1:9"]),
    "reflect": (probing.reflect_parser, ["reflect", "127.0.0.1:9"]),
    "diff": (lambda: diff_parser(files=False), ["diff", "-H", "a,b"]),
}
# What is no number, though it may be written in digits: names, files, lists of words.
WORDS = (
    take.file_name, take.columns, take.sort_key, take.theme, take.names, take.netns,
    take.rx_method, take.uids, serving._by, comparing._grouping, probing._interface,
    probing._json_name,
)  # fmt: skip
ZERO = (take.lookback, take.one_in)  # that take 0
BAD = ("0", "-1", "-0.5", "99999999999999999999", "nan", "inf", "1e999", "", " ", "1_0")


def numeric() -> list[tuple[str, tuple[str, ...], object]]:
    """(command, spellings of an option, what reads its value)"""
    return [
        (command, tuple(action.option_strings), action.type)
        for command, (make, _) in PARSERS.items()
        for action in make()._actions
        if action.option_strings and action.nargs is None and action.type not in (None, *WORDS)
    ]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The line on standard error, where that is all."""
    assert main(words) == 2, words
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(r"nettop: [^\n]*\n", said.err), said.err
    return said.err


@pytest.mark.parametrize(
    ("command", "spellings", "kind"), numeric(), ids=lambda v: v[-1] if type(v) is tuple else None
)
def test_what_it_does_not_take_is_said_in_one_line(
    command: str, spellings: tuple[str, ...], kind: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in BAD:
        if (value == "0" and kind in ZERO) or (value[:1] == "-" and kind is take.moment):
            continue
        for option in spellings:
            said = [refused([*PARSERS[command][1], option, value], capsys)]
            if option.startswith("--"):
                said.append(refused([*PARSERS[command][1], f"{option}={value}"], capsys))
            elif value[:1] in ("0", "-", "9"):  # a letter after a letter is one more option
                said.append(refused([*PARSERS[command][1], f"{option}{value}"], capsys))
            if PARSERS[command][0]().hints(option, value):
                assert "needs a value" in said.pop(0)
            for line in said:
                assert "takes " in line
                assert option in line.replace("/", " ").replace(":", " ").split()
                assert line.split(" (nettop help")[0].rstrip("\n").endswith(f"not '{value}'")


def test_the_table_is_whole() -> None:
    found = numeric()
    assert {command for command, _, _ in found} == set(PARSERS) - {"open", "doctor"}
    assert ("live", ("--tx-sample",), take.one_in) in found
    assert ("probe", ("--rate",), probing._rate) in found
