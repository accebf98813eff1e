"""What the command line promises: exit codes, one line of error, help, formats."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from nettop.commands.topics import TOPICS
from nettop.commands.why_options import why_parser
from nettop.compare.options import diff_parser
from nettop.hosts.commandline import VALUES as HOSTS_VALUES
from nettop.hosts.opening import COMMANDS as WITH_HOSTS
from nettop.hosts.options import stream_parser
from nettop.options import COMMANDS, Options, _parser, parse_args
from nettop.probe.options import probe_parser, reflect_parser
from nettop.serve.options import serve_parser
from nettop.sources import NAMES
from nettop.text.fields import FIELDS
from nettop.text.keys import KEYS
from nettop.text.usage import command_help, usage
from nettop.text.verdicts import VERDICTS
from nettop.watch.options import watch_parser
from tests.cli.conftest import Run, environment

GOLDEN = Path(__file__).parent / "golden"


def me() -> list[str]:
    """Asked when it is used: another process may have read this file."""
    return ["-p", str(os.getpid())]


def test_help_is_as_written(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == (GOLDEN / "help.txt").read_text()
    assert max(map(len, done.stdout.splitlines())) <= 80


def _options(command: str) -> set[str]:
    parsers: dict[str, Callable[[], ArgumentParser]] = {
        "diff": diff_parser, "probe": probe_parser, "reflect": reflect_parser,
        "serve": serve_parser, "watch": watch_parser, "why": why_parser,
        "stream": stream_parser,
    }  # fmt: skip
    parser = parsers[command]() if command in parsers else _parser(command)
    of_hosts = set(HOSTS_VALUES) if command in WITH_HOSTS else set()
    actions = parser._actions + (diff_parser(files=False)._actions if command == "diff" else [])
    return {option for action in actions for option in action.option_strings} | of_hosts


@pytest.mark.parametrize(
    "command", [c for c in ("live", *COMMANDS) if c not in ("completion", "help", "version")]
)
def test_help_of_a_command_names_its_options_and_no_others(command: str) -> None:
    text = usage() if command == "live" else command_help(command)
    named = set(re.findall(r"(?<![\w/])--?[a-z0-9][a-z-]*", text, re.IGNORECASE))
    always = {"-h", "--help", "--help-json", "-V", "--version"}
    allowed = always | _options(command) | {"-1"}  # -1 is an option that looks like a number
    if command != "live":
        assert named >= _options(command), _options(command) - named
        section = text.split("\nFILTER is", 1)[0]
        listed = set(re.findall(r"^ +(-\S+?)[,\s]", section, re.MULTILINE))
        assert listed <= allowed
    else:
        assert named >= _options(command), _options(command) - named


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("help", "version")])
def test_every_command_has_help_of_its_own(run: Run, command: str, option: str) -> None:
    done = run(command, option)
    assert done.returncode == 0
    assert done.stdout.startswith(f"nettop {command}")
    assert done.stdout == run("help", command).stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_help_lists_its_topics_and_each_has_a_text(run: Run) -> None:
    listed = run("help").stdout
    for name in TOPICS:
        assert re.search(rf"^{name} ", listed, re.MULTILINE)
        text = run("help", name).stdout
        assert len(text.splitlines()) > 5
        if name != "dashboard":  # its lines are Grafana's
            assert max(map(len, text.splitlines())) <= 100, name
    assert run("help", "json").stdout == run("--help-json").stdout


def test_topics_say_all_that_the_registries_have() -> None:
    text = {name: make() for name, (_, make) in TOPICS.items()}
    for verdict, spec in VERDICTS.items():
        said = " ".join(text["verdicts"].split())
        assert f"verdict = {spec.words[0].lower()}" in said, verdict
        assert spec.name in said, verdict
    assert all(re.search(rf"^{re.escape(name)} ", text["fields"], re.MULTILINE) for name in FIELDS)
    assert all(key.help in text["keys"] for key in KEYS)
    assert all(re.search(rf"^{name} ", text["planes"], re.MULTILINE) for name in NAMES)


@pytest.mark.parametrize(
    ("argv", "near"),
    [(["snapsot"], "nettop snapshot"), (["snapsot", "--for", "10", "-o", "x.json"], "snapshot"),
     (["-1", "snapsot"], "nettop snapshot"), (["docter"], "nettop doctor"),
     (["Replya", "x.nettop"], "nettop replay"),
     (["help", "verdict"], "verdicts"), (["help", "a", "b"], "one TOPIC")],
    ids=lambda v: " ".join(v)[:30],
)  # fmt: skip
def test_an_unknown_command_is_no_filter(run: Run, argv: list[str], near: str) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert near in done.stderr
    assert "broken filter" not in done.stderr


@pytest.mark.parametrize(
    "argv", [["state", "established"], ["srtt", ">", "1ms"], ["SRTT", "gt", "1ms"], ["dst", "::1"],
             ["foo", "=", "3"], ["not", "comm", "=", "x"], ["autobound"], ["exclude", "listening"],
             ["nginx"], ["host", "::1"], ["443"], ["udp"], ["listen"], ["web-1", "estab"]],
    ids=lambda v: " ".join(v),
)  # fmt: skip
def test_a_filter_is_no_unknown_command(argv: list[str]) -> None:
    parsed = parse_args(argv, {})
    assert isinstance(parsed, Options)
    assert parsed.filter_text == " ".join(argv)


@pytest.mark.parametrize("option", ["-V", "--version", "version"])
def test_version(run: Run, option: str) -> None:
    assert re.fullmatch(r"nettop \d+\.\d+\.\d+\n", run(option).stdout)


def test_sort_help_lists_every_key(run: Run) -> None:
    for argv in (["-s", "help"], ["--sort=help"], ["-shelp"]):
        done = run(*argv)
        assert done.returncode == 0
        keys = {line.split(" ")[0] for line in done.stdout.splitlines() if line[0] != " "}
        assert keys == {"unwell"} | {f.id for f in FIELDS.values() if f.sortable}


def test_columns_help_lists_every_field(run: Run) -> None:
    lines = run("--columns", "help").stdout.splitlines()
    assert [line.split(" ")[0] for line in lines if line[0] != " "] == list(FIELDS)


def test_json_help_describes_keys(run: Run) -> None:
    out = run("--help-json").stdout
    assert "sockets[].tcp_info.min_rtt" in out
    assert "sockets[].rx_wait.oldest_unread_ns" in out


USAGE = [
    (["--bach"], "--batch"),
    (["-q"], "-q"),
    (["-s", "srt"], "srtt"),
    (["-s", "srtt:up"], "asc"),
    (["-s", "why"], "cannot sort"),
    (["--columns", "proc,srt"], "srtt"),
    (["--columns", ","], "fields"),
    (["-d", "0"], "0.1"),
    (["-d", "nan"], "0.1"),
    (["-d", "inf"], "0.1"),
    (["-n", "0"], "1 to"),
    (["-n", "-3"], "whole number"),
    (["-n", "9" * 5000], "1 to"),
    (["-p", "x"], "process id"),
    (["-U", "no-such-user"], "no user"),
    (["--json", "--csv"], "exclude"),
    (["--batch", "--json"], "--batch"),
    (["--json", "-n", "2"], "--ndjson"),
    (["--once", "-n", "2"], "-n"),
    (["--tx-sample=-1"], "whole number"),
    (["--bpf-budget", "200"], "percentage"),
    (["snapshot", "-o", "x.pdf"], ".svg"),
    (["-o", "x.ndjsn"], "perhaps .ndjson"),
    (["-o", "x"], ".csv"),
    (["-o", ""], "file name"),
    (["-o", "x.json/"], "file name"),
    (["snapshot", "-n", "2"], "no option -n of nettop snapshot"),
    (["open", "-n", "2", "x.json"], "no option -n of nettop open"),
    (["open", "x.json", "-o", "x.foo"], ".txt"),
    (["probe", "tcp", "127.0.0.1:9", "-o", "x.csv"], ".json"),
    (["snapshot", "--jsn"], "nettop snapshot"),
    (["open"], "one FILE"),
    (["open", "a", "b"], "one FILE"),
    (["doctor", "--jso"], "--json"),
    (["--once", "doctor"], "nettop doctor"),
    (["-tinmOe"], "nettop -t"),
    (["-nip"], "always numeric"),
    (["-H", "--json"], "-H is for tables and CSV"),
    (["-x"], "Unix"),
    (["-K", "dst", "10.0.0.1"], "closes no sockets"),
    (["--theme", "foo"], "one of terminal, light, dark"),
    (["--theme", "drak", "--once"], "perhaps dark?"),
    (["--theme", ""], "one of terminal"),
    (["open", "x.json", "--theme", "lite", "-1"], "light"),
    (["--config"], "needs a value"),
    (["--config", "/nowhere/x"], "No such file"),
    (["-d", "١"], "0.1"),
    (["-d", "1_0"], "0.1"),
    (["-N", ""], "name"),
    (["--rx-method", "exakt"], "exact"),
    (["snapshot", "--for", "x"], "0.1"),
    (["clocks", "-d", "0"], "0.1"),
    (["probe", "tcp", "127.0.0.1:9", "-I", ""], "interface"),
    (["probe", "tcp", "127.0.0.1:9", "-i", "١"], "seconds"),
    (["probe", "sctp", "127.0.0.1:9"], "tcp"),
    (["reflect", ":0"], "1 to 65535"),
    (["--listening"], "--listen"),
    (["-n"], "-n"),
]


@pytest.mark.parametrize(("argv", "told"), USAGE, ids=lambda v: " ".join(v)[:30])
def test_usage_errors_are_one_line_and_2(run: Run, argv: list[str], told: str) -> None:
    done = run(*argv)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("nettop: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_broken_filter_has_a_caret_under_its_column(run: Run) -> None:
    done = run("--once", "-p", "1", "state established and srtt >")
    assert done.returncode == 2
    first, text, caret = done.stderr.splitlines()
    assert first.startswith("nettop: ")
    assert text.strip() == "state established and srtt >"
    assert caret.index("^") == len(text)


def test_escape_codes_in_arguments_do_not_reach_the_terminal(run: Run) -> None:
    for argv in (["--\x1b[31mx"], ["srtt > \x1b]0;x\x07"], ["-s", "\x1b[2J"], ["open", "\x1b[2J"]):
        done = run("--once", *argv) if argv[0] != "open" else run(*argv)
        assert done.returncode in (1, 2)
        assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("line", "flags"),
    [("-tnlp", "tcp listen_only"), ("-tin", "tcp"), ("-tinp", "tcp"), ("-an", "rows_all"),
     ("-tulpn", "tcp udp listen_only"), ("-4tn", "tcp"), ("-tHn", "tcp no_header"),
     ("-to state established", "tcp"), ("-tinp dport = :443", "tcp"), ("-nt", "tcp"),
     ("-to x.json", "tcp")],
)  # fmt: skip
def test_clusters_of_ss_are_understood(line: str, flags: str) -> None:
    parsed = parse_args(line.split(), {})
    assert isinstance(parsed, Options)
    names = ("tcp", "udp", "listen_only", "rows_all", "no_header")
    assert [name for name in names if getattr(parsed, name)] == flags.split()
    assert parsed.output == ("x.json" if "x.json" in line else None)
    assert (parsed.filter_text or "") in line


@pytest.mark.parametrize(
    ("cluster", "says"), [("-tMn", "proto = mptcp"), ("-tE", "no such mode"), ("-tK", "closes no")]
)
def test_what_only_ss_does_is_not_answered_with_something_else(
    run: Run, cluster: str, says: str
) -> None:
    done = run(cluster)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "write: nettop" not in done.stderr


@pytest.mark.parametrize("cluster", ["-tinmOe", "-iepm", "-tnr", "-nip"])
def test_the_spelling_offered_for_ss_is_accepted(run: Run, cluster: str) -> None:
    done = run(cluster)
    assert done.returncode == 2
    match = re.search(r"write: nettop ?([^()]*)", done.stderr)
    assert match
    assert isinstance(parse_args(match[1].split(), {}), Options)


def test_other_systems_are_told_in_one_line() -> None:
    code = "import sys; sys.platform = 'darwin'; import nettop.cli as c; sys.exit(c.main(['-1']))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Linux" in done.stderr


def test_headless_imports_neither_screen_nor_parsers() -> None:
    code = (
        "import sys; from nettop.cli import main; main(['--once', '--json', '-a']);"
        "bad = {'textual', 'rich', 'psutil', 'lark', 'asyncio', 'csv', 'sqlite3'};"
        "bad &= set(sys.modules);"
        "sys.stderr.write(' '.join(bad))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout)["schema"] == "nettop.snapshot/1"


@pytest.mark.usefixtures("pair")
def test_without_a_terminal_it_is_like_once(run: Run) -> None:
    done = run(*me())
    assert done.returncode == 0
    assert "PROC" in done.stdout
    assert "127.0.0.1:" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("pair")
def test_once_has_no_rates_and_with_delay_has_them(run: Run, tmp_path: Path) -> None:
    first = json.loads(run("--once", "--json", *me()).stdout)
    assert "interval_s" not in first
    assert len(first["sockets"]) == 2
    assert all("rates" not in s for s in first["sockets"])
    notes = tmp_path / "notes"
    words = ("--once", "--json", "-d", "0.5", "--debug", str(notes))
    second = json.loads(run(*words, *me()).stdout)
    assert (first["intervals"], second["intervals"]) == (0, 3)
    assert all(s["rates"]["retrans_per_s"] == 0 for s in second["sockets"])
    # A sweep ends after its own note and before the next one.
    noted = [line.split(" ")[:2] for line in notes.read_text().splitlines()]
    ends = [(float(at), float(noted[i + 1][0])) for i, (at, what) in enumerate(noted)
            if what == "sweep"]  # fmt: skip
    assert len(ends) == 4
    assert ends[3][1] - ends[0][0] >= 0.5, "all three together are what was asked for"
    least, most = ends[3][0] - ends[2][1], ends[3][1] - ends[2][0]
    assert least - 2e-6 <= second["interval_s"] <= most + 2e-6, "notes are of microseconds"


@pytest.mark.usefixtures("pair")
def test_ndjson_is_one_object_per_line_and_tick(run: Run) -> None:
    done = run("--ndjson", "-n", "2", "-d", "0.3", *me())
    assert done.returncode == 0
    ticks = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(ticks) == 2
    assert [len(t["sockets"]) for t in ticks] == [2, 2]
    assert "interval_s" not in ticks[0]
    assert ticks[1]["interval_s"] >= 0.25
    assert ticks[0]["taken"] < ticks[1]["taken"]


@pytest.mark.usefixtures("pair")
def test_csv_has_one_header_and_a_row_per_socket_and_tick(run: Run) -> None:
    done = run("--csv", "-n", "2", "-d", "0.2", *me())
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 4
    assert list(rows[0]) == ["taken", *(f.csv_name for f in FIELDS.values())]
    assert {r["pid"] for r in rows} == {str(os.getpid())}
    assert {r["rcvq_bytes"] for r in rows} == {"0", "5"}
    assert rows[0]["retr_per_s"] == ""
    assert rows[2]["retr_per_s"] == "0"


@pytest.mark.usefixtures("pair")
def test_batch_writes_a_table_per_tick(run: Run) -> None:
    done = run("-bn2", "-d", "0.2", *me())
    assert done.stdout.count("PROC") == 2
    assert "first interval" in done.stdout


@pytest.mark.usefixtures("pair")
def test_without_titles_each_line_has_as_many_words(run: Run) -> None:
    columns = "proc,lport,remote,st,srtt,who,why"
    done = run("-1", "-a", "-H", "-d", "0.4", "--columns", columns)
    lines = done.stdout.splitlines()
    assert lines
    assert {len(line.split(" ")) for line in lines} == {1 + len(columns.split(","))}
    assert {line.split()[0] for line in lines} <= {"ok", "watch", "unwell"}
    csv = run("-1", "-a", "-H", "--csv", "--columns", "comm,lport").stdout
    assert not csv.startswith("taken")
    assert "verdicts of one poll" in run("-1", "-H").stderr


def test_numbers_agree_with_the_sockets(run: Run, pair: tuple[object, object]) -> None:
    client, accepted = pair
    out = json.loads(run("--json", *me()).stdout)
    by_port = {s["local"]["port"]: s for s in out["sockets"]}
    mine = by_port[accepted.getsockname()[1]]  # type: ignore[attr-defined]
    assert mine["remote"]["port"] == client.getsockname()[1]  # type: ignore[attr-defined]
    assert mine["rqueue"] == 5
    assert mine["tcp_info"]["bytes_received"] == 5
    assert {"pid": os.getpid(), "fd": accepted.fileno()}.items() <= mine["procs"][0].items()  # type: ignore[attr-defined]
    assert mine["uid"] == os.getuid()


@pytest.mark.usefixtures("pair")
def test_user_and_pid_restrict_together(run: Run) -> None:
    both = json.loads(run("--json", *me(), "-U", str(os.getuid()), "rqueue > 0").stdout)
    assert len(both["sockets"]) == 1
    assert both["filter"].startswith("(rqueue > 0) and pid = ")
    other = json.loads(run("--json", *me(), "-U", str(os.getuid() + 1)).stdout)
    assert other["sockets"] == []


@pytest.mark.usefixtures("pair")
def test_columns_and_sort_are_obeyed(run: Run) -> None:
    out = run("-1", *me(), "--columns", "cookie,rcvq", "-s", "rcvq:desc").stdout.splitlines()
    title = next(i for i, line in enumerate(out) if "COOKIE" in line)
    assert out[title].split() == ["COOKIE", "RCVQ"]
    assert [line.split()[-1] for line in out[title + 1 :]] == ["5", "0"]


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("argv", "env"),
    [(["--ascii"], {}), ([], {"LC_ALL": "C"}), ([], {"LC_ALL": "en_US.ISO-8859-1"}),
     ([], {"LC_ALL": None, "LANG": None})],
)  # fmt: skip
def test_ascii_when_asked_or_when_the_locale_is_not_utf8(
    run: Run, argv: list[str], env: dict[str, str | None]
) -> None:
    done = run("-1", *me(), *argv, env=environment(**env))
    assert done.stdout.isascii()
    assert "~" in done.stdout or " - " in done.stdout


def test_utf8_otherwise(run: Run) -> None:
    assert "▲" in run("-1").stdout


@pytest.mark.usefixtures("pair")
def test_piped_table_is_not_cut(run: Run) -> None:
    wide = run("-1", *me(), env=environment(COLUMNS="40")).stdout
    assert "…" not in wide
    assert max(map(len, wide.splitlines())) > 40


def test_planes_that_are_off_are_named_when_asked_for(run: Run) -> None:
    done = run("-1", "--tx-sample", "8")
    assert done.returncode == 0
    assert "--tx-sample has no effect" in done.stderr
