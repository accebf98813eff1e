"""Many hosts: how they are named and reached, their clocks, and what they come to together."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nettop.errors import UsageError
from nettop.feed import Grouping, Sort
from nettop.groups import COLUMNS
from nettop.hosts.clock import HostClock, Offset
from nettop.hosts.commandline import HostOptions, take_hosts
from nettop.hosts.feed import HostsFeed
from nettop.hosts.link import Link
from nettop.hosts.merge import histogram_of
from nettop.hosts.remote import RemoteFeed
from nettop.hosts.rows import NoNames
from nettop.model.cost import Cost
from nettop.model.hosts import LIVE, LOST, HostState
from nettop.model.types import HOST_COOKIES, Dist, Histogram, Model, Row
from nettop.query import compile_filter
from nettop.sample import Chosen
from nettop.store.recording import Recording
from nettop.text.fields import lookup
from nettop.text.hosts import hosts_text, state_text
from nettop.text.table import TableStyle, table_lines
from nettop.tui.glyphs import UTF8
from nettop.tui.header import host_line
from nettop.tui.screens.cost import hosts_lines, process_lines, there_lines
from nettop.tui.screens.format import FormatScreen
from nettop.tui.screens.run_keys import written_text

MS = 1_000_000


def test_a_word_behind_h_is_hosts_and_none_is_no_header(tmp_path: Path) -> None:
    listed = tmp_path / "web"
    listed.write_text("web-1  # the first\n\nweb-2\n")
    hosts, rest = take_hosts(["-b", "-H", f"a,@{listed},a", "--top", "5", "srtt", ">", "5ms"])
    assert hosts == HostOptions(("a", "web-1", "web-2"), top=5)
    assert rest == ["-b", "srtt", ">", "5ms"]
    for words in (["-1", "-H"], ["-H", "--csv"], ["-tHn"], ["--", "-H", "a"]):
        assert take_hosts(words) == (None, words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-H", ",,"], "no host"),
        (["-H", "a,-oProxyCommand=x"], "is no name of a host"),
        (["-H", "a\x1b[2J"], "is no name of a host"),
        (["-H", "a b"], "is no name of a host"),
        (["-H", "@/nonexistent"], "No such file"),
        (["-H", "a", "--ssh"], "--ssh: needs a command"),
        (["-H", "a", "--ssh", "'"], "No closing quotation"),
        (["-H", "a", "--remote", "nettop; reboot"], "cannot pass through"),
        (["-H", "a", "--top", "0"], "1 to 100000000"),
        (["-H", ",".join(f"h{i}" for i in range(300))], "at most 256"),
    ],
)
def test_what_is_no_host_or_command_is_said(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        take_hosts(words)


def test_the_command_has_the_host_as_one_word_behind_it_or_where_it_says() -> None:
    words = ["stream", "-d", "1"]
    assert HostOptions(("a",)).argv("u@a", words) == [
        "ssh", "-T", "-o", "BatchMode=yes", "--", "u@a", "nettop stream -d 1",
    ]  # fmt: skip
    inside = HostOptions(("a",), ssh=("ip", "netns", "exec"), remote=("sudo", "nettop"))
    assert inside.argv("a;b", words) == ["ip", "netns", "exec", "a;b", "sudo", "nettop", *words]
    pod = HostOptions(("p",), ssh=("kubectl", "exec", "-i", "{}", "--"))
    assert pod.argv("p", words) == ["kubectl", "exec", "-i", "p", "--", "nettop", *words]


def test_a_line_of_a_file_of_hosts_that_is_no_text_is_said(tmp_path: Path) -> None:
    listed = tmp_path / "web"
    listed.write_bytes(b"web-1\nweb-2 # good\nb\xffd\n")
    with pytest.raises(UsageError, match=r"line 3 is no UTF-8 \(byte 0xff\)"):
        take_hosts(["-H", f"@{listed}"])


@given(
    offset=st.integers(-(10**18), 10**18),
    there=st.integers(0, 10**9),
    back=st.integers(0, 10**9),
    thinks=st.integers(0, 10**9),
)
def test_the_true_offset_is_within_the_bar(offset: int, there: int, back: int, thinks: int) -> None:
    clock = HostClock()
    sent = 10**18
    came = sent + there + offset
    clock.answered(sent, came, came + thinks, sent + there + thinks + back)
    found = clock.offset(sent + there + thinks + back)
    assert found is not None
    assert abs(found.offset_ns - offset) <= found.bar_ns


def test_the_best_of_the_last_measurements_counts_and_ages() -> None:
    clock = HostClock()
    clock.answered(0, 100 * MS, 100 * MS, 10 * MS)  # 10 ms of network
    clock.answered(10 * MS, 105 * MS + 10 * MS // 2, 110 * MS, 200 * MS)
    now = clock.offset(200 * MS)
    assert now is not None
    assert now.bar_ns == 5 * MS + 1 + 190 * MS // 2000
    later = clock.offset(200 * MS + 10**9)
    assert later is not None
    assert later.bar_ns == now.bar_ns + MS // 2


def test_a_clock_that_is_set_makes_what_was_measured_before_void() -> None:
    clock = HostClock()
    clock.answered(0, 0, 0, 2 * MS)
    day = 86_400 * 1000 * MS
    clock.answered(10 * MS, day + 10 * MS, day + 10 * MS, 12 * MS)
    assert clock.offset(12 * MS) == Offset(day - MS, MS + 1)
    clock.answered(20 * MS, day, day - 5, 22 * MS)  # it went backwards meanwhile: no measurement
    assert clock.offset(12 * MS) == Offset(day - MS, MS + 1)


def histogram(*buckets: tuple[int, int, int], longest: int) -> Histogram:
    n = sum(count for *_, count in buckets)
    return Histogram(Dist(n, 7 * n, 0, 0, 0, longest), buckets)


def test_distributions_are_added_up_bucket_by_bucket() -> None:
    a = histogram((10, 20, 50), (20, 30, 40), longest=29)
    b = histogram((10, 20, 48), (80, 90, 2), longest=85)
    both = histogram_of([a, None, b])
    assert both is not None
    assert both.buckets == ((10, 20, 98), (20, 30, 40), (80, 90, 2))
    # 140 samples: the 70th, 126th and 139th.
    assert both.dist == Dist(140, 7 * 140, 20, 30, 85, 85)
    assert histogram_of([a]) is a
    assert histogram_of([None]) is None
    few = histogram_of([histogram((10, 20, 3), longest=15), histogram((20, 30, 1), longest=21)])
    assert few is not None
    assert few.dist == Dist(4, 28, 20, 21, 21, 21)


RECORDINGS = Path(__file__).parents[1] / "data" / "recordings"


@pytest.fixture
def hosts() -> HostsFeed:
    """Two hosts whose streams were read from one recording: the same cookies, different hosts."""
    return two_of("late-reader.nettop")


def two_of(name: str) -> HostsFeed:
    feed = HostsFeed({"a": ["/nonexistent"], "b": ["/nonexistent"]}, delay_s=1.0)
    recording = Recording(RECORDINGS / name)
    for sample in recording.samples():
        for link, remote in zip(feed._links, feed._feeds, strict=True):
            remote.take(sample)
            link._state = LIVE
    return feed


@pytest.mark.parametrize(
    "sort", ["unwell", "srtt", "remote", "proc", "host", "rcvq", "who", "st", "cc", "user", "netns"]
)
@pytest.mark.parametrize("descending", [True, False])
def test_rows_of_many_hosts_are_in_one_order(hosts: HostsFeed, sort: str, descending: bool) -> None:
    field = lookup(sort)
    hosts.set_sort(Sort(field, descending))
    rows = hosts.window(0, 1000)
    alone = hosts._feeds[0].window(0, 1000)
    assert len(rows) == hosts.count() == 2 * len(alone)
    assert len({row.cookie for row in rows}) == len(rows)
    if sort == "host":
        ordered = [row.host or "" for row in rows]
        assert ordered == sorted(ordered, reverse=descending)
        return
    # Both have the same sockets, so that the order of one is that of every second row.
    for name in ("a", "b"):
        of_one = [row.rec.cookie for row in rows if row.host == name]
        assert of_one == [row.rec.cookie for row in alone]
    assert [hosts.position(row.cookie) for row in rows] == [*range(len(rows))]
    assert hosts.window(1, 2) == rows[1:3]


def test_the_screen_says_how_many_sockets_the_hosts_send_of_those_that_match() -> None:
    feed = two_of("moving.nettop")
    every = [*Recording(RECORDINGS / "moving.nettop").samples()]
    rows = feed._feeds[1].count()
    assert feed.file_filter is None
    totals = replace(feed._feeds[0].latest().totals, matched=4000)  # type: ignore[union-attr]
    last = every[-1]
    facts = replace(last.facts, chosen=Chosen(totals, None, 500))
    feed._feeds[0].take(replace(last, seq=last.seq + 1, facts=facts))
    assert feed.file_filter == f"{feed._feeds[0].count() + rows:,}/{4000 + rows:,} sent"
    feed._links[0]._change(LOST, "gone")
    assert feed.file_filter is None


def test_own_cpu_is_that_of_an_interval_and_not_of_a_picture(
    hosts: HostsFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, cpu_s = 100.0, 7.0
    monkeypatch.setattr("nettop.hosts.feed.time.monotonic", lambda: now_s)
    monkeypatch.setattr("nettop.hosts.feed.time.process_time", lambda: cpu_s)
    said = []
    for after_s, took_s in ((0, 0), (0.9, 0.01), (0.06, 0.05), (0.04, 0), (0.25, 0.02)):
        now_s, cpu_s = now_s + after_s, cpu_s + took_s
        hosts._change()
        model = hosts.latest()
        assert model is not None
        said.append(model.cost.cpu_pct)
    assert said[:3] == [None] * 3
    assert said[3:] == [pytest.approx(6.0)] * 2  # 60 ms in 1 s


def new_tick(remote: RemoteFeed) -> None:
    """The same once more."""
    assert remote._model is not None
    remote._model = replace(remote._model)


def test_what_is_asked_of_one_picture_is_of_one_tick(hosts: HostsFeed) -> None:
    made: list[Model] = []
    true = hosts._made
    hosts._made = lambda: made.append(true()) or made[-1]  # type: ignore[method-assign, func-returns-value]
    with hosts.one_tick() as model, hosts.one_tick():
        hosts._links[0]._change(LOST, "gone")  # as its thread does meanwhile
        assert hosts.latest() is model
        hosts.events((), most=9)
        assert made == [model]
        of_another: list[Model | None] = []
        thread = threading.Thread(target=lambda: of_another.append(hosts.latest()))
        thread.start()
        thread.join()
        assert of_another[0] is not model
    after = hosts.latest()
    assert after is not None
    assert [h.state for h in after.hosts] == [LOST, LIVE]


@pytest.mark.parametrize("page", [1, 7, 40])
def test_no_more_rows_are_read_of_a_host_than_a_page_needs(page: int) -> None:
    feed = two_of("moving.nettop")
    whole = [row.cookie for row in feed.window(0, 1000)]
    for remote in feed._feeds:  # the same sockets as a new tick
        new_tick(remote)
    read: list[tuple[int, int]] = []
    for remote in feed._feeds:
        true = remote.window

        def window(
            offset: int, rows: int, true: Callable[[int, int], list[Row]] = true
        ) -> list[Row]:
            read.append((offset, rows))
            return list(true(offset, rows))

        remote.window = window  # type: ignore[method-assign]
    assert [row.cookie for row in feed.window(0, page)] == whole[:page]
    assert sum(rows for _, rows in read) <= 2 * (page + 16)
    # Of a host that has no new tick nothing is read again.
    before = feed.window(0, page)
    read.clear()
    new_tick(feed._feeds[1])
    after = feed.window(0, page)
    assert sum(rows for _, rows in read) <= page + 16
    kept = [row for row in before if row.host == "a"]
    assert all(any(row is old for old in kept) for row in after if row.host == "a")


def test_sums_are_of_both_and_filters_choose_hosts(hosts: HostsFeed) -> None:
    one = hosts._feeds[0].latest()
    both = hosts.latest()
    assert one is not None
    assert both is not None
    assert both.totals.tcp == 2 * (one.totals.tcp or 0)
    assert [g.title for g in hosts.groups(Grouping.HOST)] == ["a", "b"]
    assert sum(g.sockets for g in hosts.groups(Grouping.HOST)) == hosts.count()
    for group in hosts.groups(Grouping.PROCESS):
        only = compile_filter(group.filter_text, NoNames())
        found = hosts.matching(only)
        assert len(found) == group.sockets
        assert group.worst_cookie in found
    hosts.set_filter(compile_filter("host = b", NoNames()))
    assert {row.host for row in hosts.window(0, 1000)} == {"b"}
    hosts.set_filter(None)
    marked = [row.cookie for row in hosts.window(0, 4)]
    together = hosts.sum(marked)
    assert together is not None
    assert together.sockets == 4
    first = hosts.find(marked[0])
    assert first is not None
    assert (first.host, first.cookie) == (hosts.window(0, 1)[0].host, marked[0])
    assert hosts.find(5) is None
    assert hosts.find(-1) is None


@pytest.mark.parametrize("by", [Grouping.REMOTE_PORT, Grouping.PROCESS, Grouping.HOST])
def test_groups_of_all_hosts_are_compared_without_making_them(by: Grouping) -> None:
    feed = two_of("moving.nettop")
    groups = feed.groups(by)
    assert len(groups) == 2 * len(feed._feeds[0].groups(by))
    columns = {name: groups.column(name) for name in COLUMNS}
    assert not groups._made
    for name, column in columns.items():
        assert column == [getattr(group, name) for group in groups], name
    loudness = [(g.level, g.unwell, g.watch) for g in groups]
    assert loudness == sorted(loudness, reverse=True)
    for group in [group for group in groups if group.filter_text]:
        assert set(feed.matching(compile_filter(group.filter_text, NoNames()))) == set(
            feed.members(by, group.worst_cookie, most=999)
        )
    turned = groups.in_order(range(len(groups))[::-1])
    assert [g.title for g in turned] == [g.title for g in groups][::-1]
    assert [turned.column(name)[::-1] for name in COLUMNS] == [*columns.values()]
    keys = [groups.key_of(at) for at in range(len(groups))]
    assert len(set(keys)) == len(keys)
    assert keys == [turned.key_of(at) for at in range(len(groups))][::-1]
    assert [groups.at_key(key) for key in keys] == [*range(len(groups))]
    assert [turned.at_key(key) for key in keys] == [*range(len(groups))][::-1]
    assert groups.at_key(b"7" + keys[0][1:]) is None, "there is no such host"


GREETS = 'nettop-stream 1 {"nettop":"1","schema":1,"host":"torn","kernel":"6"}'


def test_a_host_whose_stream_is_broken_each_time_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time it has answered for a while, before nothing of use comes."""
    monkeypatch.setattr("nettop.hosts.link.LEAST_PAUSE_S", 0.05)
    monkeypatch.setattr("nettop.hosts.feed.LATE_S", 0.0)
    said: list[str] = []
    torn = ["sh", "-c", f"echo '{GREETS}'; sleep 0.3; printf '%20s' ."]
    feed = HostsFeed({"torn": torn}, delay_s=1.0, say=said.append)
    states = set()
    feed.begin()
    try:
        end = time.monotonic() + 60
        while feed._links[0].tries < 3 and time.monotonic() < end:
            feed.say_changes()
            states.add(feed.hosts()[0].reason)
            time.sleep(0.02)
    finally:
        feed.close()
    why = "something else stands between its frames"
    assert states >= {"it has answered, and sent no tick yet", why}, "or nothing is shown"
    assert said.count(f"torn: {why}") == 1
    assert said[-1] == f"torn: {why}"


