"""Groups as the engine sums them up: against the rows that they are of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from nettop.feed import Grouping
from nettop.groups import COLUMNS, Groups
from nettop.model.types import Flag, Group, Proto, Row, Stage
from nettop.query import compile_filter
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.tui.glyphs import UTF8
from nettop.tui.group_lines import columns_of, factors, median_line, notes, ordered
from tests.fakes import FakeFeed
from tests.feeding import FedEngine
from tests.netlink import connection, done

NETNS = 4026531833
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


def programs(name: str) -> Iterator[tuple[Group, list[Row]]]:
    """Each program of each tick of a recording, and its rows."""
    with closing(Recording(HERE / name)) as recording:
        feed = ReplayFeed(recording.samples())
        while True:
            try:
                feed.tick()
            except EOFError:
                return
            for group in feed.groups(Grouping.PROGRAM):
                cookies = feed.members(Grouping.PROGRAM, group.worst_cookie, most=999)
                yield group, [row for c in cookies if (row := feed.find(c))]


def test_waits_of_a_group_are_those_of_its_sockets() -> None:
    checked = 0
    for group, members in programs("late-reader.nettop"):
        rows = [row for row in members if not row.is_listen]
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


def test_rates_of_a_group_are_those_of_its_sockets_and_unknown_where_no_socket_has_any() -> None:
    known = unknown = 0
    for group, rows in programs("late-reader.nettop"):
        rated = [row.rec for row in rows if row.rec.flags & Flag.RATES]
        moved = [rec for rec in rated if rec.flags & Flag.MOVED]
        resent = [rec for rec in rated if rec.flags & Flag.INFO]
        for rate, some, name in (
            (group.tx_bytes_per_s, moved, "tx_bytes_per_s"),
            (group.rx_bytes_per_s, moved, "rx_bytes_per_s"),
            (group.retrans_per_s, resent, "retrans_per_s"),
        ):
            expected = sum(getattr(rec, name) for rec in some) if some else None
            assert rate == (expected if expected is None else pytest.approx(expected, rel=1e-5))
            known += bool(rate)
            unknown += rate is None
    assert min(known, unknown) > 2


def test_nothing_is_known_of_the_rates_of_groups_in_the_first_tick() -> None:
    with closing(Recording(HERE / "late-reader.nettop")) as recording:
        feed = ReplayFeed(recording.samples())
        rates = []
        for _ in range(2):
            feed.tick()
            row = feed.window(0, 1)[0]
            some = [*feed.groups(Grouping.PROGRAM), feed.sum([row.cookie])]
            rates.append([(g.tx_bytes_per_s, g.retrans_per_s) for g in some if g is not None])
    assert set(rates[0]) == {(None, None)}
    assert all(rate is not None for rate in rates[1][-1])


def test_acks_of_a_group_are_those_of_its_stamped_sends() -> None:
    checked = 0
    for group, rows in programs("own-queue.nettop"):
        acks = [row.plane.tx[Stage.ACK] for row in rows]
        assert group.acks.count == sum(a.count for a in acks)
        assert group.acks.sum_ns == sum(a.sum_ns for a in acks)
        assert group.acks.max_ns == max((a.max_ns for a in acks), default=0)
        # Edges of octaves, where those of one socket may be fine.
        known = [a for a in acks if a.count]
        if len(known) == 1:
            assert known[0].p50_ns <= group.acks.p50_ns <= 2 * known[0].p50_ns
            checked += group.acks.count
    assert checked > 10


def with_worst(feed: FakeFeed, groups: Sequence[Group]) -> Iterator[tuple[Group, Row]]:
    """Each with its worst socket; its filter lets as many sockets through as it has."""
    for group in groups:
        row = feed.find(group.worst_cookie)
        assert row is not None
        yield group, row
        feed.set_filter(compile_filter(group.filter_text, feed.names))
        assert feed.count() == group.sockets, group.filter_text
        feed.set_filter(None)


def test_a_local_port_is_one_whatever_its_addresses() -> None:
    feed = FakeFeed()
    rows = feed.window(0, feed.count())
    spaces = len({row.rec.netns for row in rows})
    by_port = Counter((row.rec.netns, row.proto, row.rec.sport) for row in rows)
    groups = feed.groups(Grouping.PORT)
    assert sorted(g.sockets for g in groups) == sorted(by_port.values())
    assert any(g.sockets > 1 for g in groups), "or nothing is shown"
    for group, row in with_worst(feed, groups):
        port = f":{row.rec.sport}"
        title = port if row.proto == Proto.TCP else f"{row.proto.name.lower()} {port}"
        assert group.title.partition(" in ")[0] == title
        assert (" in " in group.title) == (spaces > 1)
        term = f"proto = {row.proto.name.lower()} and sport = {port}"
        assert group.filter_text.startswith(term)


def test_an_address_and_port_of_the_peer_is_one_group_whoever_calls_it() -> None:
    feed = FakeFeed()
    rows = feed.window(0, feed.count())
    ends = Counter((r.rec.netns, r.proto, r.remote_addr, r.rec.dport) for r in rows)
    addresses = Counter((r.rec.netns, r.remote_addr) for r in rows)
    assert len(ends) > len(addresses), "or the case compares nothing"
    groups = feed.groups(Grouping.REMOTE_PORT)
    assert sorted(g.sockets for g in groups) == sorted(ends.values())
    assert any(g.sockets > 1 for g in groups), "or nothing is put together"
    for group, row in with_worst(feed, groups):
        assert (group.port or 0) == row.rec.dport
        if row.rec.dport:
            assert f":{row.rec.dport}" in group.title
            port = group.filter_text.partition(" and ")[0].rpartition(":")[2]
            assert port == str(row.rec.dport), "it stands first: a header may cut the rest"
        assert group.title.startswith("udp ") == (row.proto == Proto.UDP)


@pytest.mark.parametrize("name", ["late-reader.nettop", "fake"])
def test_the_numbers_of_all_groups_are_those_of_each(name: str) -> None:
    with ExitStack() as stack:
        if name == "fake":
            feed: FakeFeed | ReplayFeed = FakeFeed()
        else:
            recording = stack.enter_context(closing(Recording(HERE / name)))
            feed = ReplayFeed(recording.samples())
            for _ in range(5):
                feed.tick()
        for grouping in filter(None, Grouping):
            groups = feed.groups(grouping)
            assert isinstance(groups, Groups)
            for order in (groups, groups.in_order(range(len(groups))[::-1])):
                assert len(order) > 0
                for member in COLUMNS:
                    assert order.column(member) == [getattr(group, member) for group in order]
                keys = [order.key_of(at) for at in range(len(order))]
                assert [order.at_key(key) for key in keys] == [*range(len(order))]
                assert order.at_key(b"\xff" * len(keys[0])) is None
            keys = [groups.key_of(at) for at in range(len(groups))]
            assert len(set(keys)) == len(keys)
            other = feed.groups(grouping)
            assert isinstance(other, Groups)
            assert {other.key_of(at): other[at].title for at in range(len(other))} == dict(
                zip(keys, (group.title for group in groups), strict=True)
            )


def test_of_thousands_of_groups_only_those_that_are_shown_are_made() -> None:
    engine, count = FedEngine(), 3000
    messages = [
        connection(i + 1, dst=f"10.0.{i // 250}.{i % 250}", rtt=1000 + i) for i in range(count)
    ]
    for at_s in (10, 11):
        engine.feed_begin(at_s * 10**9)
        engine.feed(NETNS, Proto.TCP, b"".join(messages) + done())
        engine.feed_end(at_s * 10**9)
    engine.order(None, True, 100, False)
    groups = Groups(engine.groups(int(Grouping.REMOTE)), Grouping.REMOTE, FakeFeed().names)
    by_srtt = next(c for c in columns_of(Grouping.REMOTE, 160) if c.title == "SRTT50")
    for column in (None, by_srtt):
        some, by = ordered(groups, Grouping.REMOTE, column)
        assert isinstance(some, Groups)
        assert len(by) == count
        assert by == factors(some, Grouping.REMOTE)
        (middle,) = median_line(some, Grouping.REMOTE, 160, UTF8)
        assert "2.50ms" in "".join(text for text, _ in middle)
        notes(some, by, Grouping.REMOTE, 160, {})
    assert some[0].title == "10.0.11.249:50000"
    assert len(groups._made) <= 3, "the first of each order, of which the median is a copy"
    assert [group.rtt50_ns for group in some[:2]] == [3_999_000, 3_998_000]


def test_what_has_no_remote_end_is_called_as_in_the_table_of_sockets() -> None:
    feed = FakeFeed()
    for grouping in (Grouping.REMOTE, Grouping.REMOTE_PORT):
        titles = Counter(g.title for g in feed.groups(grouping))
        assert max(titles.values()) == 1, "each has its own"
        for group, row in with_worst(feed, feed.groups(grouping)):
            assert ("*" in group.title) == (not row.has_remote)
            assert "0.0.0.0" not in group.title
