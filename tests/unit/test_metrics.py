"""nettop serve's numbers: groups stay few, counters never fall, histograms are exact."""

from __future__ import annotations

import random
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nettop.engine import ffi, lib
from nettop.engine.counter import ROLES, Counter, Key
from nettop.engine.edges import OCTAVE_EDGES, OCTAVES
from nettop.engine.handle import Engine
from nettop.engine.wire import EMPTY_REC, PROC, REC, Rec, pack_plane
from nettop.metrics import exposition, names
from nettop.metrics.families import (
    WAIT_BOUNDS,
    WAIT_OCTAVES,
    Family,
    Sample,
    octave_buckets,
)
from nettop.metrics.gather import Gatherer
from nettop.metrics.groups import AHEAD, STAY_S, Groups
from nettop.metrics.hostside import PATH_BOUNDS, path_family
from nettop.metrics.labels import LONGEST, OTHER, Labeller, Labels, PeerTable
from nettop.metrics.series import Count, Octaves, Series, octave_of
from nettop.model.cost import Cost
from nettop.model.events import EventFlag, EventsTick, EventType, TypeCount
from nettop.model.path import Hook, HookTick, PathCounts
from nettop.model.services import service_of
from nettop.model.types import (
    NO_HISTOGRAM,
    NO_PLANE,
    Dist,
    Flag,
    Histogram,
    HostCounters,
    Model,
    Owner,
    Plane,
    PlaneHas,
    Proto,
    Sick,
    SourceStatus,
    Totals,
    Verdict,
    Who,
)
from tests.unit.sections import section

NETNS = 4_026_531_840
LINGERS = 100  # cookies of tests begin with 0, which is no socket's


class One(NamedTuple):
    """A socket as the engine has it."""

    rec: Any
    pid: int
    owner: int
    comm: bytes
    plane: Plane

    @property
    def packed(self) -> bytes:
        rec = self.rec._replace(cookie=self.rec.cookie + LINGERS)
        proc = PROC.pack(self.pid, 0, self.owner, 0, 0, self.comm)
        return bytes(REC.pack(*rec)) + proc + pack_plane(self.plane)


def socket(cookie: int, **members: Any) -> One:
    """A client's TCP socket on this host's port 443; members of struct nt_rec, of its holder, of
    what the planes know."""
    usual: dict[str, Any] = {
        "cookie": cookie, "netns": NETNS, "family": 2, "proto": Proto.TCP, "state": 1, "pid": 9,
        "owner": 1, "comm": b"web", "sport": 443, "dport": 40_000 + cookie % 20_000,
        "src": bytes([10, 0, 0, 1]).ljust(16, b"\0"),
        "dst": bytes([10, 0, cookie % 250, 7]).ljust(16, b"\0"), "flags": Flag.INFO,
    }  # fmt: skip
    given = usual | members
    holder = [given.pop(name) for name in ("pid", "owner", "comm")]
    rec = {name: given.pop(name) for name in [*given] if name in Rec._fields}
    pid, owner, comm = holder
    return One(EMPTY_REC._replace(**rec), pid, owner, comm, replace(NO_PLANE, **given))


def listener(port: int) -> One:
    return socket(10_000 + port, state=10, sport=port, dport=0, dst=bytes(16), wqueue=128)


class Names:
    def cgroup(self, cgroup_id: int) -> str | None:
        return {7: "/system.slice/db.service", 8: "/" + "x" * 300}.get(cgroup_id)

    def container(self, path: str) -> str | None:
        return None

    def netns_name(self, inode: int) -> str | None:
        return None


class Feed:
    """What a live feed says, tick by tick."""

    host_counters = HostCounters(out_segs=1000, retrans_segs=5)

    def __init__(self) -> None:
        self.sockets: list[One] = []
        self.ill: list[Sick] = []
        self.ends: list[bytes] = []  # struct nt_closed

    def count_sockets(
        self, counter: Counter, now_ns: int, after: int, *, filtered: bool
    ) -> list[Key]:
        engine = self.engine = Engine()
        engine.config.rows_all = 1
        engine.configure()
        ill = {one.cookie: one for one in self.ill}
        rows = b"".join(_ill(one, ill.get(one.rec.cookie)).packed for one in self.sockets)
        engine.load(rows, ffi.NULL, len(self.sockets))
        engine.take(closes(self.ends))
        return counter.begin(engine, now_ns, after, filtered=filtered)

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        return None


