"""Looking back on many hosts: which tick of each is shown at a time of this host's clock."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from nettop.changes import Changed
from nettop.feed import Grouping, Sort
from nettop.hosts import merge
from nettop.hosts.feed import HostsFeed
from nettop.hosts.lookback import HostsLookBack
from nettop.hosts.memory import KEY_EVERY_S, TICK_BYTES
from nettop.hosts.past import HostsFrames, HostsPast
from nettop.hosts.remote import RemoteFeed
from nettop.hosts.rows import NoNames
from nettop.model.hosts import ASKED, LIVE, LOST, SILENT, HostState
from nettop.query import compile_filter
from nettop.sample import Chosen, Sample
from nettop.spells import HOST_CAME
from nettop.store.frames import FrameWriter
from nettop.store.recording import Recording
from nettop.text.fields import lookup
from nettop.text.hosts import state_text
from nettop.tui.timeline import Arrival, Timeline
from nettop.tui.timeline import Chosen as InForce

S = 10**9
DAY_NS = 86_400 * S
RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"
START_NS = 1_800_000_000 * S
OFF_NS = {"a": 0, "b": DAY_NS, "c": -DAY_NS}  # the clock there less the one here


class Host:
    """A stream whose ticks are those of a recording, over and over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.of = [*Recording(RECORDINGS / "late-reader.nettop").samples()]
        self.filter_text: str | None = None
        self.top: int | None = None
        self.begin()

    def begin(self) -> None:
        """Another start of the stream."""
        self.feed, self.writer, self.seq = RemoteFeed(self.name, None, None), FrameWriter(), 0

    def sample(self, at_ns: int, *, whole: bool) -> Sample:
        """Taken at that time of the clock here."""
        first = self.of[0]
        self.seq += 1
        # Each whole one is the first of the recording: a tick of another start.
        whole = whole or self.seq == 1
        place = 0 if whole else 1 + self.seq % (len(self.of) - 1)
        facts = self.of[place].facts
        if self.filter_text or self.top:
            model = self.feed.latest()
            assert model is not None
            totals = replace(model.totals, matched=2113)
            facts = replace(facts, chosen=Chosen(totals, self.filter_text, self.top))
        return replace(
            self.of[place], seq=self.seq, mono_ns=first.mono_ns + at_ns, whole=whole,
            wall_ns=START_NS + at_ns + OFF_NS.get(self.name, 0), facts=facts,
        )  # fmt: skip


