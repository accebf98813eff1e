"""Groups as the engine sums them up: against the rows that they are of."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest

from nettop.feed import Grouping
from nettop.model.types import Row
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from tests.fakes import FakeFeed

HERE = Path(__file__).parents[1] / "data" / "recordings"


def test_a_program_is_all_processes_of_its_name() -> None:
    feed = FakeFeed()
    rows = defaultdict(list)
    for row in feed.window(0, feed.count()):
        if row.proc.comm:
            rows[row.proc.comm].append(row)
    groups = {g.title: g for g in feed.groups(Grouping.PROGRAM)}
    assert any(len({r.proc.pid for r in some}) > 1 for some in rows.values()), "or nothing is shown"
    for name, some in rows.items():
        assert groups[name].sockets == len(some)
        assert groups[name].filter_text == f'comm = "{name}"'
        members = feed.members(Grouping.PROGRAM, some[-1].cookie, most=999)
        assert members == [row.cookie for row in some], "in the order of the table"
    assert len(feed.members(Grouping.PROGRAM, rows["nginx"][0].cookie, most=2)) == 2
    assert feed.members(Grouping.PROGRAM, 999, most=10) == []


@pytest.mark.parametrize("grouping", [g for g in Grouping if g])
def test_every_socket_is_in_one_group(grouping: Grouping) -> None:
    feed = FakeFeed()
    seen = []
    for group in feed.groups(grouping):
        members = feed.members(grouping, group.worst_cookie, most=999)
        assert len(members) == group.sockets
        seen += members
    assert sorted(seen) == sorted(row.cookie for row in feed.window(0, feed.count()))


def test_waits_of_a_group_are_those_of_its_sockets() -> None:
    with closing(Recording(HERE / "late-reader.nettop")) as recording:
        feed = ReplayFeed(recording.samples())
        checked = 0
        while True:
            try:
                feed.tick()
            except EOFError:
                break
            for group in feed.groups(Grouping.PROGRAM):
                cookies = feed.members(Grouping.PROGRAM, group.worst_cookie, most=999)
                rows: list[Row] = [r for c in cookies if (r := feed.find(c)) and not r.is_listen]
                waits = [row.plane.wait for row in rows]
                assert group.waits.count == sum(w.count for w in waits)
                assert group.waits.sum_ns == sum(w.sum_ns for w in waits)
                assert group.waits.max_ns == max((w.max_ns for w in waits), default=0)
                if waits and group.waits.count:
                    assert group.waits.p99_ns >= min(w.p99_ns for w in waits if w.count)
                    checked += group.waits.count
                rtts = sorted(row.rec.rtt_us for row in rows if row.rec.rtt_us)
                if rtts and all(row.rec.flags & 1 for row in rows):
                    assert group.rtt90_ns == rtts[(len(rtts) - 1) * 9 // 10] * 1000
        assert checked > 10
