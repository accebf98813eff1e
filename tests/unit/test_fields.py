"""The registry of fields: a formula means the same in C and in Python, in every output."""

from __future__ import annotations

import csv
import io
import itertools

import pytest

from nettop.commands.topics import columns, sort_keys
from nettop.export.csvout import write_header, write_rows
from nettop.export.jsonout import socket_object
from nettop.export.keys import KEYS
from nettop.feed import Sort
from nettop.model.tcpinfo import ABSENT
from nettop.model.types import Proto, Row
from nettop.query import compile_filter
from nettop.text import fields as registry
from nettop.text.columns import cell, reader, title_of
from nettop.text.fields import DERIVED, FIELDS, Field, Formula, Kind, Loc, lookup, resolved
from tests.export.make import make_model
from tests.feeding import FedEngine
from tests.netlink import connection, done

# By cookie: srtt, min_rtt and lost; 4 has no sample yet, 5 no minimum.
SOCKETS = {1: (9000, 1000, 1), 2: (4000, 2000, 5), 3: (50, 50, 0), 4: (0, ABSENT["min_rtt"], 2),
           5: (700, ABSENT["min_rtt"], 3), 6: (700, 0, 3)}  # fmt: skip
RATIOS = {1: 9.0, 2: 2.0, 3: 1.0, 4: None, 5: None, 6: None}


@pytest.fixture
def engine() -> FedEngine:
    engine = FedEngine()
    engine.feed_begin(1)
    for cookie, (rtt, least, lost) in SOCKETS.items():
        message = connection(cookie, rtt=rtt, min_rtt=least, lost=lost, snd_cwnd=10)
        engine.feed(1, Proto.TCP, message)
    engine.feed(1, Proto.TCP, done())
    engine.feed_end(1)
    return engine


def row_of(engine: FedEngine, cookie: int) -> Row:
    row = engine.find(cookie)
    assert row is not None
    return row


def passing(engine: FedEngine, text: str) -> set[int]:
    engine.set_filter(compile_filter(text))
    try:
        engine.order(None, True, 99, False)
        return {row.cookie for row in engine.window(0, 99)}
    finally:
        engine.set_filter(None)


def test_python_has_the_ratio(engine: FedEngine) -> None:
    field = FIELDS["srtt/minrtt"]
    for cookie, ratio in RATIOS.items():
        row, detail = row_of(engine, cookie), engine.detail(cookie)
        assert field.value(row, detail) == reader(field)(row, detail) == ratio


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("srtt/minrtt > 1.5", {1, 2}),
        ("srtt/minrtt = 1", {3}),
        ("srtt/minrtt <= 2x", {2, 3}),
        ("not srtt/minrtt > 1.5", {3, 4, 5, 6}),
        ("srtt/minrtt >= 0", {1, 2, 3}),
        ("srtt/minrtt > 4 and srtt > 2*minrtt", {1}),
        ("srtt/minrtt >= 1*srtt/minrtt", {1, 2, 3}),
    ],
)
def test_a_filter_has_it(engine: FedEngine, text: str, expected: set[int]) -> None:
    assert passing(engine, text) == expected


@pytest.mark.parametrize("descending", [True, False])
def test_the_order_has_it_and_unknown_is_last(engine: FedEngine, descending: bool) -> None:
    engine.order(FIELDS["srtt/minrtt"], descending, 99, False)
    got = [row.cookie for row in engine.window(0, 99)]
    assert got[:3] == ([1, 2, 3] if descending else [3, 2, 1])
    assert set(got[3:]) == {4, 5, 6}


def test_table_csv_json_and_help_have_it(engine: FedEngine) -> None:
    field = FIELDS["srtt/minrtt"]
    out = io.BytesIO()
    write_header(out.write, [field])
    rows = [(row_of(engine, c), engine.detail(c)) for c in RATIOS]
    write_rows(out.write, make_model(), rows, [field])
    read = [line[1] for line in csv.reader(io.StringIO(out.getvalue().decode()))]
    assert read == ["srtt_per_minrtt", "9", "2", "1", "", "", ""]
    assert [cell(field, *pair) for pair in rows] == ["9.0×", "2.0×", "1.0×", "–", "–", "–"]
    objects = [socket_object(row, detail, lambda inode: []) for row, detail in rows]
    assert [o.get("derived", {}).get("srtt_per_minrtt") for o in objects] == list(RATIOS.values())
    assert "sockets[].derived.srtt_per_minrtt" in KEYS
    assert "\nsrtt/minrtt" in sort_keys()
    assert "\nsrtt/minrtt" in columns()