class Hosts:
    """What came of each when, by a clock that the test has in hand."""

    def __init__(self, names: str = "abc", **limits: int) -> None:
        self.now_ns = S
        self.hosts = {name: Host(name) for name in names}
        self.past = HostsLookBack(
            [*names], limits.pop("span_s", 900), lambda: 1.0,
            now=lambda: (self.now_ns, START_NS + self.now_ns), **limits,
        )  # fmt: skip
        self.asked: list[str] = []  # for whole ticks
        self.sort: str | None = None
        self.source = HostsFrames(self.past)

    def state(self, name: str, state: str = LIVE, reason: str | None = None) -> HostState:
        return HostState(
            name, state, reason, own_name=name, clock_offset_ns=OFF_NS.get(name, 0),
            clock_bar_ns=1000, top=self.hosts[name].top,
        )  # fmt: skip

    def tick(self, name: str, *, late_s: float = 0.1, whole: bool = False) -> None:
        host, place = self.hosts[name], [*self.hosts].index(name)
        sample = host.sample(self.now_ns - round(late_s * S), whole=whole)
        frame = host.writer.frame(sample)
        model = host.feed.take(sample)
        state = self.state(name)
        if self.past.take(place, sample, frame, model, host.feed, state, self.sort):
            self.asked.append(name)

    def round(self, names: str = "abc", n: int = 1, **how: bool) -> None:
        """A second of which each host sends a tick."""
        for _ in range(n):
            for at, name in enumerate(names):
                self.now_ns += S // 10
                self.tick(name, whole=bool(how) and at >= 0)
            self.now_ns += S - len(names) * (S // 10)

    def lose(self, name: str, state: str = LOST, reason: str = "no route") -> None:
        self.past.stated([*self.hosts].index(name), self.state(name, state, reason))

    def at(self, seq: int | None = None, **options: object) -> HostsPast:
        self.source.refresh()
        return HostsPast(self.source, seq=seq, **options)  # type: ignore[arg-type]


def states(feed: HostsPast) -> dict[str, tuple[str, bool]]:
    return {h.name: (h.state, h.model is not None) for h in feed.latest().hosts}


def test_each_host_is_at_its_nearest_tick_before_though_clocks_are_days_off() -> None:
    hosts = Hosts()
    hosts.round(n=5)
    hosts.now_ns += S
    feed = hosts.at()
    frames = hosts.source.frames()
    assert [f.seq for f in frames] == [1, 2, 3, 4, 5]
    assert [b.mono_ns - a.mono_ns for a, b in pairwise(frames)] == [S] * 4
    for frame in (frames[-1], frames[1], frames[2]):
        feed.seek(frame.seq)
        assert feed.current == frame
        model = feed.latest()
        assert (model.mono_ns, model.wall_ns) == (frame.mono_ns, START_NS + frame.mono_ns)
        for host in model.hosts:
            assert host.model is not None
            assert host.clock_offset_ns == OFF_NS[host.name]
            # In the order in which they sent, each 0.1 s after it was taken.
            taken_ns = frame.mono_ns - S // 10 * ("cba".index(host.name) + 1)
            assert host.model.wall_ns - OFF_NS[host.name] == START_NS + taken_ns
            assert host.lag_s == (frame.mono_ns - taken_ns) / 1e9
        assert {row.host for row in feed.window(0, 100)} == set("abc")


def test_what_comes_late_is_shown_at_the_time_it_was_taken() -> None:
    hosts = Hosts("ab")
    hosts.round("ab", 3)
    for _ in range(3):  # b's are three seconds under way
        hosts.now_ns += S
        hosts.tick("a")
        hosts.tick("b", late_s=3.0)
    hosts.round("ab", 4)
    frames = hosts.past.frames()
    then = hosts.past.at(frames[-1].seq)
    assert then is not None
    assert all(h.tick is not None and h.tick.here_ns <= frames[-1].mono_ns for h in then)
    memory = hosts.past.memories[1]
    taken = [tick.here_ns for tick in memory.ticks]
    assert taken == sorted(set(taken))
    for frame in frames:
        at = hosts.past.at(frame.seq)
        assert at is not None
        tick = at[1].tick
        assert tick is not None
        assert tick.here_ns == max(t for t in taken if t <= frame.mono_ns)


def test_a_host_that_was_not_there_has_no_rows_of_another_time() -> None:
    hosts = Hosts()
    hosts.round("ab", 3)  # c is not connected yet
    hosts.round("abc", 3)
    hosts.lose("b", reason="nettop 9.9 there sends frames of schema 99\x1b[2J")
    hosts.round("ac", 3)
    hosts.hosts["b"].begin()
    hosts.round("abc", 3)
    hosts.lose("b", SILENT, "nothing for 5 s")
    hosts.round("ac", 2)
    hosts.round("abc", 2)
    feed = hosts.at()
    seen = {}
    for frame in hosts.source.frames():
        feed.seek(frame.seq)
        seen[frame.seq] = states(feed)
        shown = {name for name, (_, there) in seen[frame.seq].items() if there}
        assert {row.host for row in feed.window(0, 100)} == shown
        for host in feed.latest().hosts:
            assert host.model is not None or "no tick then" in state_text(host)
            assert "\x1b" not in state_text(host)
    assert [seen[s]["c"] for s in (2, 5)] == [(ASKED, False), (LIVE, True)]
    assert [seen[s]["b"][0] for s in (5, 8, 11, 14, 15)] == [LIVE, LOST, LIVE, SILENT, LIVE]
    # From the past of both starts one comes to the same.
    assert [b for s in seen if not (b := seen[s]["b"])[1]] == [(LOST, False)] * 3 + [
        (SILENT, False)
    ] * 2


def test_a_host_that_stops_is_shown_for_five_seconds_and_then_had_no_tick() -> None:
    hosts = Hosts("ab")
    hosts.round("ab", 2)
    hosts.round("a", 8)
    feed = hosts.at()
    there = []
    for frame in hosts.source.frames():
        feed.seek(frame.seq)
        there.append(states(feed)["b"])
    assert there == [(LIVE, True)] * 7 + [(SILENT, False)] * 2


def test_filter_sort_groups_and_marks_are_of_all_hosts() -> None:
    hosts = Hosts()
    hosts.round(n=4)
    feed, alone = hosts.at(), hosts.at(filter_text="host = b")
    assert feed.count() == 3 * alone.count() > 0
    assert {row.host for row in alone.window(0, 99)} == {"b"}
    rows = feed.window(0, 99)
    assert len({row.cookie for row in rows}) == len(rows)
    assert feed.position(rows[3].cookie) == 3
    assert feed.detail(rows[3].cookie) is not None
    feed.set_sort(Sort(lookup("rcvq")))
    queues = [row.rec.rqueue for row in feed.window(0, 99)]
    assert queues == sorted(queues, reverse=True)
    assert [g.title for g in feed.groups(Grouping.HOST)] == ["a", "b", "c"]
    feed.set_filter(compile_filter("host = c or host = a", NoNames()))
    feed.set_focus([row.cookie for row in feed.window(0, 99)])
    feed.settle()
    assert {row.host for row in feed.window(0, 99)} == {"a", "c"}
    assert feed.history(feed.window(0, 1)[0].cookie)
    feed.seek(2)
    assert {row.host for row in feed.window(0, 99)} == {"a", "c"}
    assert feed.latest().totals.matched == feed.count()


def test_what_was_not_sent_then_is_said() -> None:
    hosts = Hosts("ab")
    hosts.round("ab")
    for host in hosts.hosts.values():
        host.filter_text = "rcvq > 0"
    hosts.round("ab", 2)
    hosts.sort = "srtt:desc"
    for host in hosts.hosts.values():
        host.filter_text, host.top = None, 500
    hosts.round("ab", 2)
    feed = hosts.at(1)
    assert feed.file_filter is None
    assert feed.sent_filter is None
    feed.seek(3)
    assert feed.file_filter == feed.sent_filter == "rcvq > 0"
    feed.set_filter(compile_filter("rcvq > 0", NoNames()))
    assert feed.file_filter is feed.sent_filter is None
    assert feed.latest().totals.matched == 2 * 2113  # as both counted
    feed.choose_next(None, ())
    feed.seek(4)
    assert feed.file_filter == "the first 1,000 of 4,226 then"
    feed.set_sort(Sort(lookup("srtt")))
    assert feed.file_filter is None
    feed.set_filter(compile_filter("rcvq > 0", NoNames()))
    assert feed.file_filter == "the first 1,000 of 4,226 then"
    counted = [model.totals.tcp for h in hosts.hosts.values() if (model := h.feed.latest())]
    assert feed.latest().totals.tcp == sum(n for n in counted if n)


def test_a_file_says_which_sockets_of_which_host_it_may_have() -> None:
    hosts = Hosts("ab")
    hosts.round("ab")
    hosts.hosts["b"].filter_text = "rcvq > 0"
    hosts.round("ab", 2)
    feed = hosts.at(2)
    text = feed.sent_filter
    assert text == '((on = "a") or (on = "b" and (rcvq > 0)))'
    compiled = compile_filter(text, NoNames())
    assert {row.host for row in feed.window(0, 99)} == {"a", "b"}
    on_a = sum(row.host == "a" for row in feed.window(0, 99))
    assert on_a <= len(feed.matching(compiled)) <= feed.count()


def test_the_memory_is_one_limit_and_the_oldest_goes_first_whosever_it_is() -> None:
    hosts = Hosts(span_s=1000, most_bytes=1 << 40)
    hosts.round(n=40, whole=True)
    each = hosts.past.bytes // 120
    hosts.past.most_bytes = 60 * each
    hosts.round(whole=True)
    assert hosts.past.bytes <= hosts.past.most_bytes
    assert {len(memory.ticks) for memory in hosts.past.memories} <= {19, 20}
    # What is left is whole: a time of which a host's tick is gone is gone.
    feed = hosts.at()
    frames = hosts.source.frames()
    assert hosts.past.span_s == (frames[-1].mono_ns - frames[0].mono_ns) / 1e9 >= 17
    for frame in frames:
        feed.seek(frame.seq)
        assert set(states(feed).values()) == {(LIVE, True)}
    hosts.past.most_bytes = 0  # not even one
    hosts.round(whole=True)
    assert (hosts.past.bytes, hosts.past.frames()) == (0, [])
    hosts.source.refresh()
    with pytest.raises(EOFError):
        feed.seek(3)
    hosts.past.most_bytes = 1 << 30
    hosts.asked.clear()
    hosts.now_ns += 6 * S  # it was asked for before
    hosts.round()  # these need what is gone
    assert hosts.asked == ["a", "b", "c"]
    assert hosts.past.bytes == 0
    hosts.round(whole=True)
    assert hosts.past.bytes > 3 * TICK_BYTES


def test_so_is_what_is_older_than_the_span_also_of_a_host_that_is_gone() -> None:
    hosts = Hosts("ab", span_s=20)
    hosts.round("ab", 5)
    hosts.lose("b")
    for _ in range(6):
        hosts.round("a", 1, whole=True)
        hosts.round("a", 9)
    assert hosts.past.memories[1].ticks == []
    assert 20 <= hosts.past.span_s <= 31
    assert hosts.past.memories[1].at(hosts.now_ns, S)[0].state == LOST
    assert hosts.asked.count("a") <= 2


def test_whole_ticks_are_asked_for_so_that_few_must_be_read_first() -> None:
    hosts = Hosts("a")
    hosts.round("a", int(KEY_EVERY_S) + 20)
    assert len(hosts.asked) == 4  # each five seconds, until one comes


def test_changes_are_found_at_the_time_at_which_they_are_shown() -> None:
    hosts = Hosts("ab")
    hosts.round("ab", 12)
    changed = [*hosts.past.after(0)]
    assert changed
    assert [c.seq for c in reversed(changed)] == [c.seq for c in hosts.past.before(1 << 40)]
    feed = hosts.at()
    for tick in changed[1:]:
        said = []
        for seq in (tick.seq - 1, tick.seq):
            feed.seek(seq)
            said.append({c: r.rec.verdicts for c in tick.cookies if (r := feed.find(c))})
        assert said[0] != said[1] or feed.tick_events(9)[0]
    spots = hosts.past.summaries()
    assert [s.seq for s in spots] == [f.seq for f in hosts.past.frames()]
    for spot in spots:
        feed.seek(spot.seq)
        totals = feed.latest().totals
        assert (spot.unwell, spot.watch) == (totals.unwell, totals.watch)
    hosts.now_ns += 600 * S
    assert hosts.past.summaries()[: len(spots)] == spots
    assert hosts.past.summaries()[: len(spots)] == spots  # those that nothing can change any more


def comings(hosts: Hosts) -> list[tuple[int, dict[str, str]]]:
    return [(c.seq, dict(c.hosts)) for c in hosts.past.after(0) if c.hosts]


def test_where_a_host_was_lost_or_came_back_is_a_change() -> None:
    hosts = Hosts()
    hosts.round("ab", 3)  # c is not connected yet
    hosts.round("abc", 3)
    hosts.lose("b", reason="no route\x1b[2J")
    hosts.round("ac", 3)
    hosts.lose("b", ASKED, "it has answered, and sent no tick yet")
    hosts.hosts["b"].begin()
    hosts.round("abc", 3)
    hosts.round("ac", 8)  # b stands still, and nothing says so
    expected = [
        (4, {"c": "answers"}),
        (7, {"b": "lost: no route?[2J"}),
        (10, {"b": "answers again (lost: no route?[2J)"}),
        (17, {"b": "silent: its ticks came no more"}),
    ]
    assert comings(hosts) == expected
    feed = hosts.at()
    for seq, said in expected:  # is what the screen shows
        there = []
        for at in (seq - 1, seq):
            feed.seek(at)
            there.append({name for name, (_, has) in states(feed).items() if has})
        assert there[0] ^ there[1] == set(said)
    marked = [s.seq for s in hosts.past.summaries() if HOST_CAME in s.events]
    assert marked == [seq for seq, _ in expected]
    hosts.now_ns += 600 * S
    for _ in range(2):
        assert [s.seq for s in hosts.past.summaries() if HOST_CAME in s.events] == marked
    hosts.round("abc", 2)
    assert comings(hosts)[-1][1] == {"b": "answers again (silent: its ticks came no more)"}


def test_all_hosts_lost_at_once_leave_no_tick_and_are_a_change_at_the_next() -> None:
    hosts = Hosts("a")
    hosts.round("a", 3)
    hosts.lose("a", SILENT, "nothing for 5 s")
    hosts.lose("a", reason="nothing for 60 s")
    hosts.hosts["a"].begin()
    hosts.now_ns += 60 * S
    hosts.round("a", 3)
    assert comings(hosts) == [(4, {"a": "answers again (lost: nothing for 60 s)"})]


def test_a_host_that_comes_back_ends_and_begins_no_verdict() -> None:
    """Of the late reader, whose verdict holds before and after."""
    hosts = Hosts("ab")
    hosts.round("ab", 8)
    held = {row.cookie for row in hosts.at().window(0, 9) if row.level}
    assert held
    hosts.lose("b")
    hosts.round("a", 2)
    hosts.hosts["b"].begin()
    hosts.round("ab", 2)
    came = [c for c in hosts.past.after(0) if "b" in c.hosts][-1]
    assert came.hosts["b"].startswith("answers again")
    assert [c for c in came.cookies if c > merge.above(1)] == []


def test_no_rates_are_known_of_sockets_that_another_filter_let_through_before() -> None:
    hosts = Hosts("a")
    host = hosts.hosts["a"]

    def known() -> tuple[list[bool], list[bool]]:
        """Rates of the totals, and those of all groups: live, and then as one looks back."""
        hosts.round("a")
        hosts.now_ns += S
        totals, groups = [], []
        for feed in (host.feed, hosts.at(filter_text=host.feed.filter_text)):
            model = feed.latest()
            assert model is not None
            sums = [*feed.groups(Grouping.PROCESS), feed.sum([feed.window(0, 1)[0].cookie])]
            totals.append(model.totals.tx_bytes_per_s is not None)
            rates = [group.tx_bytes_per_s is not None for group in sums if group is not None]
            assert len(rates) > 1
            assert len(set(rates)) == 1
            groups.append(rates[0])
        return totals, groups

    yes, no = [True, True], [False, False]
    hosts.round("a", 3)
    assert known() == (yes, yes)
    host.filter_text = host.feed.filter_text = "proto = tcp"
    assert known() == (yes, no)  # of the totals the host knows more than it sent
    assert known() == (yes, yes)
    host.filter_text = host.feed.filter_text = None
    assert known() == (no, no)
    assert known() == (yes, yes)


@pytest.fixture
def timeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Timeline, Hosts]]:
    hosts = Hosts("ab")
    base = HostsFeed({"a": ["/nonexistent"], "b": ["/nonexistent"]}, delay_s=1.0, lookback_s=900)
    base.past = hosts.past
    line = Timeline(base, lambda arrival: None, chosen=InForce())
    yield line, hosts
    line.close()