def model(at_s: float, closed: int = 0) -> Model:
    counts = tuple(TypeCount(closed if kind is EventType.CLOSED else 0) for kind in EventType)
    events = EventsTick(counts, counts, (), (), 0, 0, 0, 0, 0, 1, 1.0)
    totals = Totals(
        tcp=1, udp=0, mptcp=0, by_state={"ESTABLISHED": 1}, matched=1, unwell=0, watch=0, who={},
        opened=0, closed=0, tx_bytes_per_s=0, rx_bytes_per_s=0, matched_retrans_per_s=0,
        retr_pct=None, retrans_per_s=0, resets_per_s=0,
    )  # fmt: skip
    return Model(
        seq=1 + int(at_s), mono_ns=int(at_s * 1e9), wall_ns=int((1_000_000 + at_s) * 1e9),
        interval_s=1.0, host="h", kernel="k", sources=(SourceStatus("wait", "ok"),), cost=Cost(),
        totals=totals, events=events,
    )  # fmt: skip


def _ill(one: One, sick: Sick | None) -> One:
    if sick is None:
        return one
    said = {name: getattr(sick, name) for name in ("verdicts", "verdicts_unwell", "verdict",
                                                   "verdict2", "who", "who2")}  # fmt: skip
    return one._replace(rec=one.rec._replace(**said))


def closes(ends: Sequence[bytes]) -> bytes:
    """Sections of an interval in which sockets closed."""
    head = ffi.new("struct nt_events_head *", {"read": 2, "now": {"first_seq": 1}})
    sizes = ffi.sizeof("struct nt_event") | ffi.sizeof("struct nt_closed") << 16
    return section(lib.NT_S_EVENTS, 0, bytes(ffi.buffer(head))) + section(
        lib.NT_S_EVENT_RECORDS, sizes, b"".join(ends)
    )


def end(one: One, *, born_ns: int = 5, state: int = 1, at_ns: int = 1, **last: Any) -> bytes:
    """struct nt_closed; last: its members."""
    rec, closed = one.rec, ffi.new("struct nt_closed *", {"born_ns": born_ns, **last})
    event = {
        "at_ns": at_ns, "cookie": rec.cookie + LINGERS, "netns": rec.netns,
        "type": EventType.CLOSED,
        "family": 2, "proto": 6, "state": state, "new_state": 7, "flags": int(EventFlag.OWNER),
        "sport": rec.sport, "dport": rec.dport, "src": rec.src, "dst": rec.dst, "pid": one.pid,
        "comm": one.comm, "rtt_us": 250,
    }  # fmt: skip
    for name, value in event.items():
        setattr(closed.ev, name, value)
    return bytes(ffi.buffer(closed))


def labeller(*by: str, peers: dict[str, Any] | None = None) -> Labeller:
    return Labeller(by or ("process", "service"), Names(), PeerTable(peers or {}))


class Run:
    """A gatherer that is fed tick by tick."""

    def __init__(self, *by: str, top: int = 100) -> None:
        self.feed, self.at_s = Feed(), 0.0
        of = labeller(*by)
        groups = Groups(Counter(of.by), of.other, top=top, expire_s=600)
        self.gatherer = Gatherer(of, groups, whole=True)

    def tick(self, *sockets: One, step_s: float = 1.0) -> None:
        self.at_s += step_s
        self.feed.sockets = list(sockets)
        self.gatherer.take(model(self.at_s, len(self.feed.ends)), self.feed)

    def count(self, which: Count, **labels: str) -> float:
        return sum(
            s.counts[which]
            for s in self.gatherer.groups.series
            if labels.items() <= dict(s.labels).items()
        )

    def series(self, **labels: str) -> Series:
        found = [s for s in self.gatherer.groups.series if labels.items() <= dict(s.labels).items()]
        assert len(found) == 1, found
        return found[0]


# --- labels ---


