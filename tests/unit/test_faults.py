"""Recorded faults, replayed: whom nettop accuses, as each end sees it; tests/lab/faults has them.

tests/data/recordings/faults/wrong.toml has the views whose answer is known to be wrong. The list
must shrink: a view of it that became right fails until it is taken out.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from nettop.model.types import Because, address_text
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.text.words import who_text
from tests.lab.faults import kept, runner, truth
from tests.lab.faults.judge import Bystanders, Score, score
from tests.lab.faults.table import BESIDE
from tests.lab.faults.truth import Seen, Sockets, Tick, Timing, Truth, View

NAMES = kept.names()
WRONG = kept.wrong()


@cache
def judged(name: str) -> tuple[list[Score], Bystanders]:
    return runner.judged(name, truth.read(kept.truth_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_who_is_accused(name: str) -> None:
    known = WRONG.get(name, {})
    scores, _ = judged(name)
    said = {truth.name_of(s.view): (s.good, s.view.truth, s.answer, s.outcome) for s in scores}
    assert all(outcome != "gone" for *_, outcome in said.values()), said
    became_wrong = {view: what for view, what in said.items() if not what[0] and view not in known}
    became_right = {view: what for view, what in said.items() if what[0] and view in known}
    assert became_wrong == {}
    assert became_right == {}, "right by now: take it out of wrong.toml"


def test_of_seven_backends_the_slow_one_is_named_and_no_other() -> None:
    """What this end can only suppose no score counts, so the addresses are compared here."""
    on_s = truth.read(kept.truth_of("gray_backend")).on_s
    feed = ReplayFeed(kept.samples(kept.path_of("gray_backend", "A")))
    said: set[tuple[str | None, str]] = set()
    named: set[str] = set()
    with suppress(EOFError):
        while True:
            model = feed.tick()
            rows = [row for row, _ in feed.rows_all(with_detail=False) if row.rec.dport == 8126]
            assert len({row.remote_addr for row in rows}) == 7
            slow = [address_text(key.family, key.dst) for key in model.slow]
            assert model.wall_ns / 1e9 >= on_s or not slow
            named.update(slow)
            said.update((who_text(r), r.remote_addr) for r in rows
                        if r.verdicts and r.rec.because == Because.SIBLINGS)  # fmt: skip
    assert named == {"10.42.2.15"}
    assert said == {("peer?", "10.42.2.15")}


def test_the_list_of_wrong_answers_names_views_and_says_why() -> None:
    assert WRONG.keys() <= set(NAMES)
    for name, views in WRONG.items():
        there = {truth.name_of(v) for v in truth.read(kept.truth_of(name)).views}
        assert views.keys() - {BESIDE} <= there, name
        assert all(len(why) > 10 for why in views.values()), name


@pytest.mark.parametrize("name", NAMES)
def test_connections_beside_a_fault_are_not_accused(name: str) -> None:
    _, beside = judged(name)
    assert beside.ticks > 20
    assert bool(beside.accused) == (BESIDE in WRONG.get(name, {})), dict(beside.accused)


def test_recordings_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in kept.HERE.iterdir()}
    assert {name: size for name, size in sizes.items() if size > 300_000} == {}
    assert sum(sizes.values()) <= 6_000_000


def test_a_kept_end_is_a_recording_again(tmp_path: Path) -> None:
    target = tmp_path / "again.nettop"
    ticks = kept.unpack(kept.path_of(NAMES[0], "A"), target)
    recording = Recording(target)
    assert len(recording.frames()) == ticks > 10
    recording.close()


VIEW = View("A", "one", "net", Sockets((7, 7)), ("loss",), also=("peer",))
TIMING = Timing(before=2, after=1)
FAULT = Truth("a cause", "net", "added", (VIEW,), TIMING, on_s=100, off_s=110)


def course(*answers: str | None, first_s: float = 99.5) -> list[Tick]:
    """One socket, a tick a second; an answer is WHO:verdict or WHO:verdict:level."""
    out = []
    for n, answer in enumerate(answers):
        who, verdict, level = (*(answer or "::").split(":"), "watch")[:3]
        socket = Seen("tcp", "ESTABLISHED", 7, 80, who or None, verdict or None, level)
        out.append(Tick(first_s + n, [socket]))
    return out


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (["net:loss"] * 12, "right"),
        (["net:rtt"] * 12, "party"),
        (["peer:loss"] * 12, "right"),
        (["app:reads"] * 12, "wrong"),
        (["net?:loss"] * 12, "miss"),
        (["net:cwnd:ok"] * 12, "miss"),
        ([None] * 12, "miss"),
        # Nine ticks are judged, the third after the onset to the last before the cure's are over.
        ([None] * 9 + ["net:loss"] * 3 + [None] * 2, "right"),
        ([None] * 9 + ["net:loss"] * 2 + [None] * 2, "miss"),
        (["net:loss"] * 2 + [None] * 10, "miss"),
        ([None] * 9 + ["net:loss"] * 8, "right"),
        ([None] * 12 + ["net:loss"] * 5, "miss"),
    ],
)
def test_outcomes(said: list[str | None], outcome: str) -> None:
    assert score(VIEW, course(*said), FAULT).outcome == outcome


def test_a_healthy_view_is_to_be_blank() -> None:
    healthy = View("A", "one", "none", Sockets((7, 7)))
    assert score(healthy, course(*[None] * 12), FAULT).outcome == "blank"
    assert score(healthy, course(*["net:cwnd:watch"] * 12), FAULT).outcome == "false"
    assert score(healthy, [], FAULT).outcome == "gone"


def test_times_and_changes() -> None:
    said = ["app:reads", None, "net:rtt", *["net:loss"] * 4, "app:reads", "net:loss", "net:loss"]
    found = score(VIEW, course(*said, None, None, "net:loss"), FAULT)
    assert found.early == {"app:reads": 1}
    assert (found.first_s, found.right_s) == (1.5, 2.5)
    assert found.changes == 2
    assert found.lingers_s == 1.5


def test_sockets_are_chosen_by_side_state_and_port() -> None:
    s = Seen("tcp", "ESTABLISHED", 7, 80, None, None, "ok")
    assert Sockets((7, 7)).match(s)
    assert Sockets((7, 9), "ESTABLISHED", side="local").match(s)
    assert not Sockets((7, 7), side="remote").match(s)
    assert not Sockets((7, 7), "SYN_SENT").match(s)
    assert not Sockets((7, 7), proto="udp").match(s)
    assert not Sockets((7, 7), listening=True).match(s)
    assert not Sockets((7, 7), without=(80, 81)).match(s)
