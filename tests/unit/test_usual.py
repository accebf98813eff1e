"""Unusual for this flow: what is far above its own intervals before, and above its siblings."""

from __future__ import annotations

import socket as sockets
from collections.abc import Sequence

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.causes.finder import MOST_SLOW, SLOW_TICKS, Finder
from nettop.model.causes import Candidate, PeerKey, SlowPeer
from nettop.model.evidence import NO_TICK
from nettop.model.types import Because, Level, Proto, Row, Verdict
from nettop.model.usual import UsualOf, usual_ns
from nettop.text.explain import explain
from nettop.text.words import who_text
from tests.export.make import make_model
from tests.feeding import FedEngine, after_waits
from tests.netlink import connection, diag, done, skmeminfo

SECOND, MS = 10**9, 10**6
RPC = {"unacked": 1, "snd_cwnd": 10, "delivery_rate_app_limited": 1}
STREAM = {"unacked": 20, "snd_cwnd": 40}


class Flow:
    """A connection whose round trips are measured once a second."""

    def __init__(self, **given: int) -> None:
        self.engine, self.given = FedEngine(), given
        self.at, self.acked = 100, 0

    def tick(self, rtt_us: float, rttvar_us: int = 0, *, acked: bool = True) -> Row:
        self.at += 1
        if acked:
            self.acked = self.at * 1000
        self.engine.feed_begin(self.at * SECOND)
        message = connection(
            1, 280, skmeminfo(), rtt=int(rtt_us), rttvar=rttvar_us, min_rtt=150,
            bytes_acked=self.acked, **self.given,
        )  # fmt: skip
        self.engine.feed(1, Proto.TCP, message + done())
        self.engine.feed_end(self.at * SECOND)
        row = self.engine.find(1)
        assert row is not None
        return row

    def ticks(self, rtts_us: Sequence[float]) -> list[str]:
        """WHO and verdicts of each: `? RTT`."""
        rows = [self.tick(us) for us in rtts_us]
        return [" ".join([who_text(r) or "", *(v.name for v in r.verdicts)]).strip() for r in rows]


def test_a_step_that_a_fixed_factor_does_not_see() -> None:
    flow = Flow(**RPC)
    assert flow.ticks([200] * 10) == [""] * 10
    assert flow.ticks([8000] * 3) == ["", "? RTT", "? RTT"], "two intervals of three"
    row = flow.tick(8000)
    assert (row.rec.because, row.level) == (Because.UNUSUAL, Level.WATCH)
    said = explain(row, None, make_model(), None)
    assert said.evidence.startswith("srtt 8.00ms, once 150µs; usual for this flow is 2")
    assert "or a peer that answers late" in said.unknown
    assert "ping" in said.next_step


def test_no_delayed_ack_explains_what_a_stream_sees() -> None:
    assert Flow(**STREAM).ticks([200] * 10 + [8000] * 3)[-1] == "net? RTT"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([200] * 4, 8000),  # four intervals say nothing
        ([200] * 40, 2500),  # 12 times as long, and too little to cost anything
        ([2500] * 40, 8000),  # a factor of three
        ([200, 8000] * 20, 8000),  # it goes up and down
        ([150, 300, 600, 1200, 2400, 4800] * 10, 9000),
    ],
)
def test_what_is_not_unusual(before: list[float], now: float) -> None:
    flow = Flow(**RPC)
    assert set(flow.ticks([*before, now, now, now])) == {""}


def test_what_is_known_takes_the_blame_at_once_from_what_is_not() -> None:
    flow = Flow(**STREAM)
    assert flow.ticks([200] * 10 + [8000] * 3)[-1] == "net? RTT"
    flow.given |= {"snd_wnd": 0, "wqueue": 50_000}
    assert [said.split()[0] for said in flow.ticks([8000] * 2)] == ["net?", "peer"]


def test_some_slow_exchanges_among_others_are_no_step() -> None:
    flow = Flow(**RPC)
    flow.ticks([200] * 20)
    rows = [flow.tick(8000, rttvar_us=5000) for _ in range(4)]
    assert [r.rec.verdicts for r in rows] == [0] * 4


def test_a_step_is_what_is_usual_some_minutes_later() -> None:
    flow = Flow(**RPC)
    flow.ticks([200] * 60)
    said = flow.ticks([8000] * 240)
    held = said.count("? RTT")
    # 5.3 octaves, of which it says nothing below one and a half (its last was far): 1/32 a tick.
    assert 90 <= held <= 130
    assert set(said[-100:]) == {""}
    assert usual_ns(flow.tick(8000).rec.rtt_usual) == pytest.approx(8 * MS, rel=0.05)