def test_a_peer_is_of_the_narrowest_network_that_has_a_name_else_of_its_24_or_56() -> None:
    table = PeerTable(
        {"corp": [ip_network("10.0.0.0/8")], "db": [ip_network("10.0.4.0/24")],
         "six": [ip_network("2001:db8::/32")]}
    )  # fmt: skip
    v4 = {"10.0.4.9": "db", "10.9.9.9": "corp", "192.0.2.77": "192.0.2.0/24"}
    for text, group in v4.items():
        raw = bytes(map(int, text.split("."))).ljust(16, b"\0")
        assert table.of(2, raw) == group
    six = bytes.fromhex("20010db8000000000000000000000001")
    assert table.of(10, six) == "six"
    assert table.of(10, b"\x20\x02" + six[2:]) == "2002:db8::/56"
    assert table.of(2, bytes(16)) == ""  # of a UDP socket without a peer
    assert PeerTable({}).of(2, bytes([192, 0, 2, 77]).ljust(16, b"\0")) == "192.0.2.0/24"


def keys_of(by: str, *sockets: One) -> list[Key]:
    """Each that these sockets have, in their order."""
    feed, counter = Feed(), Counter((by,))
    feed.sockets = [*sockets]
    return feed.count_sockets(counter, 1, 0, filtered=False)


def test_a_port_is_that_of_the_service_and_never_of_a_client() -> None:
    of = labeller("service")
    cases = {
        (443, 40_001): ("server", "443"),
        (40_001, 443): ("client", "443"),
        (40_555, 40_002): ("server", "40555"),  # it listens there
        (40_003, 40_004): ("", ""),
    }
    for (ours, theirs), (role, port) in cases.items():
        one = socket(1, sport=ours, dport=theirs)
        keys = keys_of("service", listener(40_555), one)
        labels = {of.of(key) for key in keys} - {(("role", "server"), ("port", "40555"))}
        assert labels | {(("role", "server"), ("port", "40555"))} == {
            (("role", role), ("port", port)), (("role", "server"), ("port", "40555")),
        }  # fmt: skip
    unconnected = socket(1, proto=Proto.UDP, sport=51_000, dport=0, state=7)
    (key,) = keys_of("service", unconnected)
    assert of.of(key) == (("role", ""), ("port", ""))


_PORTS = st.sampled_from([0, 1, 443, 8080, 32_767, 32_768, 40_555, 65_535])


@given(_PORTS.filter(bool), _PORTS, st.sets(_PORTS.filter(bool), max_size=2))
@settings(max_examples=200, deadline=None)
def test_services_are_what_the_rule_of_others_says(ours: int, theirs: int, at: set[int]) -> None:
    serving = {(NETNS, port) for port in at}
    server, port = service_of(NETNS, ours, theirs, serving)
    known = port < 32_768 or (NETNS, port) in serving
    expected = (("server" if server else "client"), port) if known else ("", 0)
    one = socket(1, sport=ours, dport=theirs)
    keys = keys_of("service", one, *map(listener, sorted(at)))
    assert (ROLES[keys[0].role], keys[0].port) == expected


def test_hostile_names_become_harmless_labels() -> None:
    of = labeller("process", "container")
    key = Key(8, bytes(16), b'\x1b]0;x"\\\n\xff'.ljust(16, b"\0"), 0, 0, 0, 0, Owner.PROC)
    (_, process), (_, container) = of.of(key)
    assert process == '?]0;x"\\?\ufffd'
    assert len(container) == LONGEST + 1
    family = Family(names.SOCKETS, [Sample((("process", process),), 1)])
    assert rb'{process="?]0;x\"\\?' in exposition.text([family])


# --- counting ---


def test_a_socket_counts_from_its_beginning_and_one_that_was_there_before_from_then_on() -> None:
    run = Run()
    run.tick(socket(1, bytes_sent=1000, bytes_acked=1000), listener(443))
    assert run.count(Count.SENT_BYTES) == 0
    new = socket(2, bytes_sent=70, flags=Flag.INFO | Flag.NEW)
    run.tick(socket(1, bytes_sent=1500, bytes_acked=1300), new, listener(443))
    assert run.count(Count.SENT_BYTES) == 570
    assert run.count(Count.ACKED_BYTES) == 300
    assert run.count(Count.OPENED) == 1
    assert run.series(role="server").sockets == 2  # the listener is none of them


