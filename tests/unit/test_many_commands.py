"""record, why, diff and watch with -H: streams of other hosts, as their links hand them over."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from nettop.commands import record_hosts, why_hosts
from nettop.commands.diff import sides_of_hosts
from nettop.commands.why import look_recording
from nettop.commands.why_options import parse_why
from nettop.compare.options import parse_diff_hosts
from nettop.compare.outcome import outcome_of
from nettop.compare.verdict import compare
from nettop.errors import EXIT_NOT_KNOWN, NettopError, UsageError
from nettop.findings.keys import HOSTS_KEYS, HOSTS_SCHEMA
from nettop.hosts.feed import FIRST_S, HostsFeed, HostTick
from nettop.hosts.follow import Follower, silence
from nettop.model.hosts import LIVE, LOST, HostState
from nettop.options import Options
from nettop.sample import Sample
from nettop.store.recording import Recording
from nettop.watch import hosts as watch_hosts
from nettop.watch.options import parse_watch

LATE_READER = Path(__file__).parents[1] / "data" / "recordings" / "late-reader.nettop"
Streams = Callable[..., HostsFeed]


def samples() -> list[Sample]:
    """As a stream that begins sends them."""
    return [replace(s, seq=n) for n, s in enumerate(Recording(LATE_READER).samples(), 1)]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """A feed whose hosts send these samples as soon as it begins, and are lost if they are few."""

    def make(filter_text: str | None = None, **of: Sequence[Sample]) -> HostsFeed:
        feed = HostsFeed(
            {name: ["/nonexistent"] for name in of}, delay_s=1.0, filter_text=filter_text
        )

        def begin() -> None:
            for link, sent in zip(feed._links, of.values(), strict=True):
                for sample in sent:
                    link._on_sample(sample, b"")
                    link._state = LIVE
                if len(sent) < 4:
                    link._change(LOST, "no route\x1b[2J")

        monkeypatch.setattr(feed, "begin", begin)
        return feed

    return make


def test_each_host_has_a_recording_of_its_own_and_goes_on_in_it(
    streams: Streams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once = samples()
    again = [replace(s, wall_ns=s.wall_ns + 3600 * 10**9) for s in once]
    options = Options(command="record", output=str(tmp_path / "rec.nettop"), for_s=0.01)
    files = record_hosts.files_of(["a", "u@b", "c"], options)
    feed = streams(**{"a": once, "u@b": [*once, *again], "c": []})
    assert record_hosts.run(feed, files, options) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rec-a.nettop", "rec-u_b.nettop"]
    got = [*Recording(tmp_path / "rec-a.nettop").samples()]
    assert [(bytes(s.sections), s.facts) for s in got] == [
        (bytes(s.sections), s.facts) for s in once
    ]
    with sqlite3.connect(tmp_path / "rec-u_b.nettop") as db:
        marks = db.execute("SELECT seq, mark FROM ticks WHERE mark IS NOT NULL").fetchall()
        spells = db.execute("SELECT count(*), sum(to_ns IS NULL) FROM spells").fetchone()
    db.close()
    assert [seq for seq, _ in marks] == [len(once) + 1]
    assert marks[0][1].startswith("recording goes on after")
    assert spells[0] >= 2
    assert spells[1] == 0
    said = capsys.readouterr().err
    assert f"u@b: {2 * len(once)} ticks" in said
    assert "c: nothing is recorded: no route?[2J" in said


def test_a_file_that_cannot_be_written_is_the_end_of_its_host_alone(
    streams: Streams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(command="record", output=str(tmp_path / "rec.nettop"), iterations=4)
    files = record_hosts.files_of(["full", "well"], options)
    # Found by the first tick, not before: as a disk that is full by then.
    (tmp_path / "rec-full.nettop").mkdir()
    began = time.monotonic()
    assert record_hosts.run(streams(full=samples(), well=samples()), files, options) == 1
    assert time.monotonic() - began < FIRST_S
    assert len([*Recording(tmp_path / "rec-well.nettop").samples()]) == 4
    said = capsys.readouterr().err
    assert said.count("full: not recorded any further: ") == 1
    assert "full: nothing is recorded: cannot write" in said


def test_a_number_of_ticks_ends_where_no_host_ever_answers(
    streams: Streams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_hosts, "FIRST_S", 0.3)
    options = Options(command="record", output=str(tmp_path / "rec.nettop"), iterations=4)
    files = record_hosts.files_of(["a", "b"], options)
    assert record_hosts.run(streams(a=[], b=[]), files, options) == 1


def test_files_that_cannot_be_are_said_before_any_host_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x-a.nettop").write_text("something else")
    options = Options(command="record", output=str(tmp_path / "x.nettop"))
    with pytest.raises(NettopError, match="exists and is no recording"):
        record_hosts.files_of(["a"], options)
    with pytest.raises(UsageError, match="b/c and b_c would both be recorded"):
        record_hosts.files_of(["b/c", "b_c"], options)
    with pytest.raises(NettopError, match="/dev/null: not a file"):
        record_hosts.files_of(["a"], replace(options, output="/dev/null"))


def test_a_fault_of_this_end_ends_the_command_and_is_not_the_hosts(streams: Streams) -> None:
    feed = streams(a=samples())

    def take(tick: HostTick) -> None:
        raise NettopError("the disk is full")

    with pytest.raises(NettopError, match="the disk is full"):
        Follower(feed, take).wait(lambda: False)
    assert feed._links[0].live


def test_why_says_of_each_host_what_it_says_of_its_recording(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = look_recording(parse_why([str(LATE_READER)], {}))
    options = parse_why(["--for", f"{alone.seconds:.0f}"], {})
    reports = why_hosts.look_at(streams(a=samples(), b=[], c=samples()[:3]), options)
    a, b, c = reports
    assert a.report is not None
    assert c.report is not None
    assert [f.worst.verdict for f in a.report.findings] == [f.worst.verdict for f in alone.findings]
    assert (a.reason, b.report, b.reason) == ("", None, "no route?[2J")
    assert (c.report.ticks, c.reason) == (3, "no route?[2J")
    again = streams(a=[*samples()[:3], *samples()[:2]])
    monkeypatch.setattr(again._links[0], "last_loss", "Broken pipe")
    monkeypatch.setattr(type(again), "is_out", lambda *_: True)
    monkeypatch.setattr(type(again), "hosts", lambda _: [HostState("a", LIVE)])
    assert [r.reason for r in why_hosts.look_at(again, options)] == ["Broken pipe"]
    text = why_hosts._written(reports, options)
    assert "b:\nnot looked at: no route?[2J\n" in text
    whole = json.loads(why_hosts._written(reports, replace(options, as_json=True)))
    assert (whole["schema"], set(whole)) == (HOSTS_SCHEMA, {"schema", "hosts"})
    keys = {f"hosts[].{key}" for one in whole["hosts"] for key in one}
    assert keys == {key for key in HOSTS_KEYS if key.startswith("hosts[].")}


def test_why_takes_no_silence_of_a_host_for_health(streams: Streams, tmp_path: Path) -> None:
    options = parse_why(["dport = :1", "--for", "2", "-o", str(tmp_path / "why.txt")], {})
    assert why_hosts.run(streams(options.poll.filter_text, a=samples()), options) == 0
    both = streams(options.poll.filter_text, a=samples(), b=[])
    assert why_hosts.run(both, options) == EXIT_NOT_KNOWN


def test_a_host_that_is_not_reached_is_no_look(streams: Streams) -> None:
    with pytest.raises(NettopError, match="no host has answered"):
        why_hosts.look_at(streams(a=[], b=[]), parse_why([], {}))
    with pytest.raises(UsageError, match="a page is of one host"):
        why_hosts.check(parse_why(["-o", "x.html"], {}), 2)
    with pytest.raises(UsageError, match="leave one out"):
        why_hosts.check(parse_why([str(LATE_READER)], {}), 1)


def test_two_hosts_that_do_the_same_differ_in_nothing(streams: Streams) -> None:
    options = parse_diff_hosts(["--for", "4", "--by", "all"], {})
    a, b = sides_of_hosts(streams(a=samples(), b=samples()), options)
    assert (a.name, b.name, a.ticks) == ("a", "b", b.ticks)
    assert a.ticks >= 3
    found = compare(a, b)
    assert found.comparisons
    assert outcome_of(found, ()).exit_code == 0
    with pytest.raises(NettopError, match="b: nothing to compare: no route"):
        sides_of_hosts(streams(a=samples(), b=[]), options)


def test_watch_names_the_host_on_which_it_held(
    streams: Streams, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "held.json"
    options = parse_watch(
        [
            "rxwait.p99 > 1ms",
            "--for",
            "2s",
            "-o",
            str(file),
            "--then",
            'printf "%s" "$NETTOP_HOST"',
        ],
        {},
    )
    feed = streams(options.poll.filter_text, well=samples()[:1], ill=samples())
    assert watch_hosts.HostsWatch(feed, options, None).run() == 0
    out, said = capfd.readouterr()
    assert out.startswith("ill: ")
    assert out.endswith("ill")
    assert f"snapshot of ill: {file}" in said
    assert json.loads(file.read_text())["sockets"]


def test_watch_waits_no_longer_for_hosts_that_cannot_be_reached(streams: Streams) -> None:
    options = parse_watch(["srtt > 1000s", "--within", "1"], {})
    watch = watch_hosts.HostsWatch(streams(options.poll.filter_text, a=[], b=[]), options, None)
    began = time.monotonic()
    with pytest.raises(NettopError, match="seen all the time on 2 of 2 hosts"):
        watch.run()
    assert time.monotonic() - began < FIRST_S


def test_watch_takes_no_gap_for_health(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parse_watch(["srtt > 1000s", "--within", "1"], {})
    feed = streams(options.poll.filter_text, flaps=samples() * 3, ends=samples()[:3])
    feed._links[0].last_loss = "Broken pipe"
    watch = watch_hosts.HostsWatch(feed, options, None)
    monkeypatch.setattr(watch, "_is_over", lambda: True)
    with pytest.raises(NettopError, match="seen all the time on 2 of 2 hosts"):
        watch.run()
    said = capsys.readouterr().err
    assert "; its ticks broke off 2 times: Broken pipe\n" in said
    assert "; it is not seen any more: no route?[2J\n" in said


def test_watch_says_of_each_host_why_it_did_not_hold(
    streams: Streams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parse_watch(["srtt > 1000s", "--within", "1"], {})
    feed = streams(options.poll.filter_text, a=samples(), b=[])
    watch = watch_hosts.HostsWatch(feed, options, None)
    monkeypatch.setattr(watch, "_is_over", lambda: True)
    with pytest.raises(NettopError, match="seen all the time on 1 of 2 hosts"):
        watch.run()
    said = capsys.readouterr().err
    assert "a: did not hold within 1s: no socket matched in" in said
    assert "b: not looked at: no route?[2J" in said
    with pytest.raises(UsageError, match="no ticks of before are kept"):
        watch_hosts.check(parse_watch(["srtt > 1s", "-o", "x.nettop"], {}))


def test_a_host_that_never_answered_has_not_stopped_to() -> None:
    assert silence(0) == "it has not answered in time"
    assert "stopped answering" in silence(1)