def test_what_a_host_says_ends_before_when_it_is_tried_again() -> None:
    state = HostState("a", LOST, "Permission denied (publickey).", 3.0)
    assert state_text(state) == "lost: Permission denied (publickey), again in 3 s"
    assert state_text(replace(state, again_s=None)) == "lost: Permission denied (publickey)."


def test_before_any_answers_nothing_is_known_and_nothing_is_counted() -> None:
    model = HostsFeed({"a": ["/nonexistent"]}, delay_s=1.0).latest()
    assert model is not None
    assert (model.totals.tcp, model.totals.tx_bytes_per_s) == (None, None)
    assert (model.totals.matched, model.totals.netns, model.totals.unwell) == (0, 0, 0)
    assert "no answer yet" in "".join(table_lines(model, [], TableStyle()))


def test_a_host_that_is_lost_has_no_rows(hosts: HostsFeed) -> None:
    before = hosts.count()
    hosts._links[0]._change(LOST, "gone\x1b[2J")
    assert hosts.count() == before // 2
    model = hosts.latest()
    assert model is not None
    assert [(h.state, h.reason) for h in model.hosts] == [(LOST, "gone?[2J"), (LIVE, None)]


class Leaving:
    """A link that is lost once it was asked so many times whether it is live."""

    def __init__(self, link: Link, times: int) -> None:
        self._link, self._times = link, times

    @property
    def live(self) -> bool:
        self._times -= 1
        if self._times < 0:
            self._link._state = LOST
        return self._link.live

    def __getattr__(self, name: str) -> object:
        return getattr(self._link, name)


