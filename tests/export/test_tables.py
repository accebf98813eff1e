"""CSV, text and pictures."""

from __future__ import annotations

import csv
import io
import unicodedata
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from nettop.export.csvout import write_header, write_rows
from nettop.export.svgout import MOST_ROWS, write_svg
from nettop.export.textout import write_text
from nettop.model.tcpinfo import LISTEN_FIELDS
from nettop.model.types import (
    AF_INET6,
    Detail,
    Flag,
    Owner,
    Proc,
    Proto,
    Row,
    SourceStatus,
    Verdict,
)
from nettop.text.columns import GUTTER, WHY_CELLS, columns_for, cut, reader, to_ascii
from nettop.text.fields import FIELDS, Kind, Loc
from nettop.text.table import TableStyle
from nettop.text.words import owner_text, why_text
from nettop.tui.columns import choose
from tests.export.make import HOSTILE, make_detail, make_model, make_row

NARROW = ["proc", "lport", "remote", "srtt", "sndq", "rcvq", "who", "why"]
PLAIN = TableStyle()
ALL_FLAGS = int(~Flag(0))
FULL = make_row(
    flags=ALL_FLAGS, rtt_us=48100, rttvar_us=12000, min_rtt_us=11900, snd_cwnd=10, lost=2,
    rqueue=212_000, wqueue=64_000, tx_bytes_per_s=1.5e8, rx_bytes_per_s=3e7, retrans_per_s=3.0,
    retr_pct=2.1, flow_bytes_per_s=1.5e8, oldest_unread_ms=12_400, verdict=Verdict.LOSS,
    verdict2=Verdict.LOSS, verdicts=1 << Verdict.LOSS, verdict_value=2.1, level=2, cong="cubic",
)  # fmt: skip
HOSTILE_ROW = make_row(
    2, proc=Proc(1, 2, Owner.PROC, 0, HOSTILE), user=HOSTILE, cgroup=HOSTILE, container=HOSTILE,
    netns_name=HOSTILE, cong=HOSTILE,
)  # fmt: skip


def csv_of(*rows: tuple[Row, Detail | None]) -> list[dict[str, str]]:
    out = io.BytesIO()
    write_header(out.write)
    write_rows(out.write, make_model(), rows)
    return list(csv.DictReader(io.StringIO(out.getvalue().decode(), newline="")))


def test_csv_names_say_the_unit() -> None:
    names = [f.csv_name for f in FIELDS.values()]
    assert len(set(names)) == len(names)
    for field, name in {
        "tx": "tx_bytes_per_s", "flow": "flow_bytes_per_s", "srtt": "srtt_ns",
        "rxwait.p99": "rxwait.p99_ns", "retr/s": "retr_per_s", "retr%": "retr_pct",
        "limited.cwnd": "limited.cwnd_pct", "rcvq": "rcvq_bytes", "bytes_acked": "bytes_acked",
        "notsent_bytes": "notsent_bytes", "rto": "rto_ns", "pacing_rate": "pacing_rate_bytes_per_s",
        "cwnd": "cwnd", "ca_state": "ca_state",
    }.items():  # fmt: skip
        assert FIELDS[field].csv_name == name
    assert not any(character in name for name in names for character in "/%")


def text_of(*rows: tuple[Row, Detail | None], style: TableStyle = PLAIN, off: bool = True) -> str:
    model = make_model()
    if not off:
        on = tuple(SourceStatus(name, "ok") for name in ("diag", "wait", "stages"))
        model = replace(model, sources=on)
    out = io.BytesIO()
    write_text(out.write, model, rows, style)
    return out.getvalue().decode()


def test_csv_parses_back_to_the_values() -> None:
    detail = make_detail(bytes(range(1, 253)) + bytes(28))
    (got,) = csv_of((FULL, detail))
    assert list(got) == ["taken", *(f.csv_name for f in FIELDS.values())]
    for field in FIELDS.values():
        name = field.csv_name
        if field.kind is Kind.ADDRESS:
            continue
        value = field.said(field.value(FULL, detail))
        if value is None:
            assert got[name] == "", name
        elif isinstance(value, str):
            assert got[name] == value, name
        else:
            assert float(got[name]) == pytest.approx(value, rel=1e-5), name
    assert got["local"] == "127.0.0.1:80"
    assert got["srtt_ns"] == "48100000"
    assert got["unread_ns"] == "12400000000"
    assert got["retr_pct"] == "2.1"


