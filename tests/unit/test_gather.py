"""Ticks into tallies: which group a socket is of, and what is counted of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from nettop.compare.gather import ALL, Gatherer, coarse
from nettop.compare.tally import Side, Tally
from nettop.compare.verdict import Verdict, compare
from nettop.feed import Grouping
from nettop.model.types import Detail, Dist, Flag, Histogram, Owner, Plane, PlaneHas, Proc, Row
from tests.export.make import make_model, make_row

RATES = int(Flag.INFO | Flag.RATES | Flag.SKMEM)


class Waits:
    """A feed that has no fine buckets but these."""

    def __init__(self, fine: Histogram | None = None) -> None:
        self.fine = fine

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        return self.fine

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return None


def rows(*some: Row) -> list[tuple[Row, Detail | None]]:
    return [(row, None) for row in some]


def gatherer(grouping: Grouping = Grouping.PROCESS, *, whole: bool = True) -> Gatherer:
    return Gatherer(Side("a", "a", "web-1", 0, 0, 2, 0.0), grouping, whole=whole)


def taken(
    *ticks: Iterable[Row], grouping: Grouping = Grouping.PROCESS, waits: Waits | None = None,
    whole: bool = True,
) -> Side:  # fmt: skip
    """The first tick is the one before the stretch."""
    out = gatherer(grouping, whole=whole)
    first, *rest = ticks
    out.baseline(rows(*first))
    for block, tick in enumerate(rest):
        out.take(make_model(), rows(*tick), waits or Waits(), block)
    return out.finish()


def titles(side: Side) -> list[str]:
    return sorted(g.title for key, g in side.groups.items() if key != ALL)


def only(side: Side) -> Tally:
    (tally,) = (g for key, g in side.groups.items() if key != ALL)
    return tally


V6 = {"family": 10, "dst": bytes(15) + b"\1"}


@pytest.mark.parametrize(
    ("grouping", "changes", "title"),
    [
        ("PROCESS", {}, "nginx :80"),
        ("PROCESS", {"sport": 40000, "dport": 5432}, "nginx → :5432"),
        ("PROCESS", {"sport": 8080, "dport": 9000}, "nginx :8080"),  # the lower one is the service
        ("PROCESS", {"proto": 2, "sport": 53, "dport": 0}, "nginx udp :53"),
        ("PROCESS", {"proc": Proc(0, 0, Owner.KERNEL, 0, "")}, "(kernel) :80"),
        ("REMOTE", {}, "10.0.0.2"),
        ("REMOTE", {"sport": 40000, "dport": 5432}, "10.0.0.2:5432"),
        ("REMOTE", {"sport": 40000, "dport": 5432, **V6}, "[::1]:5432"),
        ("LOCAL", {}, "127.0.0.1:80"),
        ("LOCAL", {"sport": 40000, "dport": 5432}, "127.0.0.1"),
        ("CGROUP", {"cgroup": "/system.slice/nginx.service"}, "/system.slice/nginx.service"),
        ("CGROUP", {}, "–"),
        ("NETNS", {"netns_name": "web"}, "web"),
    ],
)
def test_a_socket_is_of_a_group(grouping: str, changes: dict[str, Any], title: str) -> None:
    row = make_row(**changes)
    assert titles(taken([row], [row], grouping=Grouping[grouping])) == [title]


def test_a_server_on_a_port_of_clients_is_known_by_what_it_accepted() -> None:
    """Tests and containers listen where Linux takes the ports of clients from."""
    served = [make_row(n, sport=45000, dport=50000 + n) for n in (1, 2)]
    asking = [make_row(n, sport=50000 + n, dport=45000) for n in (11, 12)]
    side = taken(served + asking, served + asking)
    assert titles(side) == ["nginx :45000", "nginx → :45000"]


def test_a_client_port_used_towards_two_servers_is_no_server() -> None:
    asking = [make_row(1, sport=45000, dport=80), make_row(2, sport=45000, dport=443)]
    assert titles(taken(asking, asking)) == ["nginx → :443", "nginx → :80"]


def test_counters_are_of_the_stretch() -> None:
    before = make_row(flags=RATES, bytes_sent=1000, bytes_retrans=100, total_retrans=1,
                      bytes_acked=900, bytes_received=50, drops=7)  # fmt: skip
    first = make_row(flags=RATES, bytes_sent=11_000, bytes_retrans=2100, total_retrans=3,
                     bytes_acked=8900, bytes_received=150, drops=7, rtt_us=20_000)  # fmt: skip
    idle = first
    tally = only(taken([before], [first], [idle]))
    retr = tally.counters["retr%"]
    assert (retr.count, retr.exposure, retr.weight) == (2, 10_000, 2000)
    assert tally.counters["tx"].count == 8000
    assert tally.counters["tx"].exposure == 2.0  # seconds of the stretch, idle ones too
    assert tally.counters["rx"].count == 100
    assert tally.counters["drops/s"].count == 0
    assert tally.gauges["srtt"].sockets == {1: (1, 20e6)}  # while nothing is acknowledged it is old


def test_what_dsack_proved_spurious_is_no_loss() -> None:
    before = make_row(flags=RATES)
    resent = make_row(flags=RATES, total_retrans=4, bytes_retrans=4000, bytes_sent=40_000)
    proved = make_row(flags=RATES, total_retrans=4, bytes_retrans=4000, bytes_sent=40_000,
                      dsack_dups=3)  # fmt: skip
    doubled = make_row(flags=RATES, total_retrans=4, bytes_retrans=4000, bytes_sent=40_000,
                       dsack_dups=9)  # by the network: more than were resent  # fmt: skip
    assert only(taken([before], [resent], [proved])).counters["retr%"].genuine == 0.25
    assert only(taken([before], [resent], [doubled])).counters["retr%"].genuine == 1


def test_a_socket_opened_in_the_stretch_counts_from_nothing() -> None:
    new = make_row(flags=RATES | Flag.NEW, bytes_sent=500, bytes_acked=400)
    assert only(taken([], [new])).counters["tx"].count == 400


def test_one_that_was_there_and_was_not_listed_does_not() -> None:
    late = make_row(flags=RATES, bytes_sent=10**9, bytes_acked=10**9)
    more = make_row(flags=RATES, bytes_sent=10**9 + 5, bytes_acked=10**9 + 5)
    assert only(taken([], [late], [more])).counters["tx"].count == 5


def test_a_recorder_that_was_started_anew_begins_anew() -> None:
    g = gatherer()
    g.baseline(rows(make_row(flags=RATES, bytes_acked=100)))
    g.take(make_model(interval_s=None), rows(make_row(flags=RATES, bytes_acked=900)), Waits(), 0)
    g.take(make_model(), rows(make_row(flags=RATES, bytes_acked=950)), Waits(), 1)
    side = g.finish()
    assert (side.seconds, only(side).counters["tx"].count) == (1.0, 50)


WAITED = Dist(4, 4_000, 900, 1500, 1500, 1500)
FINE = Histogram(WAITED, ((896, 912, 3), (1480, 1504, 1)))
OCTAVES = bytes(4 * 5) + (4).to_bytes(4, "little") + bytes(4 * 26)


@pytest.mark.parametrize(
    ("has", "octaves", "buckets"),
    [
        (0, b"", {(896, 912): 3, (1480, 1504): 1}),
        (int(PlaneHas.WAIT_OCTAVES), OCTAVES, {(1024, 2048): 4}),
    ],
)
def test_waits_are_as_fine_as_they_were_counted(
    has: int, octaves: bytes, buckets: dict[tuple[int, int], int]
) -> None:
    plane = Plane(wait=WAITED, wait_octaves=octaves, has=PlaneHas.WAIT | has)
    row = make_row(flags=RATES, plane=plane)
    side = taken([row], [row], [row], waits=Waits(FINE), whole=False)
    times = only(side).times["rxwait"]
    assert times.buckets == {edges: 2 * n for edges, n in buckets.items()}
    assert (times.count, times.max_ns) == (8, 1500)
    assert ALL not in side.groups  # it would be the same again


def test_percentiles_alone_leave_open_what_lies_between() -> None:
    """100 values: the 50th is in p50's bucket, 49 are at most that, 39 between p50 and p90."""
    dist = Dist(100, 0, 640, 1280, 2560, 5000)
    assert coarse(dist, rough=False) == [
        (0.0, 640.0, 49), (620.0, 640.0, 1), (620.0, 1280.0, 39), (1240.0, 1280.0, 1),
        (1240.0, 2560.0, 8), (2480.0, 2560.0, 1), (5000.0, 5000.0, 1),
    ]  # fmt: skip
    assert coarse(Dist(1, 9, 9, 9, 9, 9), rough=False) == [(9 * 31 / 32, 9.0, 1)]
    assert sum(n for *_, n in coarse(Dist(7, 9, 1, 2, 3, 9), rough=True)) == 7