FORMULAS = [
    ("lost + cwnd", lambda srtt, least, lost: lost + 10),
    ("cwnd - lost", lambda srtt, least, lost: 10 - lost),
    ("lost - cwnd", lambda srtt, least, lost: lost - 10),
    ("lost / cwnd", lambda srtt, least, lost: lost / 10),
    ("snd_mss / cwnd", lambda srtt, least, lost: 0),
    ("srtt - minrtt", lambda srtt, least, lost: (srtt - least) * 1000),
]


@pytest.mark.parametrize(("formula", "expected"), FORMULAS)
def test_one_line_more_is_a_field_of_its_own(
    engine: FedEngine, monkeypatch: pytest.MonkeyPatch, formula: str, expected: object
) -> None:
    """Sorted and filtered in C as it is computed in Python, where both parts are known."""
    assert callable(expected)
    left = FIELDS[formula.split()[0]]
    kind = Kind.RATIO if "/" in formula else left.kind
    field = resolved(Field("more", kind, "one more", formula=formula), FIELDS)
    monkeypatch.setitem(registry.FIELDS, "more", field)
    assert lookup("MORE") is field
    assert title_of(field) == "MORE"
    values = {}
    for cookie, numbers in SOCKETS.items():
        value = field.value(row_of(engine, cookie), engine.detail(cookie))
        unknown = "minrtt" in formula and (not numbers[0] or numbers[1] == ABSENT["min_rtt"])
        assert value == (None if unknown else expected(*numbers))
        if isinstance(value, int | float):
            values[cookie] = value
    engine.order(field, False, 99, False)
    got = [row.cookie for row in engine.window(0, 99)]
    assert [values[c] for c in got[: len(values)]] == sorted(values.values())
    unit = "ns" if kind is Kind.TIME else ""
    for cookie, value in values.items():
        assert cookie in passing(engine, f"more >= {value:g}{unit} and more <= {value:g}{unit}")


def test_a_formula_is_of_two_numbers() -> None:
    for formula in ("srtt / comm", "srtt * minrtt", "srtt/minrtt + srtt"):
        with pytest.raises(ValueError, match="is not of two numbers"):
            resolved(Field("more", Kind.RATIO, "", formula=formula), FIELDS)


def test_its_plane_is_its_parts() -> None:
    field = resolved(Field("more", Kind.RATIO, "", formula="rxwait.p99 / srtt"), FIELDS)
    assert field.source == "wait"
    assert field.reads("plane")
    assert not field.reads("info")


@pytest.mark.parametrize(("state", "known"), [("SYN_SENT", False), ("ESTABLISHED", True)])
def test_ages_before_anything_came_are_unknown(state: str, known: bool) -> None:
    """The kernel has them as the time since its clock began."""
    engine = FedEngine()
    engine.feed_begin(1)
    engine.feed(1, Proto.TCP, connection(1, state=state, last_ack_recv=56_820_000) + done())
    engine.feed_end(1)
    row, detail = row_of(engine, 1), engine.detail(1)
    for name in ("last_data_sent", "last_data_recv", "last_ack_sent", "last_ack_recv"):
        assert (FIELDS[name].value(row, detail) is not None) == known
        assert (reader(FIELDS[name])(row, detail) is not None) == known


def test_registries_agree() -> None:
    for field in FIELDS.values():
        assert isinstance(field.loc, Loc | Formula | None)
        assert (field.loc is None) == (field.kind in (Kind.TEXT, Kind.ADDRESS)), field.id
        assert not field.formula or isinstance(field.loc, Formula), field.id
        assert field.help
        assert Sort(field)
    assert {f"sockets[].derived.{f.csv_name}" for f in DERIVED} <= set(KEYS)
    names = [f.csv_name for f in FIELDS.values()]
    assert len(set(names)) == len(names)
    known = [*FIELDS, *itertools.chain.from_iterable(f.aliases for f in FIELDS.values())]
    assert len(set(known)) == len(known)