def test_a_code_is_its_word_and_one_without_a_word_its_number() -> None:
    info = bytearray(280)
    info[1], info[7] = 3, 2 << 1  # ca_state, fastopen_client_fail
    (got,) = csv_of((FULL, make_detail(bytes(info))))
    assert (got["level"], got["ca_state"]) == ("unwell", "Recovery")
    assert got["fastopen_client_fail"] == "data not acked"
    info[1] = 5  # of a kernel to come
    (got,) = csv_of((FULL, make_detail(bytes(info))))
    assert got["ca_state"] == "5"


def test_csv_leaves_unknown_empty() -> None:
    (got,) = csv_of((make_row(flags=0), None))
    for name in (
        "srtt_ns",
        "tx_bytes_per_s",
        "retr_per_s",
        "drops",
        "unread_ns",
        "rto_ns",
        "rxwait.p99_ns",
    ):
        assert got[name] == ""


def test_csv_is_safe_in_a_spreadsheet() -> None:
    for start in "=+-@\t\r":
        (got,) = csv_of((make_row(proc=Proc(1, 2, Owner.PROC, 0, f"{start}cmd")), None))
        assert got["comm"] == f"'{start}cmd"
        assert got["proc"] == f"'{start}cmd/1"
    (got,) = csv_of((HOSTILE_ROW, None))
    assert got["user"].startswith("a\x1b")


def test_csv_lines_end_as_rfc_4180_says() -> None:
    out = io.BytesIO()
    write_rows(out.write, make_model(), [(make_row(i), None) for i in range(1, 200)])
    assert out.getvalue().count(b"\r\n") == out.getvalue().count(b"\n") == 199


def test_readers_read_what_the_fields_say() -> None:
    detail = make_detail(bytes(range(1, 253)) + bytes(28))
    rows = [
        FULL,
        make_row(flags=0),
        make_row(proto=Proto.UDP, flags=ALL_FLAGS),
        make_row(state=6, flags=ALL_FLAGS),
        make_row(proc=Proc(0, 0, Owner.ORPHAN, 0, "")),
    ]
    for row in rows:
        for field in FIELDS.values():
            for d in (detail, None):
                assert reader(field)(row, d) == field.value(row, d), field.id
    listener = make_row(state=10, flags=ALL_FLAGS)
    for field in FIELDS.values():
        loc = field.loc
        if isinstance(loc, Loc) and loc.base == "info" and loc.member not in LISTEN_FIELDS:
            assert reader(field)(listener, detail) is None


def test_text_says_who_and_why() -> None:
    lines = text_of((FULL, None)).splitlines()
    assert lines[0].startswith("nettop  web-1 6.18.44  2026-11-20 19:00:00Z  1.0s")
    assert "! 1 unwell" in lines[0]
    row = lines[-1]
    assert row.startswith("! nginx/12")
    assert row.endswith("net   loss 2.1%")
    for piece in (":80", "10.0.0.2:41000", "ESTB", "48.1ms", "12.4s"):
        assert piece in row


def test_absent_is_a_dash() -> None:
    row = text_of((make_row(flags=0), None)).splitlines()[-1]
    assert row.count("–") >= 6


def test_every_line_has_its_columns_under_the_titles() -> None:
    lines = text_of((FULL, None), (make_row(2), None)).splitlines()
    title = lines[3]
    for row in lines[4:]:
        assert row[title.index("REMOTE") - 1] == " "
        assert row[title.index("REMOTE")] == "1"


@pytest.mark.parametrize("width", [40, 80, 119, 120, 199, 200, 300])
def test_a_fitting_table_fits(width: int) -> None:
    v6 = make_row(3, family=AF_INET6, src=bytes(range(16)), dst=bytes(range(16, 32)))
    for off in (True, False):
        text = text_of(
            (FULL, None), (HOSTILE_ROW, None), (v6, None), style=TableStyle(width, True), off=off
        )
        assert max(map(len, text.splitlines())) <= width


def test_columns_follow_the_width_and_the_planes() -> None:
    model = make_model()
    ids = {w: [f.id for f, _ in columns_for(w, model)] for w in (80, 99, 119, 120, 200)}
    assert ids[80] == NARROW
    assert {*NARROW, "retr/s"} == set(ids[99])
    assert all("lport" in shown or "local" in shown for shown in ids.values()), "which service"
    assert {*NARROW, "st", "flow"} < set(ids[119])
    assert "unread" in ids[120]
    assert "rxwait.p99" not in ids[120]
    assert {"local", "container", "cc"} <= set(ids[200])
    on = replace(model, sources=(SourceStatus("wait", "ok"), SourceStatus("stages", "ok")))
    with_bpf = [f.id for f, _ in columns_for(120, on)]
    assert "rxwait.p99" in with_bpf
    assert "unread" not in with_bpf


