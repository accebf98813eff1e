"""Legs and tallies of made-up probes."""

from __future__ import annotations

import pytest

from nettop.clocks.follow import SystemTime
from nettop.model.stamps import Sent
from nettop.probe.clock import boot_number, clock_error_ns
from nettop.probe.legs import Leg, Round, near_legs, one_way_bar_ns
from nettop.probe.options import parse_probe, parse_reflect
from nettop.probe.report import means
from nettop.probe.tally import Tally
from nettop.probe.times import Times
from nettop.probe.wire import FarTimes
from nettop.stamps import Flight, Flights, Stamp, StampError, StampType

T = 10**18  # CLOCK_REALTIME of the send
MONO = 5 * 10**12


def flight() -> Flight:
    return Flight(0, Sent(T, MONO, MONO + 50), [T + 100], [T + 300])


def answered(seq: int = 0, far: FarTimes | None = None, took: int = 10_000) -> Round:
    return Round(seq, flight(), 128, T + took, MONO + took, T + took - 500, far)


def far_times(**more: int | None) -> FarTimes:
    base = FarTimes(boot_number(), 1000, T + 2_300, T + 3_000, T + 5_000, 0, None, None)
    return base._replace(**more)  # type: ignore[arg-type]


def test_legs_of_an_echo() -> None:
    assert near_legs(answered()) == {
        Leg.SEND: 100, Leg.QDISC: 200, Leg.NET: 9_200, Leg.WAIT: 500, Leg.ROUND: 10_000,
    }  # fmt: skip


def test_legs_of_reflect_add_up() -> None:
    """All parts of the way, the later told ones too, are the round trip."""
    tally = Tally()
    tally.settle(answered(0, far_times()), stages=("sched", "snd"))
    told = far_times(told_seq=0, told_sched_ns=T + 5_400, told_snd_ns=T + 5_500)
    tally.settle(answered(1, told), stages=("sched", "snd"))
    first = {leg: times.sum_ns for leg, times in tally.legs.items() if times.count == 1}
    assert first == {Leg.FAR_OUT: 500, Leg.BACK: 4_000}
    twice = {leg: times.sum_ns for leg, times in tally.legs.items() if times.count == 2}
    assert twice == {Leg.SEND: 200, Leg.QDISC: 400, Leg.OUT: 4_000, Leg.FAR_IN: 1_400,
                     Leg.FAR_APP: 4_000, Leg.WAIT: 1_000, Leg.ROUND: 20_000}  # fmt: skip
    parts = sum(n for leg, n in twice.items() if leg is not Leg.ROUND) // 2 + sum(first.values())
    assert parts == 10_000


def test_missing_stamps_leave_legs_out_and_are_counted() -> None:
    r = answered()
    r.flight.snds_ns.clear()
    r.arrived_ns = None
    tally = Tally()
    tally.settle(r, stages=("sched", "snd"))
    assert set(tally.legs) == {Leg.SEND, Leg.ROUND}
    assert +tally.stamps_missing == {"snd": 1}


def test_a_probe_that_was_resent_needlessly() -> None:
    """What arrived and was acknowledged is the departure before, not the last one."""
    r = answered(0, far_times())
    r.flight.snds_ns += [T + 2_000, T + 9_000]
    r.flight.ack_ns = T + 6_000
    legs = near_legs(r)
    assert (legs[Leg.QDISC], legs[Leg.OUT], legs[Leg.ACK]) == (200, 300, 4_000)


def test_clocks_that_disagree_are_no_negative_times() -> None:
    tally = Tally()
    tally.settle(answered(0, far_times(arrived_ns=T - 5_000)), stages=())
    assert tally.legs[Leg.OUT].count == 0
    assert tally.legs[Leg.OUT].negative == 1


def test_what_one_way_times_are_good_for() -> None:
    here = far_times()
    assert one_way_bar_ns(here, here.boot, None) == 0
    assert one_way_bar_ns(here, here.boot + 1, 2_000) == 3_000
    assert one_way_bar_ns(here, here.boot + 1, None) is None
    assert one_way_bar_ns(here._replace(clock_error_ns=None), here.boot + 1, 2_000) is None
    assert one_way_bar_ns(here._replace(boot=0), 0, 2_000) == 3_000


def test_what_all_answers_are_good_for_is_what_the_worst_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nettop.probe.tally.clock_error_ns", lambda: 2_000)
    tally = Tally()
    seen = []
    here = boot_number()
    for boot, error in ((here, 0), (here + 1, 5_000), (here + 1, 1_000), (here, 0),
                        (here + 1, None), (here + 1, 1_000)):  # fmt: skip
        tally.settle(answered(0, far_times(boot=boot, clock_error_ns=error)), stages=())
        seen.append((tally.same_kernel, tally.one_way_bar_ns))
    assert seen == [(True, 0), (False, 7_000), (False, 7_000), (False, 7_000), (False, None),
                    (False, None)]  # fmt: skip


