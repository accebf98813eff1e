"""The command line as values: environment, short clusters, filters put together."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from nettop.errors import UsageError
from nettop.export.formats import Format
from nettop.options import Help, Options, SortKey, parse_args
from nettop.text.fields import FIELDS

UTF8 = {"LANG": "en_GB.UTF-8"}


def options(line: str, environ: dict[str, str] | None = None) -> Options:
    parsed = parse_args(line.split(), UTF8 if environ is None else environ)
    assert isinstance(parsed, Options)
    return parsed


def test_nothing_means_the_screen() -> None:
    got = options("")
    assert replace(got, given=frozenset()) == Options()
    assert got.format is None
    assert got.delay_s == 1.0


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        ("-d 2", {"delay_s": 2.0, "delay_given": True}),
        ("--delay=0.5", {"delay_s": 0.5, "delay_given": True}),
        ("-bn3", {"batch": True, "iterations": 3, "format": Format.TEXT}),
        ("-bn 3", {"batch": True, "iterations": 3, "format": Format.TEXT}),
        ("-1d2", {"once": True, "delay_s": 2.0, "delay_given": True}),
        ("-tl4", {"tcp": True, "listen_only": True, "family": 2}),
        ("-6u", {"udp": True, "family": 10}),
        ("-46", {"family": 0}),
        ("-ta", {"tcp": True, "rows_all": True}),
        ("-tp 12", {"tcp": True, "pids": (12,)}),
        ("-p 12 -p 13,14", {"pids": (12, 13, 14)}),
        ("-U 0", {"uids": (0,)}),
        ("-U root", {"uids": (0,)}),
        ("-N blue -N 12 -N blue", {"netns": ("blue", "12")}),
        ("-Nall", {"netns": ("all",)}),
        ("--json", {"once": True, "format": Format.JSON}),
        ("--ndjson -n 2", {"format": Format.NDJSON, "iterations": 2}),
        ("--csv", {"format": Format.CSV}),
        ("-o x.json", {"output": "x.json", "format": Format.JSON}),
        ("-o x.SVG", {"output": "x.SVG", "format": Format.SVG}),
        ("--json -o x", {"output": "x", "format": Format.JSON, "once": True}),
        ("-o -", {"output": "-", "format": Format.TEXT}),
        ("-b -o x.json", {"output": "x.json", "batch": True, "format": Format.TEXT}),
        ("-s srtt", {"sort": SortKey(FIELDS["srtt"], True)}),
        ("-ssrtt:asc", {"sort": SortKey(FIELDS["srtt"], False)}),
        ("-s RTT", {"sort": SortKey(FIELDS["srtt"], True)}),
        ("-s proc", {"sort": SortKey(FIELDS["proc"], False)}),
        ("-s unwell:asc", {"sort": SortKey(None, False)}),
        ("--columns proc,sendq", {"columns": (FIELDS["proc"], FIELDS["sndq"])}),
        ("--no-bpf --path --tx-sample 8", {"no_bpf": True, "path": True, "tx_sample": 8}),
        ("--rx-method tcp_probe --bpf-budget 2", {"rx_method": "tcp_probe", "bpf_budget_pct": 2.0}),
        ("--ascii --no-color", {"ascii": True, "color": False}),
        ("--mouse", {"mouse": True}),
        ("", {"mouse": None}),
        ("--no-mouse --theme dark --readonly", {"mouse": False, "theme": "dark", "readonly": True}),
        ("--lookback 90s", {"lookback_s": 90.0}),
        ("--lookback 0", {"lookback_s": 0.0}),
        ("state established -1 dport = :443", {"once": True,
                                               "filter_text": "state established dport = :443"}),
        ("-1 -- -x", {"once": True, "filter_text": "-x"}),
    ],
)  # fmt: skip
def test_options(line: str, changes: dict[str, object]) -> None:
    got = options(line)
    plain = Options()
    compared = [name for name in Options.__struct_fields__ if name != "given"]
    names = [name for name in compared if getattr(got, name) != getattr(plain, name)]
    assert {name: getattr(got, name) for name in names} == {
        name: value for name, value in changes.items() if value != getattr(plain, name)
    }


def test_snapshot_and_open_and_doctor() -> None:
    shot = options("snapshot -o x.csv --for 3 -t dport = :80")
    assert (shot.format, shot.observe_s, shot.filter_text) == (Format.CSV, 3.0, "dport = :80")
    assert shot.once
    assert options("snapshot").format is Format.JSON
    assert options("snapshot -o -").format is Format.JSON
    opened = options("open x.json -s srtt --columns proc")
    assert opened.file == "x.json"
    assert opened.readonly
    assert not opened.once
    assert options("open -1 x.json").once
    doctor = options("doctor --json --clear-tx-flags")
    assert doctor.as_json
    assert doctor.clear_tx_flags


@pytest.mark.parametrize(
    ("line", "topic"),
    [("-h", "usage"), ("snapshot --help", "snapshot"), ("open x -h", "open"),
     ("--once --help", "usage"), ("snapsot --help", "usage"), ("help", "contents"),
     ("help json", "json"), ("help --help", "contents"), ("version", "version")],
)  # fmt: skip
def test_help_wins(line: str, topic: str) -> None:
    assert parse_args(line.split(), UTF8) == Help(topic)


def test_words_after_two_dashes_ask_for_no_help() -> None:
    assert isinstance(parse_args(["-1", "--", "-h"], UTF8), Options)


@pytest.mark.parametrize(
    ("environ", "color"), [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "0"}, False)]
)
def test_no_color_counts_when_not_empty(environ: dict[str, str], color: bool) -> None:
    assert options("", UTF8 | environ).color is color


@pytest.mark.parametrize(
    ("environ", "ascii_"),
    [
        ({}, True),
        ({"LANG": "C"}, True),
        ({"LANG": "en_GB.UTF-8"}, False),
        ({"LANG": "en_GB.utf8"}, False),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, True),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": ""}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
    ],
)
def test_ascii_follows_the_locale(environ: dict[str, str], ascii_: bool) -> None:
    assert options("", environ).ascii is ascii_


def test_pid_and_user_are_added_to_the_filter() -> None:
    assert options("").whole_filter is None
    assert options("-p 1").whole_filter == "pid = 1"
    assert options("-p 1,2 -U 5").whole_filter == "(pid = 1 or pid = 2) and uid = 5"
    assert options("-p 1 a = 1 or b = 2").whole_filter == "(a = 1 or b = 2) and pid = 1"
    assert options("-p 1 a = 1").fixed_filter == "pid = 1"


def test_messages_name_the_nearest() -> None:
    for line, near in (("--onec", "--once"), ("--colums x", "--columns"), ("-s cwn", "cwnd")):
        with pytest.raises(UsageError, match=near):
            options(line)


def test_own_pid_is_taken() -> None:
    assert options(f"-p {os.getpid()}").pids == (os.getpid(),)
