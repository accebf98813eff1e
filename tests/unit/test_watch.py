"""nettop watch without a kernel: how long something has held, its command line, its command."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from nettop.engine import ffi
from nettop.engine.handle import Engine
from nettop.engine.wire import EMPTY_REC, pack_row
from nettop.errors import NettopError, UsageError
from nettop.export.load import load_snapshot
from nettop.filefeed import FileFeed
from nettop.model.types import Model, Owner, Proc, Proto, Verdict
from nettop.query import compile_filter
from nettop.text.variables import VARIABLES
from nettop.watch import command, report
from nettop.watch.condition import Hold, Standing
from nettop.watch.options import parse_watch
from nettop.watch.then import Command
from tests.fakes import SESSION

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def model() -> Model:
    return FileFeed(load_snapshot(str(SESSION))).tick()


def taken(hold: Hold, model: Model, ticks: Sequence[tuple[float, set[int]]]) -> list[int]:
    """The ticks in which it has held; (seconds, the sockets that match) of each."""
    out = []
    for number, (at_s, cookies) in enumerate(ticks):
        ns = round(at_s * SECOND)
        now = replace(model, mono_ns=ns, wall_ns=10**18 + ns)
        if hold.take(now, sorted(cookies)) is not None:
            out.append(number)
    return out


def test_one_tick_is_enough_without_a_time(model: Model) -> None:
    assert taken(Hold(), model, [(0, set()), (1, {7})]) == [1]


def test_the_same_socket_in_every_tick(model: Model) -> None:
    steady = [(float(n), {7, n}) for n in range(5)]
    assert taken(Hold(3), model, steady) == [3, 4]
    # A tick without it, and it begins anew.
    gap = [(0.0, {7}), (1.0, {7}), (2.0, set[int]()), (3.0, {7}), (4.0, {7}), (5.0, {7})]
    assert taken(Hold(2), model, gap) == [5]
    in_turn = [(float(n), {n}) for n in range(9)]
    assert taken(Hold(2), model, in_turn) == []
    assert taken(Hold(2, any_socket=True), model, in_turn) == [*range(2, 9)]


def test_ticks_come_a_little_early_and_late(model: Model) -> None:
    assert taken(Hold(2), model, [(0.02, {7}), (1.0, {7}), (2.0, {7})]) == [2]
    assert taken(Hold(2), model, [(0.2, {7}), (1.0, {7}), (2.0, {7})]) == []


def test_what_held_the_longest_is_named(model: Model) -> None:
    hold = Hold(9)
    ticks = [(0.0, {7, 8}), (1.0, {7, 8, 9}), (2.0, {9}), (3.0, {9})]
    assert taken(hold, model, ticks) == []
    assert hold.longest == Standing((9,), SECOND, 10**18 + SECOND, 2 * SECOND, 3)
    assert (hold.ticks, hold.matched) == (4, 4)


WORD, LOSS, READS = (1 << v for v in (Verdict.CWND, Verdict.LOSS, Verdict.READS))
# cookie: level on the screen, verdicts that hold, those of them that are unwell
LEVELS = {1: (0, 0, 0), 2: (0, WORD, 0), 3: (1, LOSS, 0), 4: (2, LOSS | WORD, LOSS),
          5: (2, READS, 0), 6: (2, 0, 0), 7: (1, 0, 0)}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "now", "shown"),
    [
        ("level = ok", {1, 2, 6, 7}, {1, 2}),
        ("level = watch", {3, 5}, {3, 7}),
        ("level >= watch", {3, 4, 5}, {3, 4, 5, 6, 7}),
        ("level >= unwell", {4}, {4, 5, 6}),
        ("level < unwell", {1, 2, 3, 5, 6, 7}, {1, 2, 3, 7}),
        ("not level = ok", {3, 4, 5}, {3, 4, 5, 6, 7}),
        ("level != watch and verdict = loss", {4}, {4}),
        ("level > unwell", set(), set()),
    ],
)
def test_the_level_of_a_condition_is_of_the_tick(text: str, now: set[int], shown: set[int]) -> None:
    """The screen's stays for 10 s; what asks how long something has held must not."""
    engine = Engine()
    owner = Proc(0, 0, Owner.UNKNOWN, 0, "")
    rows = []
    for cookie, (level, holds, bad) in LEVELS.items():
        members: dict[str, int] = {
            "cookie": cookie, "proto": Proto.TCP, "state": 1, "level": level, "verdicts": holds,
            "verdicts_unwell": bad,
        }  # fmt: skip
        rows.append(pack_row(EMPTY_REC._replace(**members), owner))
    engine.load(b"".join(rows), ffi.new("struct nt_detail[]", len(rows)), len(rows))
    assert set(engine.matching(compile_filter(text, level_now=True))) == now
    assert set(engine.matching(compile_filter(text))) == shown


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "watch needs a condition"),
        (["level > ok", "--for", "10"  "s", "--within", "5s"], "at least 11s"),
        (["level > ok", "--within", "500m", "-o", "x.png"], "the file's ending says"),
        (["level > ok", "-o", "-"], "the file's ending says"),
        (["level > ok", "--for", "soon"], "takes a time such as 90s"),
        (["level > ok", "--until", "5s"], "no option --until of nettop watch"),
    ],
)  # fmt: skip
def test_command_lines_that_are_refused(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_watch(words, {})


def test_a_recording_that_is_there_already_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.nettop"
    options = parse_watch(["unwell", "-o", str(file)], {})
    command.check(options, None)
    assert capsys.readouterr().err == ""
    file.touch()
    command.check(options, None)
    assert f"{file} is there already" in capsys.readouterr().err


def test_a_command_line() -> None:
    options = parse_watch(
        ["comm", "=", "nginx", "--for", "10s", "--within", "5m", "-o", "x.nettop", "-p", "7",
         "--then", "logger $NETTOP_WHY", "-N", "all"], {},
    )  # fmt: skip
    assert options.poll.whole_filter == "(comm = nginx) and pid = 7"
    assert (options.for_s, options.within_s, options.records) == (10, 300, True)
    assert (options.then, options.poll.netns) == ("logger $NETTOP_WHY", ("all",))


@pytest.mark.parametrize(
    ("text", "more", "why"),
    [
        ("rxwait.p99 > 5ms or unread > 1s", ["--no-bpf"], "needs the plane wait"),
        ("verdict = qdisc", [], "add --tx-sample N"),
        ("tx.qdisc.p99 > 5ms", [], "add --tx-sample N"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(text: str, more: list[str], why: str) -> None:
    options = parse_watch([text, *more], {})
    with pytest.raises(UsageError, match=why):
        command.check(options, compile_filter(text))
    # What another plane sees too may hold without it.
    for allowed in ("verdict = reads_late", "level >= unwell"):
        command.check(parse_watch([allowed, "--no-bpf"], {}), compile_filter(allowed))


def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    command.check(parse_watch(["level > ok", "-o", str(target)], {}), None)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "link.json").symlink_to(target)
    for name in ("no/x.json", "link.json"):
        options = parse_watch(["level > ok", "-o", str(tmp_path / name)], {})
        with pytest.raises(NettopError, match=name):
            command.check(options, None)


# --- --then ---


def values(model: Model, comm: str) -> dict[str, str]:
    feed = FileFeed(load_snapshot(str(SESSION)))
    feed.tick()
    row = next(r for r in feed.window(0, 99) if r.proc.pid)
    row = replace(row, proc=row.proc._replace(comm=comm))
    held = Standing((row.cookie, 1), 0, model.wall_ns, 3 * SECOND, 4)
    return report.variables(row, held, model, "level >= unwell", "/a b/x.json")


def started(text: str, variables: dict[str, str] | None = None) -> Command:
    command = Command(text, variables or {})
    command.start()
    return command


def ran(text: str, variables: dict[str, str], folder: Path) -> str:
    """What a command wrote."""
    out = folder / "out"
    job = started(f"cd {shlex.quote(str(folder))}; ({text}) > out 2>&1", variables)
    assert job.wait() == "exit code 0", out.read_text()
    return out.read_text()


@pytest.mark.parametrize("comm", ["$(touch pwned)", "`touch pwned`", "'; touch pwned;'", "\x1b[2J"])
def test_names_are_values_and_never_text(model: Model, comm: str, tmp_path: Path) -> None:
    said = ran('echo "$NETTOP_COMM"; echo $NETTOP_PROC', values(model, comm), tmp_path)
    first, second = said.splitlines()
    assert first == comm.replace("\x1b", "?")
    assert second.startswith(first)
    assert [f.name for f in tmp_path.iterdir()] == ["out"]


def test_every_variable_is_set(model: Model, tmp_path: Path) -> None:
    os.environ["NETTOP_WHY"] = "of another run"
    try:
        gone = report.variables(None, Standing((), 0, 0, 0, 1), model, "level > ok", None)
        said = ran("env | grep ^NETTOP_", gone, tmp_path).splitlines()
    finally:
        del os.environ["NETTOP_WHY"]
    found = dict(line.split("=", 1) for line in said)
    assert VARIABLES.keys() <= found.keys()
    assert found["NETTOP_WHY"] == ""
    known = values(model, "nginx")
    assert known["NETTOP_FILE"] == "/a b/x.json"
    assert known["NETTOP_HELD_S"] == "3.000"
    assert known["NETTOP_SOCKETS"] == "2"
    assert known["NETTOP_SINCE"].endswith("Z")


def test_a_command_has_no_capability_reads_nothing_and_gets_signals(
    model: Model, tmp_path: Path
) -> None:
    said = ran("cat; cat /proc/self/status", values(model, "a"), tmp_path)
    status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert int(status["SigBlk"], 16) == 0


def test_how_a_command_ended(model: Model) -> None:
    assert started("exit 7").wait() == "exit code 7"
    assert started("kill -9 $$").wait() == "ended by signal 9"
    assert started("no-such-command-at-all 2>/dev/null").wait() == "exit code 127"


def test_a_command_and_what_it_started_can_be_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = f"trap '' TERM; sleep 60 & echo $! $$ > {shlex.quote(str(pids))}; wait; sleep 60"
    job = started(text)
    deadline = time.monotonic() + 5
    while not pids.exists() or not pids.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    job.end()
    assert time.monotonic() - began < 0.9
    for pid in pids.read_text().split():
        wait_until_gone(pid)


def wait_until_gone(pid: str) -> None:
    deadline = time.monotonic() + 2
    while (status := Path(f"/proc/{pid}/status")).exists() and "\tZ" not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nettop.watch.then.LIMIT_S", 0.2)
    assert started("sleep 60").wait().startswith("ended after")
