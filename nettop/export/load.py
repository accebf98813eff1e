"""A snapshot file back into packed records: the inverse of jsonout.

The file is not trusted: each key is checked against its shape as it is read, and whatever is
wrong is said in one line with its place.
"""

from __future__ import annotations

import json
import os
import re
import stat
from calendar import timegm
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from msgspec import Struct, field

from nettop.errors import NettopError
from nettop.export.distributions import histogram_of, nic_of, path_of, tx_of
from nettop.export.evidence import evidence_of
from nettop.export.keys import SCHEMA
from nettop.export.pack import Hole, pack_socket
from nettop.export.shape import SNAPSHOT, SOCKET
from nettop.export.values import (
    Bad,
    integer,
    mapping,
    objects,
    optional_integer,
    optional_number,
    optional_text,
    text,
    word,
)
from nettop.model.cost import Cost
from nettop.model.tcpinfo import InfoField
from nettop.model.types import Model, Proc, SourceStatus, Totals
from nettop.text.clean import clean

_STATES = {state: number for number, state in enumerate(("ok", "partial", "off"))}
MOST_BYTES = 1 << 30
_PARQUET = b"PAR1"  # how such a file begins
_TAKEN = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_SPACE = re.compile(r"[ \t\n\r]*")


class LoadedSnapshot(Struct):
    """What a file held, packed as the engine wants it."""

    name: str  # of the file
    model: Model
    filter_text: str | None
    rows: bytearray = field(default_factory=bytearray)  # struct nt_row each
    details: bytearray = field(default_factory=bytearray)  # struct nt_detail each
    count: int = 0
    holders: dict[int, list[Proc]] = field(default_factory=dict)  # inode → when several
    holes: dict[int, Hole] = field(default_factory=dict)  # cookie → what tcp_info left out
    users: dict[int, str] = field(default_factory=dict)
    cgroups: dict[int, tuple[str | None, str | None]] = field(default_factory=dict)
    netns: dict[int, str] = field(default_factory=dict)
    devices: dict[tuple[int, int], str] = field(default_factory=dict)  # by netns, ifindex
    tail: tuple[InfoField, ...] = ()  # layout of tcp_info's last word


def load_snapshot(path: str) -> LoadedSnapshot:
    """Reads and checks a snapshot.

    Raises:
        NettopError: in one line, what is wrong and where.
    """
    content = ""
    try:
        content = _read(path)
        return _Parser(content).run(Path(path).name)
    except Bad as error:
        raise NettopError(f"{path}: not a snapshot that nettop can show: {error}") from None
    except json.JSONDecodeError as error:
        short = not content[error.pos :].strip() or error.msg.startswith("Unterminated string")
        what = "cut short" if short else f"broken JSON at character {error.pos}"
        raise NettopError(f"{path}: {what}: {error.msg}") from None
    except RecursionError:
        raise NettopError(f"{path}: nested too deeply for a snapshot") from None
    except MemoryError:
        raise NettopError(f"{path}: too large for this machine's memory") from None
    except _TooLong:
        raise NettopError(f"{path}: broken JSON: a number of thousands of digits") from None


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NettopError(f"cannot open {path}: {reason}") from error
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise NettopError(f"{path}: is not a regular file")
    with os.fdopen(fd, "rb") as file:
        if about.st_size > MOST_BYTES:
            raise NettopError(f"{path}: too large: {about.st_size} bytes, at most {MOST_BYTES}")
        try:
            raw = file.read(about.st_size + 1)
        except OSError as error:
            raise NettopError(f"cannot read {path}: {error.strerror}") from error
    if not raw.strip():
        raise NettopError(f"{path}: is empty")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if raw.startswith(_PARQUET):
            raise NettopError(
                f"{path}: is a table for pandas or duckdb; nettop opens snapshots (.json) and "
                "recordings (.nettop)"
            ) from None
        raise NettopError(f"{path}: is not UTF-8 text (byte {error.start})") from None


class _TooLong(ValueError):
    """A number with more digits than Python reads."""


def _no_constant(name: str) -> NoReturn:
    raise Bad("", f"{name} is no JSON number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _twice(next(key for at, key in enumerate(keys) if key in keys[:at]))
    return out


def _twice(key: str) -> Bad:
    return Bad("", f"it has the key {key[:60]} twice in one object")


_decode = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_once).raw_decode