@pytest.mark.parametrize(
    ("late_ns", "error_ns", "told"),
    [(-3_000, 1_000, 0), (-3_001, 1_000, None), (-1, None, None), (7, 1_000, 7)],
)
def test_one_way_times_within_the_bar_are_at_once(
    late_ns: int, error_ns: int | None, told: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nettop.probe.tally.clock_error_ns", lambda: 2_000)
    other = far_times(boot=boot_number() + 1, clock_error_ns=error_ns)
    tally = Tally()
    # The departure is at 300, the arrival of the answer at 9 500.
    tally.settle(answered(0, other._replace(arrived_ns=T + 300 + late_ns)), stages=())
    tally.settle(answered(1, other._replace(told_snd_ns=T + 9_500 - late_ns)), stages=())
    out, back = tally.legs[Leg.OUT], tally.legs[Leg.BACK]
    assert (out.negative, back.negative) == ((told is None,) * 2)
    assert back.last_ns == told
    assert out.count == 1 + (told is not None)


def test_the_mean_counts_no_time_twice() -> None:
    r = answered(0, far_times())
    r.left_hw, r.arrived_hw = SystemTime(T + 350, 20), SystemTime(T + 9_400, 20)
    tally = Tally()
    tally.settle(r, stages=())
    tally.settle(answered(1, far_times(told_snd_ns=T + 5_500)), stages=())
    assert {Leg.NIC, Leg.IN} <= set(tally.legs)
    assert sum(ns for _, ns in means(tally)) == 10_000


def test_times_that_are_all_zero() -> None:
    times = Times()
    for _ in range(3):
        times.add(0)
    d = times.histogram().dist
    assert (d.count, d.sum_ns, d.p50_ns, d.p90_ns, d.p99_ns, d.max_ns) == (3, 0, 0, 0, 0, 0)


def test_late_is_three_medians() -> None:
    tally = Tally()
    points = [tally.settle(answered(i), stages=()) for i in range(30)]
    assert not any(p.late for p in points)
    assert tally.settle(answered(31, took=31_000), stages=()).late
    assert not tally.settle(answered(32, took=29_000), stages=()).late
    assert tally.late == 1


def test_loss_counts_probes_whose_fate_is_known() -> None:
    tally = Tally()
    assert tally.loss_pct is None
    tally.answered, tally.sent = 3, 10
    tally.lose(answered())
    assert tally.loss_pct == 25.0


def test_this_clock() -> None:
    assert boot_number() == boot_number() != 0
    error = clock_error_ns()
    assert error is None or error >= 0


def stamp(kind: StampType, key: int, at: int) -> Stamp:
    return Stamp(at, None, None, 0, 0, kind, key, None, None, None, None, StampError(0), 0, b"")


def test_keys_of_a_stream_wrap() -> None:
    flights = Flights(is_stream=True)
    keys = [0xFFFFFFF0, 0xFFFFFFFF, 9]
    for key in keys:
        flights.sent(key, Sent(T, MONO, MONO))
    done = flights.take([stamp(StampType.ACK, 0xFFFFFFF0, T + 1)])
    assert [f.key for f in done] == keys[:1]
    done = flights.take([stamp(StampType.SND, 0xFFFFFFFF, T), stamp(StampType.ACK, 9, T + 1)])
    assert [(f.key, f.ack_ns, f.joined) for f in done] == [
        (0xFFFFFFFF, None, False), (9, T + 1, False),
    ]  # fmt: skip
    assert len(flights) == 0


def test_stamps_of_nothing_are_strays_and_too_many_sends_are_given_up() -> None:
    flights = Flights(is_stream=False, most=3)
    for key in range(5):
        flights.sent(key, Sent(T, MONO + key, MONO))
    flights.take([stamp(StampType.SND, 0, T), stamp(StampType.SND, 4, T)])
    assert (flights.strays, flights.dropped, len(flights)) == (1, 2, 3)
    assert [f.key for f in flights.older_than(MONO + 4)] == [2, 3]


@pytest.mark.parametrize(
    ("words", "host", "port"),
    [("udp 10.0.0.1:9", "10.0.0.1", 9), ("tcp [fe80::1%lo]:80", "fe80::1%lo", 80),
     ("tcp host.example:65535", "host.example", 65535)],
)  # fmt: skip
def test_targets(words: str, host: str, port: int) -> None:
    options = parse_probe(words.split(), {})
    assert (options.host, options.port) == (host, port)


def test_a_rate_is_an_interval() -> None:
    assert parse_probe(["udp", "h:1", "--rate", "50"], {}).interval_s == 0.02
    assert (
        parse_probe(
            [
                "udp",
                "h:1",
                "-i",
                "0.5",
                "-c",
                "7",
                "-s",
                "1400",
                "-6",
                "-I",
                "lo",
                "--hw",
                "--json",
            ],
            {},
        ).count
        == 7
    )
    assert parse_reflect([":9000"], {}).protos == ("tcp", "udp")
    assert parse_reflect(["udp", "10.0.0.1:9000"], {}).host == "10.0.0.1"


def test_hardware_stamps_lie_between_the_software_ones() -> None:
    r = answered()
    r.left_hw, r.arrived_hw = SystemTime(T + 350, 20), SystemTime(T + 9_400, 20)
    legs = near_legs(r)
    assert (legs[Leg.NIC], legs[Leg.IN]) == (50, 100)
    assert legs[Leg.ROUND] == 10_000


@pytest.mark.parametrize(("at", "told"), [(300, 0), (281, 0), (280, 0), (279, -21)])
def test_before_its_cause_within_the_bar_is_at_once(at: int, told: int) -> None:
    r = answered()
    r.left_hw = SystemTime(T + at, 20)
    assert near_legs(r)[Leg.NIC] == told
    tally = Tally()
    tally.settle(r, stages=())
    assert tally.legs[Leg.NIC].negative == (told < 0)


def test_the_widest_bar_is_told_and_what_cannot_be_placed_is_counted() -> None:
    tally = Tally()
    tally.hardware([SystemTime(T, 30), None, SystemTime(T, 20)])
    assert (tally.hardware_bar_ns, tally.hardware_unknown) == (30, 1)