def test_what_a_socket_did_after_its_last_tick_comes_from_its_end() -> None:
    run = Run()
    one = socket(1, flags=Flag.INFO | Flag.NEW, bytes_sent=100, total_retrans=1)
    run.tick(listener(443))
    run.tick(one, listener(443))
    run.feed.ends = [end(one, bytes_sent=160, bytes_retrans=40, total_retrans=2)]
    run.tick(listener(443))
    assert run.count(Count.SENT_BYTES) == 160
    assert run.count(Count.RETRANS_BYTES) == 40
    assert run.count(Count.RETRANS_SEGMENTS) == 2
    assert run.count(Count.CLOSED) == 1
    run.tick(listener(443))  # the record is not taken twice
    assert run.count(Count.SENT_BYTES) == 160


def test_a_connection_that_no_tick_saw_is_counted_by_its_end() -> None:
    run = Run()
    run.tick(listener(443))
    run.feed.ends = [end(socket(5), bytes_received=9), end(socket(6), born_ns=0, lost=1)]
    run.tick(listener(443))
    assert run.count(Count.RECEIVED_BYTES, process="web", port="443") == 9
    assert run.count(Count.OPENED) == run.count(Count.CLOSED) == 1  # not what is older than nettop
    assert run.gatherer.closed_unknown == 1


def test_a_listener_that_ends_is_no_connection() -> None:
    run = Run()
    run.tick(listener(443))
    run.feed.ends = [end(listener(443), state=10)]
    run.tick()
    assert run.count(Count.CLOSED) == 0


def test_a_program_keeps_what_it_left_to_the_kernel() -> None:
    run = Run()
    run.tick(socket(1), listener(443))
    run.tick(socket(1, pid=0, owner=3, comm=b"", bytes_sent=50), listener(443))
    assert run.count(Count.SENT_BYTES, process="web") == 50
    run.tick(socket(1, pid=12, comm=b"heir", bytes_sent=75), listener(443))
    assert run.count(Count.SENT_BYTES, process="heir") == 25


def test_sockets_are_counted_anew_where_a_listener_shows_that_they_serve() -> None:
    run = Run()
    run.tick(socket(1, sport=40_555, dport=41_000))
    assert run.series(role="").sockets == 1
    run.tick(socket(1, sport=40_555, dport=41_000), listener(40_555))
    assert run.series(role="server", port="40555").sockets == 1


def test_times_of_the_kernel_pass_their_32_bits() -> None:
    run = Run()
    run.tick(socket(1, busy_ms=2**32 - 100), listener(443))
    run.tick(socket(1, busy_ms=150), listener(443))
    assert run.count(Count.BUSY_MS) == 250


def test_the_share_of_the_congestion_window_is_of_its_own_window_of_time() -> None:
    run = Run()
    limited = Flag.INFO | Flag.LIMITED
    run.tick(socket(1, lim_at_ms=1000, flags=limited), listener(443))
    run.tick(socket(1, lim_at_ms=2000, lim_cwnd_pct=50, flags=limited), listener(443))
    run.tick(socket(1, lim_at_ms=2000, lim_cwnd_pct=50, flags=limited), listener(443))
    assert run.count(Count.CWND_MS) == 500


def test_what_lay_unread_before_nettop_began_is_as_old_as_the_kernel_says() -> None:
    run = Run()
    plane: dict[str, Any] = {"has": PlaneHas.UNREAD, "oldest_unread_ns": 2 * 10**9, "rqueue": 1}
    for flags, ms, seconds in (
        (Flag.OLDEST_UNREAD, 90_000, 90), (Flag.OLDEST_UNREAD, 1_999, 2),
        (Flag.OLDEST_UNREAD | Flag.UNREADABLE, 90_000, 2),
    ):  # fmt: skip
        run.tick(socket(1, flags=Flag.INFO | flags, oldest_unread_ms=ms, **plane))
        assert run.series(process="web").unread_ns == seconds * 10**9
    run.tick(socket(1, flags=Flag.INFO | Flag.OLDEST_UNREAD, oldest_unread_ms=7_000, rqueue=1))
    assert run.series(process="web").unread_ns == 7 * 10**9