ASKED_OF_ALL: dict[str, Callable[[HostsFeed, list[int]], object]] = {
    "events": lambda feed, some: feed.events((), most=99),
    "events of some": lambda feed, some: feed.events(some, most=99),
    "tick_events": lambda feed, some: feed.tick_events(99, everything=True),
    "host_events": lambda feed, some: feed.host_events("b", 99, everything=True),
    "events_memory": lambda feed, some: feed.events_memory(some[-1:]),
    "closed": lambda feed, some: feed.closed((), most=99),
    "closed of some": lambda feed, some: feed.closed(some, most=99),
    "window": lambda feed, some: feed.window(0, 99),
    "rows_all": lambda feed, some: [*feed.rows_all()],
    "everything": lambda feed, some: [*feed.rows_all(everything=True)],
    "position": lambda feed, some: feed.position(some[-1]),
    "find": lambda feed, some: feed.find(some[-1]),
    "detail": lambda feed, some: feed.detail(some[-1]),
    "matching": lambda feed, some: feed.matching(),
    "groups": lambda feed, some: feed.groups(Grouping.PROCESS),
    "members": lambda feed, some: feed.members(Grouping.PROCESS, some[-1], most=9),
    "sum": lambda feed, some: feed.sum(some),
    "tx": lambda feed, some: feed.tx(some, run=True),
    "rx_wait": lambda feed, some: feed.rx_wait(some, run=False),
    "history": lambda feed, some: feed.history(some[-1]),
    "hosts": lambda feed, some: feed.hosts(),
}