@pytest.mark.parametrize("width", [60, 62, 63, 69, 70, 79, 80, 100, 119])
def test_a_narrow_table_has_every_verdict_in_full(width: int) -> None:
    """`reads 60.3ms` without its last letter would be a wait of an hour."""
    late = make_row(5, verdicts=1 << Verdict.RTT, verdict=Verdict.RTT, verdict_value=12.3, level=2)
    words = why_text(late) or ""
    assert words == "RTT 12.3x min"
    assert len(words) == WHY_CELLS
    shown = text_of((late, None), style=TableStyle(width, True)).splitlines()[-1]
    assert shown.endswith(words)
    fields = [f.id for f, _ in choose(width, make_model()).columns]
    used = GUTTER + sum(cells + 1 for _, cells in choose(width, make_model()).columns) - 1
    assert fields[-2:] == ["who", "why"]
    assert used <= width


def test_a_round_trip_is_named_by_its_time_where_its_minimum_is_tiny() -> None:
    """53 ms are 13250 times a minimum of 4 µs, which says nothing of the path."""
    for least_us, words in ((4, "RTT 53.0ms"), (999, "RTT 53.0ms"), (1000, "RTT 53.0x min")):
        late = make_row(
            verdicts=1 << Verdict.RTT, verdict=Verdict.RTT, verdict_value=53000 / least_us,
            rtt_us=53000, min_rtt_us=least_us,
        )  # fmt: skip
        assert why_text(late) == words


def test_an_owner_is_unknown_until_it_was_looked_for() -> None:
    """A user in its place is that of a process that may not be looked into."""
    for owner, words in (
        (Owner.UNKNOWN, None), (Owner.HIDDEN, "(www-data)"), (Owner.NOT_FOUND, "(no holder found)"),
    ):  # fmt: skip
        assert owner_text(make_row(proc=Proc(0, 0, owner, 0, ""))) == words


def test_several_namespaces_have_a_column() -> None:
    one, two = (
        replace(model := make_model(), totals=replace(model.totals, netns=n)) for n in (1, 2)
    )
    for width, more in ((80, set()), (120, {"netns"}), (200, {"netns"})):
        few, many = ({f.id for f, _ in columns_for(width, model)} for model in (one, two))
        assert many - few == more, width


def test_in_full_nothing_is_cut() -> None:
    v6 = make_row(3, family=AF_INET6, src=bytes(range(16)), dst=b"\xfe" * 16, dport=65535)
    text = text_of((v6, None), style=TableStyle(40))
    assert "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:65535" in text
    assert "…" not in text


def test_cut_keeps_what_tells_apart() -> None:
    assert cut("report-export/9031", 13, FIELDS["proc"]) == "report-…/9031"
    assert cut("[2001:db8:1:2:3:4:370:7348]:52110", 21, FIELDS["remote"]).endswith(":52110")
    assert len(cut("x" * 50, 19, FIELDS["container"])) == 19
    assert cut("short", 10, FIELDS["proc"]) == "short"


def test_no_control_character_leaves_a_text_or_picture() -> None:
    style = TableStyle(columns=tuple(FIELDS.values()))
    text = text_of((HOSTILE_ROW, None), style=style)
    assert {unicodedata.category(c) for c in text.replace("\n", "")} & {"Cc", "Cf", "Cs"} == set()
    assert len(text.splitlines()) == 5


def test_ascii_table_is_ascii() -> None:
    style = TableStyle(columns=tuple(FIELDS.values()), ascii=True)
    assert text_of((FULL, None), (HOSTILE_ROW, None), style=style).isascii()
    assert to_ascii("12µs ▲ – é ±") == "12us + - ? +"


def test_picture_is_well_formed_and_bounded() -> None:
    out = io.BytesIO()
    rows = [(FULL, None), (HOSTILE_ROW, None), *((make_row(i), None) for i in range(3, 2500))]
    model = make_model(host=HOSTILE)
    model = replace(model, totals=replace(model.totals, matched=len(rows)))
    write_svg(out.write, model, rows, TableStyle())
    root = ElementTree.fromstring(out.getvalue())
    texts = ["".join(t.itertext()) for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert len(texts) == 3 + MOST_ROWS + 1
    assert "and 499 more sockets" in texts[-1]
    assert not any(unicodedata.category(c) == "Cc" for t in texts for c in t)
    assert b"<script" not in out.getvalue()
