"""Groups beside each other: the slow one among equals, boxes on one axis, nothing cut."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from statistics import median

import pytest
from msgspec.structs import replace

from nettop.feed import Grouping
from nettop.model.buckets import dist_of
from nettop.model.causes import Cause, Evidence, QueueOf
from nettop.model.types import Because, Dist, Group, Level, Verdict, Who
from nettop.tui.glyphs import ASCII, UTF8
from nettop.tui.group_lines import (
    COLUMNS,
    TITLES,
    column_at,
    columns_of,
    factors,
    group_line,
    is_slow,
    median_line,
    name_cells,
    name_of,
    notes,
    ordered,
    titles,
)
from nettop.tui.style import Role
from nettop.tui.widgets.lines import Line, width_of

MS = 1_000_000
BASE = Group(
    title="10.0.4.11:8080", filter_text="dst 10.0.4.11:8080", sockets=96, unwell=0, watch=0,
    level=Level.OK, verdict=None, verdict_value=0.0, who=None, because=Because(0), worst_cookie=1,
    rtt50_ns=600_000, rtt90_ns=700_000, rtt_max_ns=3 * MS, rqueue_bytes=0, wqueue_bytes=0,
    tx_bytes_per_s=1e6, rx_bytes_per_s=1e6, retrans_per_s=0.0, retr_pct=0.0,
    port=8080, waits=Dist(10, 10, 10_000, 20_000, 40_000, 50_000),
)  # fmt: skip


def peers(*rtts_ns: int) -> list[Group]:
    return [
        replace(BASE, title=f"10.0.4.{11 + i}:8080", rtt50_ns=ns, rtt90_ns=ns, worst_cookie=i)
        for i, ns in enumerate(rtts_ns)
    ]


def text_of(line: Line) -> str:
    return "".join(text for text, _ in line)


def test_a_name_that_is_cut_still_tells_which_it_is() -> None:
    def named(title: str, grouping: Grouping, room: int = 16) -> str:
        name = name_of(replace(BASE, title=title), grouping, room)
        assert len(name) <= room
        return name

    assert named("10.40.0.7:5201 in web", Grouping.REMOTE_PORT) == "10.40.0.7:5201 …"
    assert named("10.40.0.7:5201", Grouping.REMOTE) == "10.40.0.7:5201"
    v6 = named("[2001:db8:1:2:3:4:370:7348]:443", Grouping.REMOTE)
    assert (v6[:5], v6[-9:]) == ("[2001", "7348]:443")
    assert named("udp [2001:db8::1]:53", Grouping.REMOTE_PORT, 12).endswith("]:53")
    assert named("report-exporter/18013", Grouping.PROCESS).endswith("/18013")
    pods = [named(f"/kubepods.slice/besteffort/pod-{n}", Grouping.CGROUP) for n in (71, 72)]
    assert pods[0][-3:] == "-71"
    assert pods[1][-3:] == "-72"


@pytest.mark.parametrize("grouping", [Grouping.REMOTE, Grouping.REMOTE_PORT, Grouping.LOCAL])
@pytest.mark.parametrize("room", range(12, 40))
def test_what_is_left_out_of_a_name_shows(grouping: Grouping, room: int) -> None:
    """The address may fit exactly, and the namespace not at all."""
    addresses = ("127.0.0.1:52804", "10.0.0.1:80", "[2001:db8:1:2:3:4:370:7348]:443", "[::1]:9")
    for address in addresses:
        for title in (address, f"{address} in b24b"):
            name = name_of(replace(BASE, title=title), grouping, room)
            assert len(name) <= room
            assert name == title or "…" in name
            assert name[-1] == "…" or "in b24b" not in title or name == title


@pytest.mark.parametrize("grouping", [g for g in Grouping if g])
def test_a_title_is_whole_or_a_shorter_one(grouping: Grouping) -> None:
    whole = TITLES[grouping]
    for width in range(40, 200):
        title = text_of(titles(grouping, width)).split("  ")[1].split("SOCKS")[0].strip()
        assert title in (whole, "REMOTE", "REMOTE:PORT", "LOCAL"), width
        assert title == whole or len(whole) > name_cells(grouping, width)


def notes_of(
    groups: Sequence[Group], by: Grouping, width: int, causes: Mapping[int, Cause]
) -> list[Line]:
    return notes(groups, factors(groups, by), by, width, causes)


def test_a_factor_is_to_the_median_of_the_others() -> None:
    some = peers(500_000, 600_000, 5 * MS, 700_000, 800_000)
    by = factors(some, Grouping.REMOTE)
    assert by[2] == pytest.approx(5 * MS / 650_000)
    assert by[0] == pytest.approx(500_000 / 750_000)
    assert factors(some, Grouping.PROGRAM) == [None] * 5, "they have nothing in common"
    assert factors(some[:3], Grouping.REMOTE) == [None] * 3, "too few to have a median"
    assert factors([*some[:4], replace(BASE, rtt50_ns=None)], Grouping.REMOTE)[4] is None
    elsewhere = [replace(BASE, port=443), replace(BASE, port=None)]
    assert factors([*some, *elsewhere], Grouping.REMOTE) == [*by, None, None], "no backends of it"


def test_slow_is_both_a_ratio_and_a_time() -> None:
    assert is_slow(5 * MS, 7.0)
    assert not is_slow(90_000, 30.0), "microseconds"
    assert not is_slow(50 * MS, 1.4)
    assert not is_slow(50 * MS, None)
    assert not is_slow(None, 7.0)


def test_the_slow_one_is_above_its_equals_and_named() -> None:
    some = peers(500_000, 600_000, 700_000, 800_000, 9_700_000)
    assert [g.worst_cookie for g in ordered(some, Grouping.REMOTE)[0]] == [4, 0, 1, 2, 3]
    sick = replace(some[1], level=Level.UNWELL)
    assert ordered([sick, *some], Grouping.REMOTE)[0][0] is sick
    said = " ".join(text_of(each) for each in notes_of(some, Grouping.REMOTE, 200, {}))
    assert (
        "one of 5 at :8080 is slow: 10.0.4.15:8080 has srtt 9.70ms, 15× the median of the others"
        in said
    )
    assert "(650µs)" in said
    same = notes_of(peers(*[600_000] * 8), Grouping.REMOTE, 200, {})
    assert "slow" not in " ".join(text_of(each) for each in same)


def test_a_slow_one_says_the_own_queue_where_that_is_why() -> None:
    some = peers(500_000, 600_000, 700_000, 800_000, 9_700_000)
    open_ = " ".join(text_of(each) for each in notes_of(some, Grouping.REMOTE, 300, {}))
    assert "is not known from here: see WHO of its sockets" in open_
    some[4] = replace(some[4], verdict=Verdict.QDISC, because=Because.QUEUE, who="kern")
    cause = Cause(
        "own_queue", 4, 1 << Verdict.RTT, Verdict.QDISC, Who.KERN, Because.QUEUE,
        (Evidence("host", "62K wait in the tbf of eth0"),), shared=QueueOf(7, 4), party="eth0",
    )  # fmt: skip
    for causes, said in (
        ({}, "own queue (kern), not on the path"),
        ({3: cause}, "own queue (kern), not on the path"),
        ({4: cause}, "own queue (kern), not on the path: 62K wait in the tbf of eth0"),
    ):
        text = " ".join(text_of(each) for each in notes_of(some, Grouping.REMOTE, 300, causes))
        assert f"(650µs); it waits in this host's {said} ×MED" in " ".join(text.split())
        assert "not known from here" not in text


@pytest.mark.parametrize(("width", "named"), [(80, ""), (120, "ACK99:"), (140, "ACK50 ACK99:")])
def test_columns_are_explained_where_they_are_shown(width: int, named: str) -> None:
    some = [replace(BASE, acks=Dist(9, 9 * MS, MS, MS, MS, MS))]
    said = [text_of(each) for each in notes_of(some, Grouping.PROCESS, width, {})]
    assert [text[: len(named)] for text in said if "ACK" in text] == [named] * bool(named)


def test_waits_come_from_octaves_and_never_too_low() -> None:
    octaves = [0] * 32
    octaves[5], octaves[9] = 99, 1  # 1-2 µs, 16-32 µs
    assert dist_of(octaves, 7, 30_000) == Dist(100, 7, 2048, 2048, 2048, 30_000)
    octaves[9] = 2
    assert dist_of(octaves, 7, 30_000).p99_ns == 30_000, "not above the largest"
    assert dist_of([0] * 32, 0, 0) == Dist()


@pytest.mark.parametrize("grouping", [g for g in Grouping if g])
@pytest.mark.parametrize("width", [*range(60, 130, 7), 120, 160, 200, 240])
def test_titles_stand_over_their_cells_and_nothing_is_cut(grouping: Grouping, width: int) -> None:
    bad = replace(
        BASE, title="a-very-long-name-of-a-program-or-of-a-container/4194303", level=Level.UNWELL,
        unwell=12, verdict=Verdict.UNREAD, who="peer", sockets=99_999,
    )  # fmt: skip
    for g in (UTF8, ASCII):
        for why in ("window 0 12m04s", "", "accept full"):
            made = group_line(bad, 74.2, grouping, width, g, selected=True, letter="", why=why)
            assert width_of(made) <= width
            assert why in text_of(made)
            head = text_of(titles(grouping, width))
            assert len(head) == width
            at = head.index(" SRTT50") + 7 if " SRTT50" in head else 0
            assert not at or text_of(made)[at - 1] in "sn", "a time ends where its title does"


def test_what_is_compared_is_seen_under_the_cursor_too() -> None:
    bad = replace(BASE, title="nginx", level=Level.UNWELL)

    def begin(*, selected: bool, letter: str) -> str:
        return text_of(
            group_line(bad, None, Grouping.PROGRAM, 120, UTF8, selected=selected, letter=letter,
                       why="")
        )[:8]  # fmt: skip

    assert begin(selected=False, letter="A") == "A! nginx"
    assert begin(selected=True, letter="") == "▌! nginx"
    assert begin(selected=True, letter="B") == "▌!Bnginx"


def test_the_median_of_each_column_stands_below() -> None:
    """Of five groups the third of each number; what no group knows stays unknown."""
    some = [
        replace(g, sockets=n, retr_pct=None, rtt90_ns=None)
        for g, n in zip(peers(5 * MS, 1 * MS, 9 * MS, 2 * MS, 4 * MS), (7, 1, 3, 9, 5), strict=True)
    ]
    (middle,) = median_line(some, Grouping.REMOTE, 160, UTF8)
    cells = dict(
        zip(
            text_of(titles(Grouping.REMOTE, 160)).split()[2:],
            text_of(middle).split()[3:],
            strict=False,
        )
    )
    assert text_of(middle).startswith("   median of 5 ")
    assert (cells["SOCKS"], cells["SRTT50"], cells["RETR%"]) == ("5", "4.00ms", "–")
    assert median_line(some[:3], Grouping.REMOTE, 160, UTF8) == [], "three have none worth it"


def test_a_factor_is_to_the_median_of_all_others() -> None:
    chance = random.Random(1)
    for many in range(4, 30):
        some = peers(*(chance.randrange(1, 9) * MS for _ in range(many)))
        for g, factor in zip(some, factors(some, Grouping.REMOTE), strict=True):
            others = [each.rtt50_ns or 0 for each in some if each is not g]
            assert factor == (g.rtt50_ns or 0) / median(others)


def test_groups_are_sorted_by_a_column() -> None:
    """By default worst first; what a group has no number of comes last."""
    some = peers(3 * MS, 1 * MS, 2 * MS)
    some[1] = replace(some[1], rtt50_ns=None, level=Level.UNWELL)
    srtt = next(c for c in COLUMNS if c.title == "SRTT50")
    assert [g.worst_cookie for g in ordered(some, Grouping.REMOTE)[0]] == [1, 0, 2]
    assert [g.worst_cookie for g in ordered(some, Grouping.REMOTE, srtt)[0]] == [0, 2, 1]
    for width in (66, 120, 200):
        line = text_of(titles(Grouping.REMOTE, width, srtt))
        assert len(line) == width
        for column in columns_of(Grouping.REMOTE, width):
            assert column_at(Grouping.REMOTE, width, line.index(column.title)) is column
        assert column_at(Grouping.REMOTE, width, 0) is None


def test_a_factor_that_none_has_leaves_its_place_to_the_name() -> None:
    for width in (80, 120, 200):
        line, without = (text_of(titles(Grouping.REMOTE, width, equals=e)) for e in (True, False))
        assert "×MED" in line
        assert "×MED" not in without
        more = name_cells(Grouping.REMOTE, width, equals=False)
        assert more == name_cells(Grouping.REMOTE, width) + len(" ×MED ")
        group = group_line(BASE, None, Grouping.REMOTE, width, UTF8, selected=False, letter="",
                           why="", equals=False)  # fmt: skip
        assert without.index(" WHO") >= len(text_of(group).rstrip())


def test_the_median_is_as_quiet_as_what_explains_it() -> None:
    some = [replace(g, unwell=3) for g in peers(*[600_000] * 5)]
    (middle,) = median_line(some, Grouping.REMOTE, 160, UTF8)
    assert " 3 " in text_of(middle)
    assert {role for text, role in middle if text.strip()} == {Role.DIM}
