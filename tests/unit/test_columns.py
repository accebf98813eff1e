"""Cells and widths of the text table."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nettop.model.hosts import LIVE, HostState
from nettop.model.types import Flag, Model, Owner, Plane, Proc, Row, SourceStatus, Verdict
from nettop.text.columns import cell, cells_of, columns_for, cut, title_of, to_ascii
from nettop.text.evidence import STAMPED_BY_ITSELF
from nettop.text.explain import explain
from nettop.text.fields import FIELDS, Kind
from nettop.text.table import TableStyle, table_lines
from nettop.tui.columns import UNSEEN, choose, row_line, same_cells
from nettop.tui.style import Role
from tests.export.make import make_detail, make_model, make_row

FEW = tuple(FIELDS[name] for name in ("proc", "comm", "rto", "why", "st"))


def test_chosen_columns_are_not_cut_where_they_fit() -> None:
    detail = make_detail(bytes(range(1, 253)) + bytes(28))
    detail = replace(detail, tcp_info={**detail.tcp_info, "rto": 204_000})
    row = make_row(flags=int(Flag.INFO), verdicts=1, oldest_unread_ms=0)
    style = TableStyle(120, fits=True, columns=FEW)
    titles, line = list(table_lines(make_model(), [(row, detail)], style))[-2:]
    assert titles.split() == ["PROC", "COMM", "RTO", "WHY", "ST"]
    assert "204ms" in line
    assert "…" not in line
    assert str(cell(FIELDS["why"], row, detail)) in line


@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if not f.width])
def test_every_column_has_room_for_its_numbers(name: str) -> None:
    field = FIELDS[name]
    room = cells_of(field)
    assert room >= len(title_of(field)) > 0
    if field.kind is Kind.TIME:
        for text in ("999ns", "48.1ms", "12d03h"):
            assert cut(text, room, field) == text
    if field.kind in (Kind.SIZE, Kind.COUNT, Kind.BITRATE):
        assert cut("9.8K", room, field) == "9.8K"


def test_the_age_of_unread_data_is_bounded_only_where_it_is() -> None:
    flags = Flag.OLDEST_UNREAD
    least = make_row(flags=int(flags), oldest_unread_ms=12_400)
    exact = make_row(flags=int(flags | Flag.UNREAD_EXACT), oldest_unread_ms=12_400)
    assert cell(FIELDS["unread"], least, None) == "≥12s"
    assert cell(FIELDS["unread"], exact, None) == "12.4s"


def test_ascii_titles_keep_their_width() -> None:
    for field in FIELDS.values():
        assert len(to_ascii(title_of(field))) == len(title_of(field))
    assert to_ascii("±VAR") == "+VAR"


def test_blank_is_well_and_a_dash_is_unknown() -> None:
    who, why = FIELDS["who"], FIELDS["why"]
    well, untraced = make_row(), make_row(flags=int(Flag.MATCH | Flag.WAIT_UNTRACED))
    listener = make_row(state=10, flags=int(Flag.MATCH | Flag.WAIT_UNTRACED))
    assert [cell(f, well, None) for f in (who, why)] == ["", ""]
    assert [cell(f, listener, None) for f in (who, why)] == ["", ""]
    assert [cell(f, untraced, None) for f in (who, why)] == ["–", "not traced"]
    assert cell(FIELDS["cgroup"], well, None) == "–"
    assert explain(well, None, make_model(), None).who == ""
    assert explain(untraced, None, make_model(), None).who == "–"


def test_what_is_on_by_itself_moves_no_column() -> None:
    model = make_model()
    off = replace(model, sources=(SourceStatus("wait", "ok"), SourceStatus("stages", "off")))
    on = replace(model, sources=(SourceStatus("wait", "ok"), SourceStatus("stages", "ok")))
    own = SourceStatus("stages", "ok", reason=f"{STAMPED_BY_ITSELF} 1 socket")
    by_itself = replace(model, sources=(SourceStatus("wait", "ok"), own))
    assert columns_for(240, by_itself) == columns_for(240, off) != columns_for(240, on)


def test_a_namespace_beside_a_host_takes_no_other_columns_place() -> None:
    def of_hosts(each: int) -> Model:
        model = make_model()
        one = replace(model, totals=replace(model.totals, netns=each))
        hosts = tuple(HostState(name, LIVE, model=one) for name in "abc")
        totals = replace(model.totals, netns=3 * each)
        return replace(model, totals=totals, hosts=hosts)

    def shown(width: int, each: int) -> set[str]:
        return {field.id for field, _ in choose(width, of_hosts(each)).columns}

    for width in (120, 121, 130, 160, 200):
        assert "netns" not in shown(width, 1)
        assert {"lport", "local"} & shown(width, 1)
        assert shown(width, 2) - {"netns"} <= shown(width, 1)
        assert {"st", "flow", "lport", "tx"} & shown(width, 1) <= shown(width, 2)
    assert "netns" in shown(160, 2)


def test_words_begin_at_the_left_and_numbers_end_at_the_right() -> None:
    """So columns of names are read: COMM stood at the right edge."""
    assert [
        f.id for f in FIELDS.values() if f.kind in (Kind.TEXT, Kind.ADDRESS) and not f.left
    ] == []
    few = tuple(FIELDS[name] for name in ("comm", "srtt"))
    style = TableStyle(120, fits=True, columns=few)
    row = make_row(1, rtt_us=48100, flags=int(Flag.MATCH | Flag.INFO))
    title, line = [*table_lines(make_model(), [(row, None)], style)][-2:]
    assert title.index("COMM") == line.index("nginx")
    assert title.index("SRTT") + 4 == line.index("48.1ms") + 6


def test_no_cell_shows_when_others_were_read() -> None:
    row = make_row(level=2, verdicts=1 << Verdict.RTT, verdict=Verdict.RTT, verdict_value=9.0)
    for name in UNSEEN:
        later = replace(row, rec=row.rec._replace(**{name: 77_000}))
        assert same_cells(row, later), name
        for field in FIELDS.values():
            assert cell(field, row, None) == cell(field, later, None), (name, field.id)


def test_rows_are_told_apart_by_all_else() -> None:
    row = make_row()
    for name, value in row.rec._asdict().items():
        other = bytes(len(value) - 1) + b"\1" if isinstance(value, bytes) else value + 1
        changed = replace(row, rec=row.rec._replace(**{name: other}))
        assert same_cells(row, changed) == (name in UNSEEN), name
    beside = {"proc": Proc(99, 1, Owner.PROC, 0, "b"), "plane": Plane(standing_ms=5), "above": 7}
    for name in Row.__struct_fields__:
        if name != "rec":
            assert not same_cells(row, replace(row, **{name: beside.get(name, "another")})), name


@pytest.mark.parametrize(
    ("field", "role", "of"),
    [
        ("srtt", Role.UNWELL, {"verdicts": 1 << Verdict.RTT}),
        ("srtt", Role.UNWELL, {"rtt_us": 90_000, "min_rtt_us": 10_000}),
        ("srtt", Role.WATCH, {"rtt_us": 30_000, "min_rtt_us": 10_000}),
        ("srtt", Role.NORMAL, {"rtt_us": 15_000, "min_rtt_us": 10_000}),
        ("srtt", Role.NORMAL, {"rtt_us": 900, "min_rtt_us": 10}),  # a ratio to microseconds
        ("rcvq", Role.UNWELL, {"rqueue": 9, "verdicts": 1 << Verdict.UNREAD}),
        ("rcvq", Role.WATCH, {"rqueue": 65_537, "verdicts": 1 << Verdict.RTT}),
        ("rcvq", Role.NORMAL, {"rqueue": 65_536, "verdicts": 1 << Verdict.RTT}),
        ("sndq", Role.UNWELL, {"wqueue": 9, "verdicts": 1 << Verdict.WINDOW}),
        ("sndq", Role.NORMAL, {"wqueue": 9, "verdicts": 1 << Verdict.RTT}),
        ("st", Role.WATCH, {"state": 8, "verdicts": 1 << Verdict.UNCLOSED}),
        ("lport", Role.NORMAL, {"verdicts": 1 << Verdict.RTT}),
        ("why", Role.UNWELL, {"verdicts": 1 << Verdict.RTT, "verdict": Verdict.RTT}),
    ],
)
def test_what_is_unusual_has_the_colour_and_never_a_louder_one_than_its_row(
    field: str, role: Role, of: dict[str, int]
) -> None:
    known = {"rtt_us": 20_000, "flags": int(Flag.MATCH | Flag.INFO)} | of

    def role_of(level: int) -> Role:
        columns = choose(200, make_model(), (FIELDS[field],))
        line = row_line(
            columns, make_row(level=level, **known), selected=False, marked=False, numeric=False,
            cursor=">", mark="x", signs=(" ", "^", "!"),
        )  # fmt: skip
        return line[-1][1]

    assert role_of(2) is role
    assert role_of(1) is (Role.WATCH if role is Role.UNWELL else role)
    assert role_of(0) is Role.NORMAL