class _Parser:
    """Walks the top-level object key by key and packs the sockets as they come."""

    def __init__(self, content: str) -> None:
        self.text = content
        self.at = 0
        self.head: dict[str, Any] = {}
        self.out = LoadedSnapshot("", _NO_MODEL, None)
        self.cookies: set[int] = set()

    def run(self, name: str) -> LoadedSnapshot:
        if self._next() != "{":
            raise Bad("", "it is no JSON object")
        self.at += 1
        seen = False
        while self._next() != "}":
            if self.head or seen:
                self._expect(",")
            key = self._key()
            if key in self.head or (seen and key == "sockets"):
                raise _twice(key)
            if key == "sockets":
                seen = True
                self._sockets()
                continue
            self.head[key] = self._value()
            if key == "schema":
                self._check_schema()
        self.at += 1
        if self._next() == "{":
            raise NettopError(
                f"{name}: holds several objects, one a line (--ndjson); open takes one of them, as "
                f"`tail -n 1 FILE > one.json` has it, and nettop record keeps ticks for replay"
            )
        if self._next():
            raise json.JSONDecodeError("something follows the object", self.text, self.at)
        self._check_schema()
        if not seen:
            raise Bad("sockets", "is missing")
        if "hosts" in self.head:
            raise NettopError(
                f"{name}: is of several hosts, for programs to read; nettop record -H writes a "
                "recording of each, which replay, why and diff take"
            )
        self.out.name = clean(name)
        SNAPSHOT.check_object(self.head)
        self.out.model = model_of(self.head)
        self.out.filter_text = optional_text(self.head, "filter", "")
        return self.out

    def _check_schema(self) -> None:
        schema = optional_text(self.head, "schema", "")
        if schema is None:
            raise Bad("", f"it has no schema, which should be {SCHEMA}")
        if schema != SCHEMA:
            raise Bad("", f"its schema is {schema[:60]}, not {SCHEMA}")

    def _next(self) -> str:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise json.JSONDecodeError(f"'{sign}' is missing", self.text, self.at)
        self.at += 1

    def _key(self) -> str:
        if self._next() != '"':
            raise json.JSONDecodeError("a key is missing", self.text, self.at)
        key = self._value()
        self._expect(":")
        return str(key)

    def _value(self) -> Any:
        self._next()
        try:
            value, self.at = _decode(self.text, self.at)
        except (Bad, json.JSONDecodeError):
            raise
        except ValueError as error:  # the limit of int()
            raise _TooLong from error
        return value

    def _sockets(self) -> None:
        if self._next() != "[":
            raise Bad("sockets", "is no list")
        self.at += 1
        number = 0
        while self._next() != "]":
            if number:
                self._expect(",")
            item = self._value()
            if type(item) is not dict:
                raise Bad(f"sockets[{number}]", "is no object")
            place = f"sockets[{number}]"
            try:
                SOCKET.check_object(item)
            except Bad as error:
                raise error.inside(place) from None
            self._add(item, f"{place}.")
            number += 1
        self.at += 1

    def _add(self, item: Mapping[str, Any], where: str) -> None:
        out = self.out
        packed = pack_socket(item, where)
        if packed.cookie in self.cookies:
            raise Bad(f"{where}cookie", f"{packed.cookie} was there before")
        self.cookies.add(packed.cookie)
        out.rows += packed.row
        out.details += packed.detail
        out.count += 1
        if len(packed.holders) > 1 and packed.inode:
            out.holders[packed.inode] = packed.holders
        if packed.hole is not None:
            out.holes[packed.cookie] = packed.hole
        if packed.user:
            out.users[packed.uid] = packed.user
        if packed.netns_name:
            out.netns[packed.netns] = packed.netns_name
        if packed.dev and packed.ifindex:
            out.devices[packed.netns, packed.ifindex] = packed.dev
        if packed.cgroup_id:
            out.cgroups[packed.cgroup_id] = (packed.cgroup, packed.container)
        if packed.tail is not None:
            out.tail = packed.tail


