"""JSON: what is known, left out and escaped."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest

from nettop.export.times import utc_text
from nettop.model.tcpinfo import TCP_INFO
from nettop.model.types import AF_INET6, Detail, Flag, Owner, Proc, Proto, Row, Verdict
from nettop.text.fields import FIELDS
from tests.export.make import HOSTILE, make_detail, make_model, make_row, write_json
from tests.export.schema import check


def export(
    *rows: tuple[Row, Detail | None], holders: list[Proc] | None = None, lines: bool = True
) -> dict[str, Any]:
    out = io.BytesIO()
    write_json(out.write, make_model(), rows, lambda _: holders or [], lines=lines)
    text = out.getvalue()
    assert text.isascii()
    assert text.endswith(b"}\n")
    snapshot: dict[str, Any] = json.loads(text)
    check(snapshot)
    return snapshot


def socket_of(row: Row, detail: Detail | None = None) -> dict[str, Any]:
    return export((row, detail))["sockets"][0]  # type: ignore[no-any-return]


def test_the_head() -> None:
    head = export()
    assert head["taken"] == "2026-11-20T19:00:00.123456789Z"
    assert head["interval_s"] == 1.0
    assert head["sources"][1] == {
        "name": "wait", "state": "off", "reason": "needs CAP_BPF", "fix": "sudo nettop",
    }  # fmt: skip
    assert head["totals"]["by_state"] == {"ESTABLISHED": 8107, "TIME_WAIT": 261}
    assert "retr_pct" not in head["totals"]
    assert head["totals"]["resets_per_s"] == 0.0
    assert head["sockets"] == []


def test_time_is_utc_with_nanoseconds() -> None:
    assert utc_text(5) == "1970-01-01T00:00:00.000000005Z"


def test_no_sockets_and_one_line_objects() -> None:
    out = io.BytesIO()
    rows = [(make_row(i), None) for i in range(1, 4)]
    write_json(out.write, make_model(), rows, lambda _: [], lines=False)
    assert out.getvalue().count(b"\n") == 1


def test_a_socket_without_rates_tcp_info_or_owner_has_no_such_keys() -> None:
    got = socket_of(make_row(inode=0, proc=Proc(0, 0, Owner.ORPHAN, 0, ""), user=None))
    assert got["owner"] == "orphan"
    for key in ("procs", "rates", "limited", "tcp_info", "inode", "user", "cgroup", "cong",
                "rx_wait", "timer", "who", "why", "netns_name"):  # fmt: skip
        assert key not in got
    assert got["verdicts"] == []
    assert got["rqueue"] == 0


def test_unknown_owner_is_left_out() -> None:
    got = socket_of(make_row(proc=Proc(0, 0, Owner.UNKNOWN, 0, "")))
    assert "owner" not in got
    assert "procs" not in got


def test_tcp_info_by_name_in_kernel_units() -> None:
    raw = bytearray(max(280, *(item.offset + item.size for item in TCP_INFO)))
    values = {}
    for item in TCP_INFO:
        if item.size == 4 and not item.width and item.offset != item.absent:
            struct.pack_into("<I", raw, item.offset, item.offset)
            values[item.name] = item.offset
    got = socket_of(make_row(flags=int(Flag.INFO)), make_detail(bytes(raw)))
    assert values.items() <= got["tcp_info"].items()
    assert got["tcp_info_len"] == len(raw)
    assert got["tcp_info"]["rtt"] == 68


def test_what_tcp_info_marks_unknown_is_left_out() -> None:
    raw = bytearray(280)
    struct.pack_into("<I", raw, 76, 0x7FFFFFFF)
    struct.pack_into("<QQ", raw, 104, 2**64 - 1, 2**64 - 1)
    struct.pack_into("<I", raw, 148, 0xFFFFFFFF)
    info = socket_of(make_row(flags=int(Flag.INFO)), make_detail(bytes(raw)))["tcp_info"]
    for name in ("rtt", "min_rtt", "snd_ssthresh", "pacing_rate", "max_pacing_rate", "rcv_rtt",
                 "delivery_rate"):  # fmt: skip
        assert name not in info
    assert info["total_retrans"] == 0


@pytest.mark.parametrize("length", [104, 192, 232, 248])
def test_short_tcp_info_has_only_what_was_sent(length: int) -> None:
    got = socket_of(make_row(flags=int(Flag.INFO)), make_detail(bytes([1]) * length))
    ends = {i.name: i.offset + i.size for i in TCP_INFO}
    assert got["tcp_info"]
    assert all(ends[name] <= length for name in got["tcp_info"])


def test_a_listener_has_only_what_a_listener_means() -> None:
    row = make_row(state=10, flags=int(Flag.INFO | Flag.RATES | Flag.SKMEM), rqueue=3, wqueue=511)
    got = socket_of(row, make_detail(bytes(280)))
    assert "rtt" not in got["tcp_info"]
    assert "bytes_sent" not in got["tcp_info"]
    assert got["tcp_info"]["snd_cwnd"] == 0
    assert got["rates"] == {"drops_per_s": 0.0}


def test_rates_shares_and_unread() -> None:
    flags = Flag.RATES | Flag.LIMITED | Flag.RETR_PCT | Flag.OLDEST_UNREAD | Flag.SKMEM
    got = socket_of(
        make_row(flags=int(flags), retrans_per_s=3.0, retr_pct=2.1, lim_idle_pct=80,
                 lim_in_flight_pct=20, oldest_unread_ms=12400)
    )  # fmt: skip
    assert got["rates"]["retrans_per_s"] == 3.0
    assert got["rates"]["retr_pct"] == 2.1
    assert got["limited"] == {
        "rwnd": 0.0, "sndbuf": 0.0, "cwnd": 0.0, "in_flight": 0.2, "idle": 0.8,
    }  # fmt: skip
    assert got["rx_wait"] == {
        "oldest_unread_ns": 12_400_000_000, "bounded": True, "method": "poll",
    }  # fmt: skip


def test_verdicts_worst_first_with_their_numbers() -> None:
    row = make_row(
        verdicts=1 << Verdict.LOSS | 1 << Verdict.RTT | 1 << Verdict.CWND, verdict=Verdict.RTT,
        verdict_value=7.4, verdict2=Verdict.LOSS, verdict2_value=2.1, level=2, strength=3,
    )  # fmt: skip
    got = socket_of(row)
    assert got["verdicts"] == ["rtt", "loss", "cwnd"]
    assert got["level"] == "unwell"
    assert got["who"] == "net"
    assert [d["name"] for d in got["verdict_details"]] == ["rtt", "loss"]
    assert got["verdict_details"][0]["value"] == 7.4


def test_all_holders_are_listed() -> None:
    first = Proc(12, 7, Owner.PROC, 2, "nginx")
    holders = [first, Proc(13, 7, Owner.PROC, 0, "nginx")]
    got = export((make_row(proc=first), None), holders=holders)["sockets"][0]
    assert [p["pid"] for p in got["procs"]] == [12, 13]
    assert got["procs_more"] == 1


def test_ipv6_and_no_remote_end() -> None:
    addr = bytes.fromhex("20010db8000000000000000000000001")
    got = socket_of(make_row(family=AF_INET6, src=addr, dst=bytes(16), dport=0, proto=Proto.UDP))
    assert got["local"]["addr"] == "2001:db8::1"
    assert got["remote"] == {"addr": "::", "port": 0}
    assert got["family"] == "inet6"


def test_hostile_names_are_escaped() -> None:
    row = make_row(
        proc=Proc(1, 2, Owner.PROC, 0, HOSTILE), user=HOSTILE, cgroup=HOSTILE, netns_name=HOSTILE,
        container=HOSTILE, cong=HOSTILE,
    )  # fmt: skip
    out = io.BytesIO()
    write_json(out.write, make_model(host=HOSTILE), [(row, None)], lambda _: [])
    text = out.getvalue()
    assert text.isascii()
    assert not any(byte < 0x20 and byte != 0x0A for byte in text)
    assert json.loads(text)["sockets"][0]["procs"][0]["comm"] == HOSTILE


@pytest.mark.parametrize(
    ("value", "why"), [(101.0, "window 0"), (100.0, "window 100%"), (42.0, "window 42%")]
)
def test_a_window_is_called_shut_only_when_it_is(value: float, why: str) -> None:
    row = make_row(verdicts=1 << Verdict.WINDOW, verdict=Verdict.WINDOW, verdict_value=value)
    assert FIELDS["why"].value(row) == why