def test_the_first_step_back_goes_to_the_newest_time_and_l_is_live(
    timeline: tuple[Timeline, Hosts],
) -> None:
    line, hosts = timeline
    assert line.step(-1) == "no tick is kept to look back on"
    hosts.round("ab", 4)
    assert line.step(-1) == ""
    assert line._moving is not None
    assert line._moving.seq == 3  # the fourth is what the screen shows
    feed, message = line._moved(line._moving, None, InForce(), InForce())
    assert (feed.current.seq, message) == (3, "")
    assert isinstance(feed, HostsPast)
    line.feed, line._moving = feed, None
    with line.exporting() as other:
        assert other is not feed
        assert other.latest().wall_ns == feed.latest().wall_ns  # type: ignore[union-attr]
    assert line.away
    line.live()
    assert line.feed is line.base
    assert not line.away


def test_a_search_for_a_change_gives_way_to_another_key(
    timeline: tuple[Timeline, Hosts], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, hosts = timeline
    hosts.round("ab", 4)
    ticks = (Changed(3, frozenset({999}), 0) for _ in itertools.count())
    monkeypatch.setattr(HostsLookBack, "before", lambda self, seq: ticks)
    monkeypatch.setattr("nettop.tui.timeline.SEARCH_S", 60.0)
    arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
    line._arrived = arrived.put
    line.choose(InForce(filter_text="dport = 1"))
    assert line.change(back=True) == ""
    time.sleep(0.2)
    assert line.moving
    assert arrived.empty(), "it goes on and on"
    assert line.step(-1) == ""
    given_up = arrived.get(timeout=10)
    assert (given_up.feed, given_up.message, given_up.error) == (None, "", None)
    line.take(given_up)
    stepped = arrived.get(timeout=10)
    assert stepped.feed is not None
    line.take(stepped)
    assert line.change(back=True) == ""
    line.live()
    assert line.stale(arrived.get(timeout=10))
