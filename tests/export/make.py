"""Rows and models out of thin air, with every member of the record at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from nettop.engine.wire import EMPTY_REC
from nettop.export import jsonout
from nettop.model.cost import Cost
from nettop.model.evidence import (
    SOURCES,
    Device,
    Evidence,
    HostTick,
    Mover,
    NextHop,
    Process,
    Qdisc,
)
from nettop.model.tcpinfo import TAIL_6_18, decode
from nettop.model.types import (
    AF_INET,
    Detail,
    Flag,
    Model,
    Owner,
    Proc,
    Proto,
    Row,
    SourceStatus,
    Totals,
)
from nettop.text.evidence import (
    CGROUP,
    CONNTRACK,
    COUNTERS,
    DEVICE,
    DRIVER,
    NEIGHBOURS,
    PRESSURE,
    QDISC,
    QUEUE,
    RECEIVER,
    SOFTNET,
    SYSCTL,
    Meaning,
)
from nettop.text.verdicts import VERDICTS

HOSTILE = "a\x1b[31m\x07\n\r\t\x9b2J\u202e\u200b\ud800\x00,\"'<&>]]>=1+1"


def make_row(cookie: int = 1, **changes: Any) -> Row:
    """An established TCP socket; changes go to the row or to its record."""
    names = {k: changes.pop(k) for k in Row.__struct_fields__ if k in changes}
    for end in ("", "2"):
        if f"verdict{end}" in changes:
            changes.setdefault(f"who{end}", int(VERDICTS[changes[f"verdict{end}"]].who))
    rec = EMPTY_REC._replace(
        **{
            "cookie": cookie, "netns": 4026531840, "family": AF_INET, "proto": Proto.TCP,
            "state": 1, "src": bytes((127, 0, 0, 1)) + bytes(12), "sport": 80, "uid": 33,
            "dst": bytes((10, 0, 0, 2)) + bytes(12), "dport": 41000, "inode": 99,
            "min_rtt_us": 0xFFFFFFFF, "flags": int(Flag.MATCH | Flag.SKMEM), **changes,
        }
    )  # fmt: skip
    return Row(rec, **{"proc": Proc(12, 7, Owner.PROC, 0, "nginx"), "user": "www-data", **names})


def make_detail(raw: bytes, cookie: int = 1, **changes: Any) -> Detail:
    """What the kernel sent, tcp_info from its bytes."""
    return Detail(cookie, decode(raw.ljust(288, b"\0"), len(raw), TAIL_6_18), len(raw), **changes)


def make_model(matched: int = 1, **changes: Any) -> Model:
    """A second tick."""
    totals = Totals(
        tcp=8412, udp=2, mptcp=0, by_state={"ESTABLISHED": 8107, "TIME_WAIT": 261},
        matched=matched, unwell=1, watch=2, who={"app": (1, 0), "net": (0, 1)}, opened=3,
        closed=4, tx_bytes_per_s=1.5e8, rx_bytes_per_s=3e7, matched_retrans_per_s=3.0,
        retr_pct=None, retrans_per_s=12.5, resets_per_s=0.0,
    )  # fmt: skip
    values = {
        "seq": 2, "mono_ns": 10**12, "wall_ns": 1_795_201_200_123_456_789, "interval_s": 1.0,
        "host": "web-1", "kernel": "6.18.44",
        "sources": (
            SourceStatus("diag", "ok", method="sock_diag"),
            SourceStatus("wait", "off", reason="needs CAP_BPF", fix="sudo nettop"),
        ),
        "cost": Cost(1.1, 0.5, 0, 0, 40_000_000), "totals": totals, **changes,
    }  # fmt: skip
    return Model(**values)


class Rows:
    """The part of a feed that exports read."""

    live = True
    title: str | None = None

    def __init__(self, rows: Sequence[tuple[Row, Detail | None]], holders: list[Proc]) -> None:
        self._rows = rows
        self._holders = holders

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        for row, detail in self._rows:
            yield row, detail if with_detail else None

    def packed_all(self, *, everything: bool = False) -> None:
        return None

    def owners(self, row: Row) -> list[Proc]:
        return self._holders


def write_json(
    write: Callable[[bytes], object], model: Model, rows: Iterable[tuple[Row, Detail | None]],
    owners: jsonout.Owners, *, filter_text: str | None = None, lines: bool = True,
) -> None:  # fmt: skip
    """Of rows as Python has them, as of a file's."""
    texts = jsonout.element_texts(rows, owners, lines=lines)
    jsonout.write_object(write, model, texts, filter_text=filter_text, lines=lines)


def full_evidence() -> HostTick:
    """Every source, every number."""

    def numbers(of: Mapping[str, Meaning], by: int) -> dict[str, int]:
        return {name: by * n for n, name in enumerate(of, 1)}

    mover = Mover()
    for at in (1, 2):
        tick = mover.tick(Evidence(
            {7: numbers(COUNTERS, at)}, {1: numbers(SOFTNET, at)},
            {"cpu": numbers(PRESSURE, at)}, {7: {4: Device("eth0", numbers(DEVICE, at))}},
            {7: {"4 1:1 8:": Qdisc(4, "fq", "8:", "1:1", numbers(QDISC, at))}},
            {12: Process(3, 2, {"S": 2}, "/a", 10**9, 11, 12, 13, 14, 15, 2, 1,
                         {"13": "http-3", "14": "7"}, "/a")},
            {"/a": numbers(CGROUP, at)}, dict.fromkeys(SOURCES, at * 10**9),
            {"pressure": "why"}, {"devices": 5},
            {7: numbers(CONNTRACK, at)}, {"arp": numbers(NEIGHBOURS, at)},
            {7: {4: Device("eth0", numbers(DRIVER, at))}},
            {"ksoftirqd/0": numbers(RECEIVER, at)},
            {7: {"10.0.0.1 10.0.0.2": 4}}, {7: numbers(SYSCTL, 1)}, {7: {4: numbers(QUEUE, 1)}},
            {7: {"10.0.0.1 10.0.0.2": NextHop("FAILED", "10.0.0.9"),
                 "10.0.0.1 10.0.0.3": NextHop("REACHABLE")}},
        ))  # fmt: skip
    return tick