def test_an_unwell_socket_is_one_sample_and_0_afterwards() -> None:
    run = Run()
    bits = 1 << Verdict.LOSS | 1 << Verdict.RTT
    run.feed.ill = [
        Sick(1, 0, bits, 1 << Verdict.RTT, Verdict.LOSS, Verdict.RTT, Who.KERN, Who.NET, 0, 0, 1, 2)
    ]
    run.tick(socket(1), listener(443))
    assert run.series(port="443").frozen().unwell == {("net", "rtt"): 1}
    run.feed.ill = []
    run.tick(socket(1), listener(443))
    assert run.series(port="443").frozen().unwell == {("net", "rtt"): 0}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_counters_never_fall_and_add_up_to_what_the_sockets_did(seed: int) -> None:
    """Sockets come, move, change their programs, end with or without a record, and come back."""
    chance = random.Random(seed)
    run, done = Run("process", "peer", top=4), 0
    live: dict[int, int] = {}
    run.tick(listener(443))
    before: dict[Labels, list[float]] = {}
    for cookie in range(40):
        flags = Flag.INFO | Flag.NEW
        live[cookie] = more = chance.randrange(1000)
        done += more
        program = bytes([97 + chance.randrange(26)])
        rows = [socket(cookie, bytes_sent=more, flags=flags, comm=program)]
        for old in [c for c in live if c != cookie]:
            if chance.random() < 0.2:
                more = chance.randrange(1000)
                run.feed.ends.append(end(socket(old), bytes_sent=live.pop(old) + more))
            else:
                more = chance.randrange(1000)
                live[old] += more
                rows.append(socket(old, bytes_sent=live[old], comm=program))
            done += more
        run.tick(*rows, listener(443), step_s=chance.choice((0.1, 1, 30)))
        for series in run.gatherer.groups.series:
            counts = before.get(series.labels)
            assert counts is None or all(a >= b for a, b in zip(series.counts, counts, strict=True))
        before = {s.labels: list(s.counts) for s in run.gatherer.groups.series}
        assert len(before) <= 4 + 1
    if run.gatherer.groups.folded_total == 0:
        assert run.count(Count.SENT_BYTES) == done


# --- groups ---


def moved(groups: Groups, at_s: float, **n_bytes: int) -> None:
    groups.begin()
    for name, n in n_bytes.items():
        groups.of((("process", name),), at_s, at_s).fresh_bytes += n
    groups.end(at_s, at_s)


def own(groups: Groups) -> set[str]:
    return {dict(g.labels)["process"] for g in groups.own}


def new_groups(top: int) -> Groups:
    return Groups(Counter(("process",)), (("process", OTHER),), top=top, expire_s=600)


def test_a_group_takes_the_place_of_another_only_when_it_is_far_ahead_and_after_a_while() -> None:
    groups = new_groups(2)
    moved(groups, 0, a=1000, b=1000, c=900)
    assert own(groups) == {"a", "b"}
    moved(groups, 1, a=1000, b=1000, c=int(AHEAD * 9000))
    assert own(groups) == {"a", "b"}  # they came just now
    moved(groups, STAY_S + 1, a=1000, b=1000, c=1400)
    assert own(groups) >= {"c"}
    assert groups.folded == 1
    assert groups.folded_total == 2
    moved(groups, STAY_S + 2, a=1001, b=1001, c=1000)
    assert "c" in own(groups)


def test_what_is_folded_goes_on_counting_as_other_and_nothing_is_moved_there() -> None:
    run = Run("process", top=1)
    a, b = (socket(n, comm=name) for n, name in ((1, b"a"), (2, b"b")))

    def sent(one: One, n: int) -> One:
        return one._replace(rec=one.rec._replace(bytes_sent=n, bytes_acked=n))

    run.tick(a)
    run.tick(sent(a, 500), b)
    assert run.count(Count.SENT_BYTES, process="a") == 500
    run.tick(sent(a, 500), sent(b, 10**6), step_s=STAY_S)
    assert run.count(Count.SENT_BYTES, process=OTHER) == 10**6  # before it had series
    assert own(run.gatherer.groups) == {"b"}
    run.tick(sent(a, 507), sent(b, 10**6 + 3))
    assert run.count(Count.SENT_BYTES, process=OTHER) == 10**6 + 7
    assert run.count(Count.SENT_BYTES, process="b") == 3