def model_of(head: Mapping[str, Any]) -> Model:
    """The tick of the top-level keys."""
    cost = mapping(head, "cost", "")
    return Model(
        seq=1,
        mono_ns=0,
        wall_ns=_wall_ns(head),
        interval_s=optional_number(head, "interval_s", ""),
        intervals=optional_integer(head, "intervals", ""),
        host=text(head, "host", ""),
        kernel=text(head, "kernel", ""),
        thresholds=optional_text(head, "thresholds", ""),
        sources=tuple(
            _source(s, f"sources[{at}].") for at, s in enumerate(objects(head, "sources", ""))
        ),
        cost=Cost(
            cpu_pct=optional_number(cost, "cpu_pct", "cost."),
            poll_ms=optional_number(cost, "poll_ms", "cost."),
            lost_events=integer(cost, "lost_events", "cost.", 64, 0),
            missed_ticks=integer(cost, "missed_ticks", "cost.", 64, 0),
            rss_bytes=optional_integer(cost, "rss_bytes", "cost."),
            bpf_runs_per_s=optional_number(cost, "bpf_runs_per_s", "cost."),
            bpf_ns_per_run=optional_number(cost, "bpf_ns_per_run", "cost."),
            interval_s=optional_number(cost, "interval_s", "cost.") or 1.0,
            stretched=optional_text(cost, "stretched", "cost."),
        ),
        totals=_totals(mapping(head, "totals", "")),
        evidence=evidence_of(head),
        readers={
            integer(r, "cookie", f"readers[{at}].", 64): integer(r, "tid", f"readers[{at}].", 32)
            for at, r in enumerate(objects(head, "readers", ""))
        },
        path=path_of(head),
        rx_wait=histogram_of(head, "rx_wait"),
        chosen="filter" in head or mapping(head, "rx_wait", "").get("octaves") is True,
        tx=tx_of(head, "") if head.get("tx") else None,
        nic=nic_of(head) if head.get("tx") else None,
        file_events=tuple(objects(head, "events", "")) if "events" in head else None,
        file_events_dropped={
            k: integer(mapping(head, "events_untold", ""), k, "events_untold.", 64)
            for k in mapping(head, "events_untold", "")
        },
    )


def _source(s: Mapping[str, Any], where: str) -> SourceStatus:
    word(s, "state", _STATES, where)
    return SourceStatus(
        text(s, "name", where),
        text(s, "state", where),
        *(optional_text(s, key, where) for key in ("method", "reason", "fix")),
    )


def _wall_ns(head: Mapping[str, Any]) -> int:
    taken = text(head, "taken", "")
    match = _TAKEN.fullmatch(taken)
    if match is None:
        raise Bad("taken", "is no UTC time like 2026-11-20T19:00:00.123456789Z")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        raise Bad("taken", "is no date")
    if hour > 23 or minute > 59 or second > 60:
        raise Bad("taken", "is no time of day")
    whole = timegm((year, month, day, hour, minute, second))
    return whole * 1_000_000_000 + int((match[7] or "0").ljust(9, "0"))


def _totals(t: Mapping[str, Any]) -> Totals:
    where = "totals."
    by_state = mapping(t, "by_state", where)
    who = {}
    for name, pair in mapping(t, "who", where).items():
        if type(pair) is not list or len(pair) != 2:
            raise Bad(f"{where}who", "holds something other than pairs")
        counts = {"watch": pair[0], "unwell": pair[1]}
        place = f"{where}who."
        who[name[:16]] = (
            integer(counts, "watch", place, 32), integer(counts, "unwell", place, 32),
        )  # fmt: skip

    def count(name: str) -> int:
        return integer(t, name, where, 32, 0)

    return Totals(
        tcp=optional_integer(t, "tcp", where),
        udp=optional_integer(t, "udp", where),
        mptcp=optional_integer(t, "mptcp", where),
        by_state={n[:32]: integer(by_state, n, f"{where}by_state.", 32) for n in by_state},
        matched=count("matched"),
        unwell=count("unwell"),
        watch=count("watch"),
        who=who,
        opened=optional_integer(t, "opened", where),
        closed=optional_integer(t, "closed", where),
        tx_bytes_per_s=optional_number(t, "tx_bytes_per_s", where),
        rx_bytes_per_s=optional_number(t, "rx_bytes_per_s", where),
        matched_retrans_per_s=optional_number(t, "matched_retrans_per_s", where),
        retr_pct=optional_number(t, "retr_pct", where),
        retrans_per_s=optional_number(t, "retrans_per_s", where),
        resets_per_s=optional_number(t, "resets_per_s", where),
        netns=integer(t, "netns", where, 32, 1),
        netns_hidden=count("netns_hidden"),
        duplicates=count("duplicates"),
        restarts=count("restarts"),
        malformed=count("malformed"),
        truncated=count("truncated"),
    )


_NO_MODEL = Model(
    0, 0, 0, None, "", "", (), Cost(None, None, 0, 0, None),
    Totals(tcp=0, udp=0, mptcp=0, by_state={}, matched=0, unwell=0, watch=0, who={}),
)  # fmt: skip
