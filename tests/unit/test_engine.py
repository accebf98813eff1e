"""The table and its arithmetic on built messages: what is a rate, what is unknown, what is gone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from nettop.model.types import Flag, Level, Owner, Proto, Row, Verdict
from nettop.text.fields import FIELDS, Field
from nettop.text.words import who_text
from tests.feeding import FedEngine as Engine
from tests.netlink import connection, diag, done, message, skmeminfo, tcp_info

S = 1_000_000_000
NETNS = 4026531833


@pytest.fixture
def engine() -> Engine:
    return Engine()


def sweep(engine: Engine, at_s: float, *messages: bytes, proto: Proto = Proto.TCP) -> Any:
    engine.feed_begin(int(at_s * S))
    engine.feed(NETNS, proto, b"".join(messages) + done())
    return engine.feed_end(int(at_s * S))


def row(engine: Engine, cookie: int = 1) -> Row:
    found = engine.find(cookie)
    assert found is not None
    return found


def value(engine: Engine, field: str, cookie: int = 1) -> Any:
    f: Field = FIELDS[field]
    return f.value(row(engine, cookie), engine.detail(cookie))


def test_first_interval_has_no_rates(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_acked=5_000_000, total_retrans=9))
    for field in ("tx", "rx", "flow", "retr/s", "retr%", "limited.cwnd"):
        assert value(engine, field) is None, field


def test_rates_are_of_this_interval(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_acked=1000, bytes_received=0, total_retrans=4))
    sweep(engine, 12, connection(1, bytes_acked=5000, bytes_received=600, total_retrans=10))
    assert value(engine, "tx") == pytest.approx(2000)
    assert value(engine, "rx") == pytest.approx(300)
    assert value(engine, "retr/s") == pytest.approx(3)
    sweep(engine, 13, connection(1, bytes_acked=5000, bytes_received=600, total_retrans=10))
    assert value(engine, "tx") == 0
    assert value(engine, "retr/s") == 0


def test_counters_wrap_at_their_width(engine: Engine) -> None:
    sweep(engine, 10, connection(1, total_retrans=0xFFFFFFFE, total_rto=0xFFFF))
    sweep(engine, 11, connection(1, total_retrans=3, total_rto=1, retransmits=1))
    assert value(engine, "retr/s") == pytest.approx(5)


def test_counter_going_back_makes_no_rate(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_acked=1 << 40))
    sweep(engine, 11, connection(1, bytes_acked=100))
    assert value(engine, "tx") is None
    sweep(engine, 12, connection(1, bytes_acked=300))
    assert value(engine, "tx") == pytest.approx(200)


def test_a_connection_begun_again_has_no_rate(engine: Engine) -> None:
    """connect() once more on the same socket: the cookie stays, the counters begin at 0."""
    sweep(engine, 10, connection(1, total_retrans=6, sport=40000, dport=80))
    sweep(engine, 11, connection(1, total_retrans=7, sport=40000, dport=80))
    assert value(engine, "retr/s") == pytest.approx(1)
    sweep(engine, 12, connection(1, total_retrans=0, sport=40001, dport=80))
    assert value(engine, "retr/s") is None
    assert row(engine).rec.sport == 40001


def test_loss_counts_in_its_window_whatever_dsack_said_before(engine: Engine) -> None:
    old: dict[str, Any] = {"snd_mss": 1448, "dsack_dups": 1000}
    for n in range(6):
        sweep(engine, 10 + 5 * n, connection(1, **old, bytes_sent=10_000_000 + n * 1_000_000,
              bytes_retrans=100_000 + n * 100_000, total_retrans=70 + n * 70))  # fmt: skip
    assert Verdict.LOSS in row(engine).verdicts


def test_a_group_is_as_loud_as_its_loudest(engine: Engine) -> None:
    """Also where that one recovers, without a verdict, and another has a quiet one."""
    lossy: dict[str, Any] = {"bytes_sent": 0, "bytes_retrans": 0, "total_retrans": 0}
    for n in range(40):
        held = connection(2, busy_time=n * 1_000_000, notsent_bytes=1000, unacked=9, snd_cwnd=9)
        sweep(engine, 10 + n, connection(1, **lossy), held)
        loud, quiet = row(engine, 1), row(engine, 2)
        if n > 8 and not loud.verdicts:
            break
        if n < 6:
            lossy = {k: v + (100_000, 64_000, 44)[i] for i, (k, v) in enumerate(lossy.items())}
    assert (loud.rec.level, loud.verdicts) == (2, [])
    assert (quiet.rec.level, quiet.verdicts) == (0, [Verdict.CWND])
    for cookies in ([1, 2], [2, 1]):
        group = engine.sum(cookies)
        assert group is not None
        assert group.level == 2


def test_the_blame_does_not_flap(engine: Engine) -> None:
    """Two causes that take turns in being the worse: each may keep it for five seconds."""
    said = []
    busy = sndbuf = 0
    for n in range(24):
        busy, sndbuf = busy + 1_000_000, sndbuf + (250_000 if n % 2 else 900_000)
        sweep(engine, 10 + n, connection(
            1, rtt=100_000, min_rtt=10_000 if n % 2 else 40_000, unacked=40, snd_cwnd=80,
            bytes_acked=n * 1000, busy_time=busy, sndbuf_limited=sndbuf, snd_wnd=65535,
        ))  # fmt: skip
        said.append(who_text(row(engine)))
    said = said[4:]
    changes = [n for n in range(1, len(said)) if said[n] != said[n - 1]]
    assert set(said) <= {"net", "app"}
    assert all(b - a >= 5 for a, b in pairwise(changes)), said
    assert row(engine).level == Level.UNWELL


def test_the_blame_goes_at_once_with_its_cause(engine: Engine) -> None:
    waits: dict[str, Any] = {"rqueue": 400_000, "bytes_received": 900_000, "last_data_recv": 9000}
    far: dict[str, Any] = {"rtt": 100_000, "min_rtt": 20_000, "unacked": 40, "snd_cwnd": 80}
    for n in range(4):
        sweep(engine, 10 + n, connection(1, bytes_acked=n * 1000, **far, **waits))
    assert who_text(row(engine)) == "app"
    for n in range(4, 7):
        sweep(engine, 10 + n, connection(1, bytes_acked=n * 1000, bytes_received=900_000, **far))
    assert who_text(row(engine)) == "net"


def test_retr_pct_leaves_out_what_dsack_proved_spurious(engine: Engine) -> None:
    base: dict[str, Any] = {"snd_mss": 1000, "bytes_sent": 0, "bytes_retrans": 0}
    sweep(engine, 10, connection(1, **base))
    more: dict[str, Any] = {
        "snd_mss": 1000,
        "bytes_sent": 100_000,
        "bytes_retrans": 5000,
        "total_retrans": 5,
        "dsack_dups": 3,
    }
    sweep(engine, 11, connection(1, **more))
    assert value(engine, "retr%") == pytest.approx(2.0)


def test_retr_pct_is_unknown_when_nothing_was_sent(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_sent=500))
    sweep(engine, 11, connection(1, bytes_sent=500))
    assert value(engine, "retr%") is None


@pytest.mark.parametrize(
    "length", [104, 120, 136, 144, 160, 168, 192, 200, 224, 232, 240, 248, 280, 400]
)
def test_every_length_of_tcp_info(engine: Engine, length: int) -> None:
    """Fields exist only as far as the kernel sent them; longer structs keep the known part."""
    info = tcp_info(min(length, 280), rtt=5000, snd_cwnd=7, min_rtt=900, bytes_acked=10) + bytes(
        max(0, length - 280)
    )
    sweep(engine, 10, diag(1, info=info))
    assert value(engine, "srtt") == 5_000_000
    assert value(engine, "cwnd") == 7
    assert value(engine, "minrtt") == (900_000 if length >= 152 else None)
    detail = engine.detail(1)
    assert detail is not None
    assert detail.tcp_info_len == length
    assert ("bytes_acked" in detail.tcp_info) == (length >= 128)
    assert ("snd_wnd" in detail.tcp_info) == (length >= 232)
    assert ("received_ce_bytes" in detail.tcp_info) == (length >= 276)


def test_limited_shares(engine: Engine) -> None:
    sweep(engine, 10, connection(1, busy_time=0))
    sweep(engine, 11, connection(1, busy_time=900_000, rwnd_limited=300_000, sndbuf_limited=100_000,
                                 notsent_bytes=5000, unacked=10, snd_cwnd=10))  # fmt: skip
    assert value(engine, "limited.rwnd") == 30
    assert value(engine, "limited.sndbuf") == 10
    assert value(engine, "limited.cwnd") == 50
    assert value(engine, "limited.in_flight") == 0
    assert value(engine, "limited.idle") == 10


def test_waiting_for_an_ack_is_nobodys_fault(engine: Engine) -> None:
    """An RPC client whose server thinks: busy all the time, nothing held back."""
    quiet: dict[str, Any] = {"delivery_rate_app_limited": 1, "unacked": 1, "snd_cwnd": 10}
    sweep(engine, 10, connection(1, busy_time=0, **quiet))
    sweep(engine, 11, connection(1, busy_time=970_000, **quiet))
    assert value(engine, "limited.cwnd") == 0
    assert value(engine, "limited.in_flight") == 97
    assert row(engine).verdicts == []


def test_full_window_is_cwnd_limited(engine: Engine) -> None:
    full: dict[str, Any] = {"unacked": 10, "snd_cwnd": 10}
    sweep(engine, 10, connection(1, busy_time=0, **full))
    sweep(engine, 11, connection(1, busy_time=1_000_000, **full))
    assert value(engine, "limited.cwnd") == 100
    assert value(engine, "limited.idle") == 0


FULL_BUFFER = skmeminfo(wmem_queued=100_000)  # of 131,072


@pytest.mark.parametrize(
    ("what", "info", "mem", "by"),
    [
        ("Nagle", {"unacked": 1, "notsent_bytes": 1000}, None, "in_flight"),
        ("a cork", {"unacked": 0, "notsent_bytes": 1200}, None, "in_flight"),
        ("pacing", {"unacked": 2, "notsent_bytes": 70_000}, None, "in_flight"),
        ("pacing at its own limit", {"unacked": 8, "notsent_bytes": 70_000, "pacing_rate": 5000,
         "max_pacing_rate": 5000}, None, "in_flight"),
        ("a dead peer", {"unacked": 1, "snd_cwnd": 1, "notsent_bytes": 70_000, "retransmits": 5,
         "ca_state": 4}, None, "in_flight"),
        ("one request", {"unacked": 10, "delivery_rate_app_limited": 1}, None, "in_flight"),
        ("a full window", {"unacked": 10, "notsent_bytes": 70_000}, FULL_BUFFER, "cwnd"),
        ("a burst put off", {"unacked": 7, "notsent_bytes": 70_000}, FULL_BUFFER, "cwnd"),
        ("in recovery", {"unacked": 18, "notsent_bytes": 70_000, "ca_state": 3}, None, "cwnd"),
        ("a full buffer", {"unacked": 9}, FULL_BUFFER, "sndbuf"),
        ("a full buffer under Nagle", {"unacked": 4, "notsent_bytes": 900}, FULL_BUFFER, "sndbuf"),
        ("a buffer with room", {"unacked": 9}, skmeminfo(wmem_queued=80_000), "in_flight"),
    ],
)  # fmt: skip
def test_what_holds_a_sender_back(
    engine: Engine, what: str, info: dict[str, int], mem: bytes | None, by: str
) -> None:
    base = {"snd_mss": 1448, "snd_cwnd": 10, "rtt": 20_000, "max_pacing_rate": 2**64 - 1} | info
    for n in range(2):
        sweep(engine, 10 + n, connection(1, skmem=mem, busy_time=n * 1_000_000, **base))
    shares = {w: value(engine, f"limited.{w}") for w in ("cwnd", "in_flight", "sndbuf")}
    assert shares == {w: 100 if w == by else 0 for w in shares}, what


def test_limited_needs_a_second(engine: Engine) -> None:
    engine.config.roll_ms = 50
    engine.configure()
    sweep(engine, 10.0, connection(1, busy_time=0))
    sweep(engine, 10.3, connection(1, busy_time=300_000))
    assert value(engine, "limited.idle") is None
    sweep(engine, 11.0, connection(1, busy_time=600_000))
    assert value(engine, "limited.in_flight") == 60


def test_removed_after_two_misses(engine: Engine) -> None:
    sweep(engine, 10, connection(1), connection(2))
    totals = sweep(engine, 11, connection(2))
    assert row(engine, 1).flags & Flag.MISSED
    assert totals.closed == 0
    totals = sweep(engine, 12, connection(2))
    assert engine.find(1) is None
    assert totals.closed == 1
    assert engine.find(2) is not None


def test_time_wait_moves_nothing(engine: Engine) -> None:
    """The rates of the connection that it was end with it."""
    engine.config.rows_all = 1
    engine.configure()
    for n in range(2):
        sweep(engine, 10 + n, connection(1, bytes_acked=n * 6_000_000, total_retrans=n))
    totals = sweep(engine, 12, diag(1, state="TIME_WAIT"))
    assert value(engine, "tx") is None, "nobody told what it moved at last"
    assert totals.tx_bytes_per_s == totals.retrans_per_s == 0
    totals = sweep(engine, 13, diag(1, state="TIME_WAIT"))
    assert totals.matched == 1
    assert totals.tx_bytes_per_s == 0
    assert row(engine).rec.flow_bytes_per_s == 0


def test_what_is_gone_has_no_rate(engine: Engine) -> None:
    for n in range(3):
        totals = sweep(engine, 10 + n, connection(1, bytes_acked=n * 1000, bytes_received=n,
                       total_retrans=n, bytes_sent=n * 1000, busy_time=n * 1000))  # fmt: skip
    assert totals.tx_bytes_per_s == 1000
    totals = sweep(engine, 13)
    assert (totals.matched, totals.tx_bytes_per_s, totals.rx_bytes_per_s) == (1, 0, 0)
    assert totals.retrans_per_s == 0
    for field in ("tx", "rx", "retr/s", "retr%", "flow", "limited.idle"):
        assert value(engine, field) is None, field
    group = engine.sum([1])
    assert group is not None
    assert group.tx_bytes_per_s < 0, "none of it has a rate"


def test_a_socket_seen_again_was_only_missed(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_acked=0))
    sweep(engine, 11)
    sweep(engine, 12, connection(1, bytes_acked=4000))
    assert not row(engine).flags & Flag.MISSED
    assert value(engine, "tx") == pytest.approx(2000)


def feed_failing(engine: Engine, proto: Proto, error: int) -> None:
    with pytest.raises(OSError, match="nt_feed"):
        engine.feed(NETNS, proto, done(-error))


def test_a_failed_dump_proves_nothing_of_what_it_lists(engine: Engine) -> None:
    sweep(engine, 10, connection(1))
    for at in (11, 12, 13):
        engine.feed_begin(at * S)
        feed_failing(engine, Proto.TCP, 105)
        totals = engine.feed_end(at * S)
        assert (totals.dumps, totals.failed, totals.closed) == (1, 1, 0)
        (failure,) = engine.failures()
        assert (failure.netns, failure.proto, failure.error) == (NETNS, Proto.TCP, 105)
    assert row(engine).flags & Flag.MISSED
    sweep(engine, 14, connection(1))
    assert not row(engine).flags & Flag.MISSED


def test_what_no_dump_lists_any_more_is_known_no_longer(engine: Engine) -> None:
    sweep(engine, 10, connection(1))
    for at in range(11, 20):
        engine.feed_begin(at * S)
        feed_failing(engine, Proto.TCP, 105)
        totals = engine.feed_end(at * S)
        assert totals.closed == 0, "it was not seen to close"
    assert engine.find(1) is None


@pytest.mark.parametrize("error", [2, 1, 105], ids=["no udp_diag", "refused", "overrun"])
def test_a_failed_dump_keeps_no_socket_of_another_protocol(engine: Engine, error: int) -> None:
    closing = [connection(n) for n in range(1, 8)]
    for at in range(10, 17):
        engine.feed_begin(at * S)
        engine.feed(NETNS, Proto.TCP, b"".join(closing) + done())
        feed_failing(engine, Proto.UDP, error)
        totals = engine.feed_end(at * S)
        closing.pop()
    assert totals.tcp == 1
    assert [n for n in range(1, 8) if engine.find(n)] == [1, 2], "the last one was missed once"


def test_a_failed_dump_keeps_no_socket_of_another_namespace(engine: Engine) -> None:
    engine.feed_begin(10 * S)
    engine.feed(NETNS, Proto.TCP, connection(1) + done())
    engine.feed(NETNS + 1, Proto.TCP, connection(2) + done())
    engine.feed_end(10 * S)
    for at in (11, 12):
        engine.feed_begin(at * S)
        feed_failing(engine, Proto.TCP, 1)
        engine.feed(NETNS + 1, Proto.TCP, done())
        engine.feed_end(at * S)
    assert engine.find(1) is not None
    assert engine.find(2) is None


DAYS_50 = 50 * 86400  # later than 2^32 ms


def test_ages_after_seven_weeks(engine: Engine) -> None:
    """Engine milliseconds fill 32 bits after 49.7 days."""
    late: dict[str, Any] = {"bytes_retrans": 0, "bytes_sent": 0, "total_retrans": 0}
    sweep(engine, 0, connection(9))
    sweep(engine, DAYS_50, connection(1, **late), connection(2, state="LISTEN"))
    for n in range(1, 4):
        late = {"bytes_retrans": n * 90_000, "bytes_sent": n * 100_000, "total_retrans": n * 70}
        state = "CLOSE_WAIT" if n == 3 else "ESTABLISHED"
        sweep(engine, DAYS_50 + n, connection(1, state=state, **late),
              connection(2, state="LISTEN", rqueue=9, wqueue=9))  # fmt: skip
    rec = row(engine).rec
    assert engine.milliseconds() == (DAYS_50 + 3) * 1000
    assert rec.first_seen_s == DAYS_50
    assert rec.state_since_s == DAYS_50 + 3
    assert rec.level == 2
    assert rec.verdict_since_s == rec.well_since_s - 1 == DAYS_50 + 2
    assert row(engine, 2).rec.verdict_since_s == DAYS_50 + 2


def test_unread_for_more_than_seven_weeks_stays_a_lower_bound(engine: Engine) -> None:
    days: tuple[int, ...] = (1, 20, 30, 49, 50, 51, 60)
    told = []
    for day in days:
        sweep(engine, day * 86400, connection(1, rqueue=5, bytes_received=5))
        told.append(value(engine, "unread") / 86400 / S)
    assert told == pytest.approx([0, 19, 2**31 / 86400e3] + [2**31 / 86400e3] * 4, rel=1e-3)


def test_loss_across_the_wrap_of_milliseconds(engine: Engine) -> None:
    sweep(engine, 0, connection(9))
    lossy: dict[str, Any] = {"bytes_sent": 0, "bytes_retrans": 0, "total_retrans": 0}
    for n in range(20):
        sweep(engine, 2**32 // 1000 - 10 + n, connection(1, **lossy))
        lossy = {k: v + (100_000, 5_000, 4)[i] for i, (k, v) in enumerate(lossy.items())}
        if n > 3:
            assert row(engine).verdicts == [Verdict.LOSS], n


def test_listed_twice_in_one_dump(engine: Engine) -> None:
    sweep(engine, 10, connection(1, bytes_acked=0))
    totals = sweep(engine, 11, connection(1, bytes_acked=1000), connection(1, bytes_acked=1001))
    assert totals.duplicates == 1
    assert totals.tcp == 1
    assert value(engine, "tx") == pytest.approx(1000)


def test_cookie_not_tuple_is_the_identity(engine: Engine) -> None:
    """The same 4-tuple used again is another socket: no rate from the old counters."""
    sweep(engine, 10, connection(1, bytes_acked=10_000))
    sweep(engine, 11, connection(2, bytes_acked=20_000))
    assert value(engine, "tx", 2) is None


def test_ipv4_mapped_is_shown_as_ipv4(engine: Engine) -> None:
    sweep(engine, 10, connection(1, src="::ffff:10.1.2.3", dst="::ffff:10.4.5.6"))
    assert row(engine).local_addr == "10.1.2.3"
    assert row(engine).remote_addr == "10.4.5.6"


def test_family_choice_counts_mapped_as_ipv4(engine: Engine) -> None:
    engine.config.family = 2
    engine.configure()
    sweep(engine, 10, connection(1, src="::ffff:10.1.2.3", dst="::ffff:10.4.5.6"),
          connection(2, src="2001:db8::1", dst="2001:db8::2"))  # fmt: skip
    assert engine.find(1) is not None
    assert engine.find(2) is None


def test_default_rows(engine: Engine) -> None:
    mem = skmeminfo()
    sweep(
        engine, 10,
        connection(1),
        connection(2, state="LISTEN", rqueue=10, wqueue=128),
        connection(3, state="LISTEN", rqueue=103, wqueue=128),
        connection(4, state="TIME_WAIT"),
        connection(5, state="CLOSE_WAIT"),
    )  # fmt: skip
    assert engine.order(None, True, 100, False) == 3
    assert {r.cookie for r in engine.window(0, 10)} == {1, 3, 5}
    sweep(
        engine, 11,
        diag(11, state="CLOSE", attrs={"skmeminfo": mem}),
        diag(12, state="CLOSE", rqueue=768, attrs={"skmeminfo": mem}),
        diag(13, state="CLOSE", attrs={"skmeminfo": skmeminfo(drops=4)}),
        proto=Proto.UDP,
    )  # fmt: skip
    engine.order(None, True, 100, False)
    assert {12, 13} <= {r.cookie for r in engine.window(0, 10)}
    assert 11 not in {r.cookie for r in engine.window(0, 10)}


def test_owner_words_without_a_process(engine: Engine) -> None:
    engine.config.rows_all = 1
    engine.configure()
    sweep(engine, 10, connection(1, inode=0), connection(2, inode=0, state="FIN_WAIT2"),
          connection(3, inode=77), connection(4, inode=0, state="CLOSE_WAIT"))  # fmt: skip
    assert row(engine, 1).proc.owner == Owner.NOT_ACCEPTED
    assert row(engine, 2).proc.owner == Owner.ORPHAN
    assert row(engine, 3).proc.owner == Owner.UNKNOWN
    assert row(engine, 4).proc.owner == Owner.NOT_ACCEPTED


def test_oldest_unread_grows_while_nobody_reads(engine: Engine) -> None:
    sweep(engine, 10, connection(1, rqueue=500, bytes_received=500, last_data_recv=0))
    assert value(engine, "unread") == 0
    sweep(engine, 11, connection(1, rqueue=900, bytes_received=900, last_data_recv=10))
    assert value(engine, "unread") == 1_000_000_000
    sweep(engine, 12, connection(1, rqueue=900, bytes_received=1000, last_data_recv=10))
    assert value(engine, "unread") == 10_000_000, "the reader moved: only the last arrival is sure"
    sweep(engine, 13, connection(1, rqueue=0, bytes_received=1000))
    assert value(engine, "unread") is None


def test_data_after_an_empty_queue_is_young(engine: Engine) -> None:
    """The reader's place stands still while nothing comes: that is not the data's age."""
    sweep(engine, 10, connection(1, rqueue=0, bytes_received=500))
    sweep(engine, 60, connection(1, rqueue=0, bytes_received=500))
    sweep(engine, 61, connection(1, rqueue=100, bytes_received=600, last_data_recv=2))
    assert value(engine, "unread") == 2_000_000


def test_stuck_before_nettop_started(engine: Engine) -> None:
    sweep(engine, 10, connection(1, rqueue=500, bytes_received=500, last_data_recv=42_000))
    assert value(engine, "unread") == 42_000_000_000


def test_a_fin_is_not_unread_data(engine: Engine) -> None:
    sweep(engine, 10, connection(1, state="CLOSE_WAIT", rqueue=1, bytes_received=500,
                                 last_data_recv=90_000))  # fmt: skip
    assert value(engine, "unread") is None


def test_extra_sweep_keeps_the_baseline(engine: Engine) -> None:
    engine.config.roll_ms = 600
    engine.configure()
    sweep(engine, 10, connection(1, bytes_acked=0))
    sweep(engine, 10.1, connection(1, bytes_acked=100))
    assert value(engine, "tx") is None
    sweep(engine, 11, connection(1, bytes_acked=1000))
    assert value(engine, "tx") == pytest.approx(1000)


def test_listener_has_no_connection_numbers(engine: Engine) -> None:
    sweep(engine, 10, connection(1, state="LISTEN", rqueue=200, wqueue=128, unacked=200))
    for field in ("srtt", "cwnd", "tx", "retr/s", "lost", "minrtt"):
        assert value(engine, field) is None, field
    assert value(engine, "rcvq") == 200
    assert value(engine, "sndq") == 128


def test_totals(engine: Engine) -> None:
    sweep(engine, 10, connection(1), connection(2, state="LISTEN", wqueue=5))
    resent: dict[str, Any] = {"bytes_retrans": 60, "total_retrans": 1}
    totals = sweep(engine, 11, connection(1, bytes_acked=500, bytes_sent=600, **resent),
                   connection(3), connection(2, state="LISTEN", wqueue=5))  # fmt: skip
    assert (totals.tcp, totals.opened, totals.matched) == (3, 1, 2)
    assert totals.by_state[1] == 2
    assert totals.by_state[10] == 1
    assert totals.tx_bytes_per_s == pytest.approx(500)
    assert totals.flow_retrans_pct == pytest.approx(10)


def test_malformed_messages_are_counted(engine: Engine) -> None:
    whole = connection(1)
    totals = sweep(engine, 10, message(20, whole[16:60]), connection(2), message(20, b""))
    assert totals.malformed == 2
    assert totals.tcp == 1


def test_capture_replays_to_the_same_rows(engine: Engine) -> None:
    first = b"".join([connection(1, rtt=77), connection(2, rtt=88)])
    a, b = Engine(), Engine()
    for e in (a, b):
        sweep(e, 10, first)
    assert row(a, 2).rec == row(b, 2).rec


def test_groups_and_sum(engine: Engine) -> None:
    many = [connection(i, dst=f"10.0.1.{i % 3}", rtt=1000 * i, rqueue=10) for i in range(1, 10)]
    sweep(engine, 10, *many)
    engine.order(None, True, 100, False)
    found, count = engine.groups(2)
    groups = {bytes(g.key)[:4]: (g.sockets, g.rtt50_us, g.rtt_max_us) for g in found[0:count]}
    assert groups == {
        bytes([10, 0, 1, 0]): (3, 6000, 9000),
        bytes([10, 0, 1, 1]): (3, 4000, 7000),
        bytes([10, 0, 1, 2]): (3, 5000, 8000),
    }
    total = engine.sum([1, 2, 999])
    assert total is not None
    assert (total.sockets, total.rqueue_bytes) == (2, 20)


@pytest.mark.parametrize("descending", [True, False])
def test_order_puts_unknown_last(engine: Engine, descending: bool) -> None:
    many = [connection(i, min_rtt=i * 10) for i in range(1, 200)]
    many += [
        connection(1000, min_rtt=0xFFFFFFFF),
        connection(1001, state="LISTEN", rqueue=9, wqueue=9),
    ]
    sweep(engine, 10, *many)
    count = engine.order(FIELDS["minrtt"], descending, 20, False)
    cookies = [r.cookie for r in engine.window(0, count)]
    assert set(cookies[-2:]) == {1000, 1001}
    expected = sorted(range(1, 200), reverse=descending)
    assert cookies[:-2] == expected


@pytest.mark.parametrize("upto", [1, 5, 33, 64, 500, 5000])
def test_partial_order_agrees_with_a_full_sort(engine: Engine, upto: int) -> None:
    many = [connection(i, rtt=1 + (i * 7919) % 1000) for i in range(1, 3000)]
    sweep(engine, 10, *many)
    engine.order(FIELDS["srtt"], True, upto, False)
    seen = [r.rec.rtt_us for r in engine.window(0, upto)]
    assert seen == sorted((1 + (i * 7919) % 1000 for i in range(1, 3000)), reverse=True)[:upto]
    deep = [r.rec.rtt_us for r in engine.window(2500, 100)]
    assert deep == sorted(deep, reverse=True)
    cookie = engine.window(1234, 1)[0].cookie
    assert engine.position(cookie) == 1234


def test_held_order_appends_newcomers(engine: Engine) -> None:
    sweep(engine, 10, *[connection(i, rtt=i) for i in range(1, 6)])
    engine.order(FIELDS["srtt"], True, 100, False)
    sweep(engine, 11, *[connection(i, rtt=100 - i) for i in (1, 2, 3, 5)], connection(9, rtt=999))
    sweep(engine, 12, *[connection(i, rtt=100 - i) for i in (1, 2, 3, 5)], connection(9, rtt=999))
    engine.order(FIELDS["srtt"], True, 100, True)
    assert [r.cookie for r in engine.window(0, 10)] == [5, 3, 2, 1, 9]
    engine.order(FIELDS["srtt"], True, 100, False)
    assert [r.cookie for r in engine.window(0, 10)] == [9, 1, 2, 3, 5]


def test_a_copy_of_one_socket_has_room_for_many(engine: Engine) -> None:
    sweep(engine, 10, connection(1))
    assert engine.order(None, True, 100, False) == 1
    twin = engine.twin(tuple)
    assert isinstance(twin, Engine)
    for at_s in (11, 12, 13):  # two lists of the order take turns
        sweep(twin, at_s, *(connection(1 + i) for i in range(5_000)))
        assert twin.order(None, True, 100, False) == 5_000
        assert len({row.cookie for row in twin.window(0, 5_000)}) == 5_000