@pytest.mark.parametrize("asked", ASKED_OF_ALL)
def test_a_host_may_be_lost_at_any_moment_of_an_answer(asked: str) -> None:
    ask = ASKED_OF_ALL[asked]
    feed = two_of("moving.nettop")
    link = feed._links[1]
    cookies = [e.cookie for e in feed.events((), most=99) if e.cookie][:20]
    some = cookies + [row.cookie for row in feed.window(0, 99)]
    assert len({cookie // HOST_COOKIES for cookie in some}) == 2
    some.sort()
    asked_of = Leaving(link, 1 << 30)
    feed._links[1] = asked_of  # type: ignore[call-overload]
    assert ask(feed, some) is not None
    for times in range((1 << 30) - asked_of._times + 1):
        link._state = LIVE
        feed._links[1] = Leaving(link, times)  # type: ignore[call-overload]
        ask(feed, some)


def test_what_a_host_says_of_its_end_is_cut(hosts: HostsFeed) -> None:
    hosts._links[0]._change(LOST, "x" * 16_000)
    model = hosts.latest()
    assert model is not None
    assert model.hosts[0].reason == "x" * 300 + "…"
    line = host_line(model, 60, UTF8)
    assert "1 of 2 hosts, not " in "".join(text for text, _ in line)


def test_how_many_hosts_there_are_stays_at_80_columns_under_a_filter(hosts: HostsFeed) -> None:
    model = hosts.latest()
    assert model is not None
    line = "".join(text for text, _ in host_line(replace(model, chosen=True), 80, UTF8))
    assert line.startswith(f"nettop  {hosts_text(model.hosts)}  ! ")


def test_a_snapshot_of_hosts_is_called_one_for_programs() -> None:
    name = Path("nettop.json")
    assert written_text(name, of_hosts=False) == "wrote nettop.json"
    assert written_text(name, of_hosts=True) == "wrote nettop.json for programs, not nettop open"
    assert written_text(Path("a.csv"), of_hosts=True) == "wrote a.csv"
    lines = FormatScreen(print, of_hosts=True).body(64)
    said = ["".join(text for text, _ in line) for line in lines]
    assert not any("for nettop open" in text for text in said)
    assert any("for programs" in text for text in said)


def test_a_host_is_a_line_with_its_clock_and_why_it_is_not_there() -> None:
    live = HostState(
        "web-1", LIVE, nettop="0.1.0", clock_offset_ns=-86_400_000_000_000, clock_bar_ns=400_000,
        bytes_per_s=2048.0, lag_s=0.25, skipped_ticks=3,
    )  # fmt: skip
    lost = HostState("web-2", LOST, "refused \x1b[2J", again_s=4.0)
    lines = ["".join(text for text, _ in parts) for parts in hosts_lines([live, lost], 100)]
    assert lines[2].split() == ["web-1", "live", "0.1.0", "-1d00h", "±400µs", "2.0K", "250ms", "3"]
    assert lines[3].split()[:2] == ["web-2", "lost"]
    assert lines[4].strip() == "lost: refused ?[2J, again in 4 s"
    assert hosts_text([live, lost]) == f"1 of 2 hosts, not {lost.name}"


def test_each_host_says_what_nettop_takes_there(hosts: HostsFeed) -> None:
    cost = Cost(
        cpu_pct=1.25, poll_ms=0.8, rss_bytes=50 << 20, bpf_runs_per_s=4100.0, lost_events=3,
        interval_s=2.5, stretched="a poll takes 500 ms",
    )  # fmt: skip
    remote = hosts._feeds[0]
    assert remote._model is not None
    remote._model = replace(remote._model, cost=cost)
    hosts._links[1]._change(LOST, "gone")
    model = hosts.latest()
    assert model is not None
    lines = ["".join(text for text, _ in parts) for parts in there_lines(model.hosts)]
    assert lines[2].split() == ["a", "1.2%", "800µs", "2.5", "s", "50M", "4.1K", "3"]
    assert len(lines) == 4  # of one that is lost it is not known
    own = ["".join(text for text, _ in p) for p in process_lines(model.cost, "", polls=False)]
    assert re.fullmatch(r"memory +\d+M resident", own[3]), own


def test_what_is_wanted_is_asked_of_each_host_with_its_own_cookies(hosts: HostsFeed) -> None:
    rows = hosts.window(0, 3)
    hosts.select_tx([row.cookie for row in rows])
    hosts.set_interval(2.0)
    hosts.set_paused(True)
    for link in hosts._links:
        own = [row.rec.cookie for row in rows if row.host == link.name]
        assert link.settings["select"] == own
        assert (link.settings["delay_s"], link.settings["paused"]) == (2.0, True)
