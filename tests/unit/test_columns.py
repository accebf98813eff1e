"""Cells and widths of the text table."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nettop.model.hosts import LIVE, HostState
from nettop.model.types import Flag, Model, SourceStatus
from nettop.text.columns import cell, cells_of, columns_for, cut, title_of, to_ascii
from nettop.text.evidence import STAMPED_BY_ITSELF
from nettop.text.explain import explain
from nettop.text.fields import FIELDS, Kind
from nettop.text.table import TableStyle, table_lines
from nettop.tui.columns import choose
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