def test_a_group_expires_after_its_last_socket_and_comes_back_as_a_new_one() -> None:
    groups = new_groups(3)
    moved(groups, 0, a=1)
    groups.of((("process", "a"),), 1, 101)
    moved(groups, 601, b=1)
    assert own(groups) == {"a", "b"}
    moved(groups, 602, b=1)
    assert own(groups) == {"b"}
    again = groups.of((("process", "a"),), 603, 703)
    assert again.series.created_s == 703


def test_an_unwell_group_goes_before_one_that_moves_more() -> None:
    groups = new_groups(1)
    moved(groups, 0, busy=10**9)
    groups.begin()
    groups.of((("process", "ill"),), STAY_S + 1, 1).unwell = True
    groups.of((("process", "busy"),), STAY_S + 1, 1).fresh_bytes = 10**9
    groups.end(STAY_S + 1, 1)
    assert own(groups) == {"ill"}


@pytest.mark.parametrize("name", ["other", "(kernel)", "(orphan)"])
def test_a_program_that_is_called_as_what_is_none_is_still_a_program(name: str) -> None:
    of = labeller("process")
    program, kernel = (
        of.of(Key(0, bytes(16), comm, 0, 0, 0, 0, owner))
        for comm, owner in ((name.encode(), Owner.PROC), (b"", Owner.KERNEL))
    )
    assert program == (("process", f"'{name}'"),)
    assert program != of.other
    assert kernel == (("process", "(kernel)"),)


def test_a_program_that_is_called_other_is_counted_as_other() -> None:
    groups = new_groups(3)
    moved(groups, 0, other=1)
    assert [s.labels for s in groups.series] == [groups.other.labels]


# --- histograms ---


def test_an_octave_counts_up_to_its_edge() -> None:
    for k in range(1, OCTAVES - 1):
        low, high = OCTAVE_EDGES[k], OCTAVE_EDGES[k + 1]
        assert octave_of(low) == octave_of(high - 1) == k
    assert octave_of(0) == octave_of(63) == 0
    assert octave_of(1 << 60) == OCTAVES - 1


@given(st.lists(st.integers(0, 1 << 42), max_size=50))
def test_buckets_are_exact_at_their_edges(times: list[int]) -> None:
    octaves = Octaves()
    for ns in times:
        octaves.add_buckets([(ns, ns + 1, 1)], ns)
    buckets = octave_buckets(octaves.frozen(), WAIT_OCTAVES)
    for bound, n in zip(WAIT_BOUNDS, buckets.below, strict=True):
        assert n == sum(ns / 1e9 < bound for ns in times)
    assert buckets.all == len(times)
    assert buckets.total == pytest.approx(sum(times) / 1e9)


def test_path_has_the_shape_of_netstacklat() -> None:
    histogram = Histogram(
        Dist(count=4, sum_ns=3000), ((1, 2, 1), (1000, 1016, 2), (1 << 36, 1 << 37, 1))
    )
    hook = HookTick(NO_HISTOGRAM, histogram, PathCounts(0, 0, 0, 0))
    text = exposition.text([path_family({Hook.TCP_READ: hook})]).decode()
    name = "ebpf_exporter_netstack_latency_seconds"
    assert f"# TYPE {name} histogram" in text
    for le, n in (("1e-09", 0), ("2e-09", 1), ("5.12e-07", 1), (repr(2.0**10 * 1e-9), 3)):
        assert f'{name}_bucket{{hook="tcp-socket-read",le="{le}"}} {n}\n' in text
    assert f'{name}_bucket{{hook="tcp-socket-read",le="+Inf"}} 4\n' in text
    assert f'{name}_sum{{hook="tcp-socket-read"}} 3e-06\n' in text
    assert len(PATH_BOUNDS) == 34