def test_the_median_is_of_the_logarithm_and_knows_no_outliers() -> None:
    flow = Flow(**RPC)
    flow.ticks(([400] * 9 + [40_000]) * 30)
    assert usual_ns(flow.tick(400).rec.rtt_usual) == pytest.approx(0.4 * MS, rel=0.1)


def test_a_full_window_makes_its_queue_itself() -> None:
    flow = Flow(**STREAM)
    flow.ticks([200] * 10)
    for n in range(1, 5):
        flow.given |= {"busy_time": n * 1_000_000, "unacked": 40}
        row = flow.tick(8000)
        assert Verdict.RTT not in row.verdicts
    assert row.rec.lim_cwnd_pct >= 20


def test_between_rare_exchanges_the_last_ones_stand_for_some_seconds() -> None:
    flow = Flow(**RPC)
    flow.ticks([200] * 10)
    flow.tick(8000)
    assert flow.tick(8000).holds(Verdict.RTT)
    held = [flow.tick(8000, acked=False).holds(Verdict.RTT) for _ in range(8)]
    assert held == [True] * held.count(True) + [False] * held.count(False)
    assert 4 <= held.count(True) <= 6


def test_a_connection_that_rested_begins_anew() -> None:
    flow = Flow(**RPC)
    flow.ticks([200] * 10)
    for _ in range(45):
        row = flow.tick(200, acked=False)
    assert usual_ns(row.rec.rtt_usual) is None
    assert flow.ticks([8000] * 4) == [""] * 4


def test_a_reader_that_is_later_than_usual() -> None:
    row = after_waits([[0.05] * 10] * 10 + [[8.0] * 10] * 2)
    assert row.verdicts == [Verdict.READS]
    assert (who_text(row), row.rec.because, row.level) == ("app?", Because.UNUSUAL, Level.WATCH)
    assert usual_ns(row.plane.usual, UsualOf.WAIT) is not None
    said = explain(row, None, make_model(), None)
    assert "usual for this flow is" in said.evidence
    assert said.what == "reads much later than is usual for this flow"


@pytest.mark.parametrize(
    "intervals",
    [
        [[8.0] * 10] * 12,  # it always was
        [[0.05] * 10] * 10 + [[0.05] * 9 + [15.0]] * 3,  # most are not late
        [[0.05] * 10] * 10 + [[8.0] * 2] * 3,  # two say nothing
        [[0.05] * 10] * 10 + [[8.0] * 10],  # once
    ],
)
def test_readers_that_are_not(intervals: list[list[float]]) -> None:
    assert after_waits(intervals).verdicts == []


# --- siblings ---

PORT = 8080


class Service:
    """Connections of this host to one port of several peers."""

    def __init__(self) -> None:
        self.engine, self.finder, self.at = FedEngine(), Finder(), 100

    def tick(
        self,
        rtts_us: Sequence[int],
        least_us: int = 200,
        port: int = PORT,
        here: int | None = None,
        listens: int | None = None,
    ) -> list[Row]:
        """here: the port of this end; None: each has another. listens: behind the others."""
        self.at += 1
        self.engine.feed_begin(self.at * SECOND)
        messages = b"".join(
            connection(
                n, 280, skmeminfo(), rtt=us, min_rtt=least_us, sport=here or 40_000 + n,
                dport=port, dst=f"10.0.0.{n}", bytes_acked=self.at * 1000, **RPC,
            )
            for n, us in enumerate(rtts_us, 1)
        )  # fmt: skip
        if listens is not None:
            messages += diag(9999, state="LISTEN", sport=listens, dport=0, dst="0.0.0.0")
        self.engine.feed(1, Proto.TCP, messages + done())
        self.engine.feed_end(self.at * SECOND)
        nobody: list[Candidate] = []
        self.found = self.finder.tick(
            NO_TICK, nobody, (), self.engine.slow_peers(MOST_SLOW),
            mono_ns=self.at * SECOND, events=True,
        )  # fmt: skip
        self.engine.held_slow([*self.found.slow])
        rows = [self.engine.find(n) for n in range(1, len(rtts_us) + 1)]
        return [row for row in rows if row is not None]


