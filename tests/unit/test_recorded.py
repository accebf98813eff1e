"""Recordings of faults whose answer is known, replayed: verdicts and percentiles of the BPF planes.

tests/data/record_scenarios.py makes them; tests/data/scenario.py cuts one out of any recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from nettop.errors import NettopError
from nettop.model.types import Level, Model, Row, Stage, Verdict
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.text.words import who_text
from tests.data import scenario

HERE = Path(__file__).parents[1] / "data" / "recordings"
MS = 1_000_000


def played(name: str) -> Iterator[tuple[Model, list[Row]]]:
    """Every tick with its rows."""
    with closing(Recording(HERE / f"{name}.nettop")) as recording:
        feed = ReplayFeed(recording.samples())
        while True:
            try:
                model = feed.tick()
            except EOFError:
                return
            yield model, feed.window(0, 100)


def test_what_was_polled_and_cannot_be_is_one_line() -> None:
    with closing(Recording(HERE / "late-reader.nettop")) as recording:
        sample = next(recording.samples())
    asked = replace(sample.facts.asked, family=2**31)
    feed = ReplayFeed(iter([replace(sample, facts=replace(sample.facts, asked=asked))]))
    with pytest.raises(NettopError, match="a tick of the recording is damaged: what was polled"):
        feed.tick()


def worst(rows: list[Row], verdict: Verdict) -> Row | None:
    return next((row for row in rows if row.verdicts[:1] == [verdict]), None)


@pytest.mark.parametrize(
    ("name", "verdict", "who", "level", "low_ms", "high_ms"),
    [
        ("late-reader", Verdict.READS, "app", Level.WATCH, 55, 75),
        ("own-queue", Verdict.QDISC, "kern", Level.WATCH, 9, 14),
        ("slow-nic", Verdict.NIC, "nic", Level.WATCH, 7.9, 8.3),
    ],
)
def test_the_right_party_is_named(
    name: str, verdict: Verdict, who: str, level: Level, low_ms: float, high_ms: float
) -> None:
    ticks = list(played(name))
    assert len(ticks) == 8
    found = [worst(rows, verdict) for _, rows in ticks]
    assert found[0] is None
    accused = [row for row in found if row is not None]
    assert len(accused) >= 5, [[r.verdicts for r in rows] for _, rows in ticks]
    for row in accused:
        assert who_text(row) == who
        assert row.level is level
        assert low_ms <= row.rec.verdict_value <= high_ms
    # Nobody else is accused of anything.
    others = {r.cookie for _, rows in ticks for r in rows if r.level > Level.OK}
    assert others == {accused[0].cookie}


def test_percentiles_of_waits() -> None:
    """Read 60 ms after a message that came up to 100 ms after the one before."""
    for model, rows in list(played("late-reader"))[2:]:
        reader = max(rows, key=lambda row: row.plane.wait.count)
        wait = reader.plane.wait
        assert wait.count >= 5
        assert 55 * MS <= wait.p50_ns <= wait.p90_ns <= wait.p99_ns <= wait.max_ns <= 90 * MS
        assert model.rx_wait is not None
        assert model.rx_wait.dist.count == sum(row.plane.wait.count for row in rows)
        assert sum(n for _, _, n in model.rx_wait.buckets) == model.rx_wait.dist.count


def test_percentiles_of_stages() -> None:
    """12 kB and their headers at 1 MB/s, of which 2 kB leave at once."""
    for model, rows in list(played("own-queue"))[2:]:
        sender = max(rows, key=lambda row: row.plane.tx_sends)
        assert sender.plane.tx_sends >= 10
        qdisc = sender.plane.tx[Stage.QDISC]
        assert 9.5 * MS <= qdisc.p50_ns <= qdisc.p99_ns <= 13 * MS
        assert sender.plane.tx[Stage.ACK].p50_ns < 2 * MS
        total = sender.plane.tx[Stage.TOTAL]
        assert total.p50_ns >= qdisc.p50_ns
        assert model.tx is not None
        assert model.tx[Stage.QDISC].count >= qdisc.count


def test_the_path_is_not_blamed_for_the_own_queue() -> None:
    """srtt holds the queue of this host: the number beside the verdict is that of the stage."""
    _, rows = list(played("own-queue"))[-1]
    row = worst(rows, Verdict.QDISC)
    assert row is not None
    assert row.rec.rtt_us > 5_000


SCENARIOS = sorted(path.stem for path in HERE.glob("*.json"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_stretch_has_the_verdicts_that_stand_beside_it(name: str) -> None:
    expected = json.loads((HERE / f"{name}.json").read_text())
    assert scenario.accused(HERE / f"{name}.nettop") == expected


def test_a_stretch_is_cut_out_of_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario, "HERE", tmp_path)
    scenario.main([str(HERE / "late-reader.nettop"), "cut", "--to", "-2s"])
    expected = json.loads((tmp_path / "cut.json").read_text())
    assert 3 <= expected["ticks"] < 8
    assert [v for found in expected["accused"].values() for v in found] == ["reads_late app"]
    whole = scenario.accused(HERE / "late-reader.nettop")
    assert whole["ticks"] == 8
    assert set(whole["accused"]) == set(expected["accused"])