def test_a_listener_counts_nothing() -> None:
    row = make_row(state=10, flags=RATES, plane=Plane(wait=WAITED, has=PlaneHas.WAIT))
    assert titles(taken([row], [row])) == []


def test_unwell_sockets_are_counted_by_tick_listeners_too() -> None:
    well, unwell = make_row(flags=RATES), make_row(flags=RATES, level=2)
    full = make_row(2, state=10, dport=0, level=2)
    side = taken([well], [well], [unwell, full], [well, full], [well])
    counter = only(side).counters["unwell"]
    assert (counter.events, counter.exposures) == (
        {0: 0, 1: 2, 2: 1, 3: 0}, {0: 1, 1: 1, 2: 1, 3: 1},
    )  # fmt: skip
    assert side.groups[ALL].counters["unwell"].count == 3


def test_an_incident_of_verdicts_is_worse_and_one_of_a_moment_is_not_known_to_be() -> None:
    well, unwell = make_row(flags=RATES), [make_row(n, flags=RATES, level=2) for n in range(1, 9)]
    before = taken([well], *[[well]] * 60)
    incident = taken([well], *[[well]] * 30, *[unwell] * 20, *[[well]] * 10)
    moment = taken([well], *[[well]] * 30, *[unwell] * 2, *[[well]] * 28)

    def verdict(a: Side, b: Side) -> Verdict | None:
        return next(c.verdict for c in compare(a, b).found if c.number.id == "unwell")

    assert verdict(before, incident) is Verdict.WORSE
    assert verdict(incident, before) is Verdict.BETTER
    assert verdict(before, moment) is not Verdict.WORSE
    assert not [c for c in compare(before, before).found if c.number.id == "unwell"]