def named(
    rtts_us: Sequence[int], least_us: int = 200, port: int = PORT, ticks: int = 8
) -> list[int]:
    service = Service()
    for _ in range(ticks):
        rows = service.tick(rtts_us, least_us, port)
    return [n for n, row in enumerate(rows, 1) if row.verdicts]


def test_one_slow_peer_of_many_alike_is_named() -> None:
    service = Service()
    rtts = [400, 450, 500, 20_000, 420, 480]
    for _ in range(SLOW_TICKS):
        rows = service.tick(rtts)
        assert not any(row.verdicts for row in rows)
    for _ in range(2):
        rows = service.tick(rtts)
    slow = rows[3]
    assert [row.rec.verdicts != 0 for row in rows] == [False, False, False, True, False, False]
    assert (who_text(slow), slow.rec.because, slow.level) == (
        "peer?",
        Because.SIBLINGS,
        Level.WATCH,
    )
    (peer,) = service.found.slow.values()
    assert sockets.inet_ntoa(peer.key.dst[:4]) == "10.0.0.4"
    assert (peer.siblings, peer.sockets) == (5, 1)
    assert peer.rtt_us == pytest.approx(20_000, rel=0.01)
    assert peer.siblings_rtt_us == pytest.approx(480, rel=0.1)
    model = make_model(slow=service.found.slow)
    said = explain(slow, None, model, None)
    assert "round trips to the other 5 peers at port 8080 take 4" in said.evidence
    assert said.shared == peer.key


@pytest.mark.parametrize(
    ("rtts_us", "least_us", "port"),
    [
        ([400, 450, 500, 20_000], 200, PORT),  # three others say nothing
        ([400, 450, 500, 4000, 420, 480], 200, PORT),  # too little to cost anything
        ([400, 2000, 10_000, 20_000, 800, 5000], 200, PORT),  # they differ anyway
        ([21_000, 22_000, 23_000, 30_000, 21_500, 22_500], 20_000, PORT),  # most of it is distance
    ],
)
def test_peers_of_which_nothing_is_said(rtts_us: list[int], least_us: int, port: int) -> None:
    assert named(rtts_us, least_us, port) == []


ONE_SLOW = [400, 450, 500, 20_000, 420, 480]


@pytest.mark.parametrize(
    ("port", "here", "listens"),
    [
        (31_999, None, None),
        (50_051, None, None),  # as many RPC servers do
        (60_000, None, 8080),  # what listens here has accepted others
        (60_000, 999, None),  # a port below that of the peer, that this end bound
    ],
)
def test_a_service_may_listen_at_any_port(port: int, here: int | None, listens: int | None) -> None:
    service = Service()
    for _ in range(8):
        rows = service.tick(ONE_SLOW, port=port, here=here, listens=listens)
    assert [n for n, row in enumerate(rows, 1) if row.verdicts] == [4]


@pytest.mark.parametrize(("port", "here"), [(50_051, 40_000), (50_051, 8080), (8080, 40_000)])
def test_clients_of_a_listener_are_no_siblings_whatever_their_port(port: int, here: int) -> None:
    service = Service()
    for _ in range(8):
        rows = service.tick(ONE_SLOW, port=port, here=here, listens=here)
        assert not any(row.verdicts for row in rows)


def test_where_listeners_are_not_listed_a_high_port_may_be_a_clients() -> None:
    for port, found in ((8080, [4]), (50_051, [])):
        service = Service()
        service.engine.config.tcp_states &= ~(1 << 10)
        service.engine.configure()
        for _ in range(8):
            rows = service.tick(ONE_SLOW, port=port)
        assert [n for n, row in enumerate(rows, 1) if row.verdicts] == found


def test_a_peer_that_is_no_slower_any_more_is_not_held() -> None:
    service = Service()
    for _ in range(8):
        service.tick([400, 450, 500, 20_000, 420, 480])
    quick = [service.tick([400] * 6) for _ in range(12)]
    assert not quick[-1][3].verdicts
    assert service.found.slow == {}


def test_a_poll_within_an_interval_says_nothing_of_peers() -> None:
    finder, peer = Finder(), SlowPeer(PeerKey(b"\x0a" + bytes(15), 1, PORT, 2), 1, 5, 20_000, 480)
    for at in range(2 * SLOW_TICKS):
        within = bool(at % 2)
        found = finder.tick(
            NO_TICK, (), (), None if within else (peer,), mono_ns=at * SECOND // 2, events=True
        )
    assert [*found.slow] == [peer.key]
