"""JSON nettop.snapshot/1: one object, its sockets written as they come.

The text is pure ASCII (everything else is escaped), so no name can carry a control
character, a bidirectional mark or an invalid byte to a terminal. KEYS documents each key.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nettop.export.distributions import (
    histogram_object,
    host_tx_object,
    path_object,
    put_planes,
)
from nettop.export.evidence import evidence_object
from nettop.export.happenings import event_object, untold_object
from nettop.export.keys import SCHEMA
from nettop.export.times import utc_text
from nettop.model.events import Event, EventType
from nettop.model.hosts import HostState
from nettop.model.tcpinfo import ABSENT, LISTEN_FIELDS
from nettop.model.types import (
    AF_INET,
    TCP_LISTEN,
    TCP_STATES,
    Because,
    Detail,
    Flag,
    Model,
    NicStage,
    Owner,
    Proc,
    Proto,
    Row,
    Verdict,
    address_text,
)
from nettop.text.fields import DERIVED, TCP_ALIVE, Field
from nettop.text.verdicts import CAUSES, VERDICTS
from nettop.text.words import was_word, who_name, who_text, why_text

Write = Callable[[bytes], object]
Happened = tuple[Sequence[Event], Mapping[EventType, int]]
Owners = Callable[[Row], Sequence[Proc]]

LEVELS = {0: "ok", 1: "watch", 2: "unwell"}
FAMILIES = {2: "inet", 10: "inet6"}
PROTOS = {p.value: p.name.lower() for p in Proto}
OWNERS = {
    Owner.KERNEL: "kernel", Owner.ORPHAN: "orphan", Owner.NOT_ACCEPTED: "not_accepted",
    Owner.NOT_FOUND: "not_found", Owner.HIDDEN: "hidden",
}  # fmt: skip
TIMERS = {1: "retransmit", 2: "keepalive", 3: "time_wait", 4: "probe"}
CHUNK_BYTES = 1 << 16

encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
_RATES, _INFO, _LIMITED = int(Flag.RATES), int(Flag.INFO), int(Flag.LIMITED)
_MOVED, _FLOW_RX = int(Flag.MOVED), int(Flag.FLOW_RX)
_RETR_PCT, _SKMEM = int(Flag.RETR_PCT), int(Flag.SKMEM)
_NEW, _MISSED = int(Flag.NEW), int(Flag.MISSED)
_WAIT_KNOWN = int(Flag.OLDEST_UNREAD | Flag.WAIT_UNTRACED)
# Objects whose values are all integers: a template writes them three times as fast.
_NUMBERS = ("tcp_info", "skmem", "meminfo")
_same = struct.Struct("<f").pack


def write_object(
    write: Write,
    model: Model,
    texts: Iterable[bytes | memoryview],
    *,
    filter_text: str | None = None,
    lines: bool = True,
    events: Iterable[Event] = (),
    beyond: Mapping[EventType, int] | None = None,
    of_hosts: Mapping[str, Happened] | None = None,
) -> None:
    """Writes one object, ended by a newline.

    Args:
        write: takes bytes; its OSError comes through.
        model: the tick.
        texts: the sockets in order, with between() between two of them; a piece may have many,
            and is forgotten when the next one comes.
        filter_text: the filter in force.
        lines: a line per socket; without, the object is one line (NDJSON).
        events: what happened in the interval, newest first.
        beyond: events that such lists had no room for, so far.
        of_hosts: the same of each host, where there are several.
    """
    outer = head_object(model, filter_text)
    if model.hosts:
        happened = of_hosts or {}
        outer["hosts"] = {h.name: host_object(h, happened.get(h.name)) for h in model.hosts}
    if model.events is not None:
        outer["events"] = [event_object(event, model) for event in events]
        outer["events_untold"] = untold_object(model.events, beyond or {})
    elif model.file_events is not None:
        outer["events"], outer["events_untold"] = (
            list(model.file_events),
            dict(model.file_events_dropped),
        )
    chunk: list[bytes] = [encode(outer)[:-1].encode("ascii"), b',"sockets":[']
    size, glue = len(chunk[0]), b"\n" if lines else b""
    for text in texts:
        chunk += (glue, bytes(text))
        size += len(text)
        glue = b""
        if size >= CHUNK_BYTES:
            write(b"".join(chunk))
            chunk.clear()
            size = 0
    chunk.append(b"]}\n")
    write(b"".join(chunk))


def between(*, lines: bool) -> bytes:
    """What stands between two sockets."""
    return b",\n" if lines else b","


def element_texts(
    rows: Iterable[tuple[Row, Detail | None]], owners: Owners, *, lines: bool
) -> Iterator[bytes]:
    """Elements of sockets, with what stands between them."""
    before = b""
    for row, detail in rows:
        yield before + socket_text(row, detail, owners).encode("ascii")
        before = between(lines=lines)


def socket_text(row: Row, detail: Detail | None, owners: Owners) -> str:
    """An element of sockets; the parts that are nothing but integers stand last."""
    socket = socket_object(row, detail, owners)
    numbers = [(name, socket.pop(name)) for name in _NUMBERS if name in socket]
    parts = [encode(socket)[:-1]]
    for name, values in numbers:
        parts.append(f',"{name}":{_template(tuple(values)) % tuple(values.values())}')
    parts.append("}")
    return "".join(parts)


@lru_cache(maxsize=256)
def _template(names: tuple[str, ...]) -> str:
    """An object of these names with a place for an integer each."""
    return "{" + ",".join(f"{encode(name)}:%d" for name in names) + "}"


def head_object(model: Model, filter_text: str | None) -> dict[str, Any]:
    """All keys but sockets."""
    from nettop import __version__

    cost, totals = model.cost, model.totals
    return {
        "schema": SCHEMA,
        "taken": utc_text(model.wall_ns),
        **_known(interval_s=_rounded(model.interval_s, 9), intervals=model.intervals),
        "host": model.host,
        "kernel": model.kernel,
        "nettop": __version__,
        **_known(filter=filter_text, thresholds=model.thresholds),
        "sources": [
            _known(name=s.name, state=s.state, method=s.method, reason=s.reason, fix=s.fix)
            for s in model.sources
        ],
        "cost": _known(
            cpu_pct=_rounded(cost.cpu_pct),
            poll_ms=_rounded(cost.poll_ms),
            bpf_runs_per_s=_rounded(cost.bpf_runs_per_s),
            bpf_ns_per_run=_rounded(cost.bpf_ns_per_run),
            lost_events=cost.lost_events,
            missed_ticks=cost.missed_ticks,
            rss_bytes=cost.rss_bytes,
            interval_s=_rounded(cost.interval_s, 9),
            stretched=cost.stretched,
        ),
        "totals": _known(
            tcp=totals.tcp,
            udp=totals.udp,
            mptcp=totals.mptcp,
            by_state=dict(totals.by_state),
            matched=totals.matched,
            unwell=totals.unwell,
            watch=totals.watch,
            who={who: list(counts) for who, counts in totals.who.items()},
            opened=totals.opened,
            closed=totals.closed,
            tx_bytes_per_s=_rounded(totals.tx_bytes_per_s),
            rx_bytes_per_s=_rounded(totals.rx_bytes_per_s),
            matched_retrans_per_s=_rounded(totals.matched_retrans_per_s),
            retr_pct=_rounded(totals.retr_pct),
            retrans_per_s=_rounded(totals.retrans_per_s),
            resets_per_s=_rounded(totals.resets_per_s),
            netns=totals.netns,
            netns_hidden=totals.netns_hidden,
            duplicates=totals.duplicates,
            restarts=totals.restarts,
            malformed=totals.malformed,
            truncated=totals.truncated,
        ),
        **evidence_object(model.evidence),
        **_known(
            readers=[{"cookie": c, "tid": tid} for c, tid in model.readers.items()] or None,
            rx_wait=_waits_object(model),
            path=path_object(model.path) if model.path else None,
            tx=host_tx_object(model.tx, model.nic or NicStage()) if model.tx else None,
        ),
    }


def host_object(host: HostState, happened: Happened | None) -> dict[str, Any]:
    """One value of hosts: the state of its stream, and the head of its own snapshot."""
    out = _known(
        state=host.state,
        reason=host.reason,
        again_s=_rounded(host.again_s, 3),
        nettop=host.nettop,
        clock_offset_ns=host.clock_offset_ns,
        clock_bar_ns=host.clock_bar_ns,
        bytes_per_s=_rounded(host.bytes_per_s),
        lag_s=_rounded(host.lag_s),
        skipped_ticks=host.skipped_ticks,
        top=host.top,
    )
    model = host.model
    if model is None:
        return out
    head = head_object(model, None)
    for name in ("schema", "nettop"):
        del head[name]
    if model.events is not None and happened is not None:
        events, beyond = happened
        head["events"] = [event_object(event, model) for event in events]
        head["events_untold"] = untold_object(model.events, beyond)
    return out | head


def _waits_object(model: Model) -> dict[str, Any] | None:
    if model.rx_wait is None:
        return None
    by_octaves = model.chosen and model.rx_wait.buckets and model.rx_wait is not model.rx_wait_all
    return {**histogram_object(model.rx_wait), **({"octaves": True} if by_octaves else {})}


def socket_object(row: Row, detail: Detail | None, owners: Owners) -> dict[str, Any]:
    """One element of sockets."""
    rec = row.rec
    flags: int = rec.flags
    family: int = rec.family
    out: dict[str, Any] = {"host": row.host} if row.above else {}
    out["netns"] = rec.netns
    if row.netns_name:
        out["netns_name"] = row.netns_name
    out["cookie"] = rec.cookie
    out["proto"] = PROTOS[rec.proto]
    out["family"] = FAMILIES.get(family, str(family))
    out["state"] = TCP_STATES.get(rec.state, str(rec.state))
    out["local"] = {"addr": _address(family, rec.src), "port": rec.sport}
    out["remote"] = {"addr": _address(family, rec.dst), "port": rec.dport}
    _put_owner(out, row, owners)
    out["uid"] = rec.uid
    if row.user:
        out["user"] = row.user
    if rec.inode:
        out["inode"] = rec.inode
    if row.cgroup:
        out["cgroup"] = row.cgroup
    if rec.cgroup_id:
        out["cgroup_id"] = rec.cgroup_id
    if row.container:
        out["container"] = row.container
    if rec.ifindex:
        out["ifindex"] = rec.ifindex
    if row.dev:
        out["dev"] = row.dev
    if row.cong:
        out["cong"] = row.cong
    out["rqueue"] = rec.rqueue
    out["wqueue"] = rec.wqueue
    if rec.timer:
        kind = TIMERS.get(rec.timer, str(rec.timer))
        out["timer"] = {"kind": kind, "retrans": rec.timer_retrans}
    if flags & _NEW:
        out["first_interval"] = True
    if flags & _MISSED:
        out["missed"] = True
    if rec.proto == Proto.TCP and flags & _INFO:
        out["tcp_info"] = tcp_info_object(row, detail)
    if detail is not None:
        if detail.tcp_info_len and "tcp_info" in out:
            out["tcp_info_len"] = detail.tcp_info_len
        for name in ("meminfo", "skmem", "cong_info", "attrs"):
            values: Mapping[str, int | str] = getattr(detail, name)
            if values:
                out[name] = dict(values)
    if flags & _SKMEM:
        out["drops"] = rec.drops
    _put_interval(out, rec, flags)
    derived = {f.csv_name: neat(v) for f in DERIVED if (v := _number(f, row, detail)) is not None}
    if derived:
        out["derived"] = derived
    _put_verdicts(out, row)
    if flags & _WAIT_KNOWN or row.plane.has:
        put_planes(out, row)
    return out


def tcp_info_object(row: Row, detail: Detail | None) -> dict[str, int]:
    """tcp_info by the kernel's names, less what a value or the state marks as unknown."""
    if detail is None:
        return _gauges(row.rec)
    info = detail.tcp_info
    if row.rec.state == TCP_LISTEN:
        names: Iterable[str] = LISTEN_FIELDS & info.keys()
        info = {name: info[name] for name in sorted(names)}
    out = dict(info)
    for name, absent in ABSENT.items():
        if out.get(name) == absent:
            del out[name]
    return out


def _gauges(rec: Any) -> dict[str, int]:
    """What the record alone has, when the detail was not kept."""
    if rec.state == TCP_LISTEN:
        return {"state": rec.state}
    out = {"state": rec.state, "ca_state": rec.ca_state, "retransmits": rec.retransmits}
    out |= {"backoff": rec.backoff, "lost": rec.lost, "rttvar": rec.rttvar_us}
    out |= {"snd_cwnd": rec.snd_cwnd, "total_retrans": rec.total_retrans}
    if rec.rtt_us:
        out["rtt"] = rec.rtt_us
    if rec.min_rtt_us != ABSENT["min_rtt"]:
        out["min_rtt"] = rec.min_rtt_us
    return out


def _put_owner(out: dict[str, Any], row: Row, owners: Owners) -> None:
    proc = row.proc
    if not proc.pid:
        word = OWNERS.get(proc.owner)
        if word:
            out["owner"] = word
        return
    holders: Sequence[Proc] = [proc]
    if proc.more:
        holders = owners(row) or holders
        missing = proc.more + 1 - len(holders)
        if missing > 0:
            out["procs_more"] = missing
    out["procs"] = [{"pid": p.pid, "comm": p.comm, "fd": p.fd} for p in holders]


def _number(field: Field, row: Row, detail: Detail | None) -> float | None:
    value = field.value(row, detail)
    return None if isinstance(value, str) else value


def _put_interval(out: dict[str, Any], rec: Any, flags: int) -> None:
    if flags & _RATES:
        tcp = rec.proto == Proto.TCP and TCP_ALIVE >> rec.state & 1
        rates: dict[str, float] = {}
        if tcp:
            rates["tx_bytes_per_s"] = neat(rec.tx_bytes_per_s)
            rates["rx_bytes_per_s"] = neat(rec.rx_bytes_per_s)
            rates["flow_bytes_per_s"] = neat(rec.flow_bytes_per_s)
            rates["flow_received"] = bool(flags & _FLOW_RX)
            rates["retrans_per_s"] = neat(rec.retrans_per_s)
            if flags & _RETR_PCT:
                rates["retr_pct"] = neat(rec.retr_pct)
        elif rec.proto == Proto.UDP and flags & _MOVED:
            rates["tx_bytes_per_s"] = neat(rec.tx_bytes_per_s)
            rates["rx_bytes_per_s"] = neat(rec.rx_bytes_per_s)
            rates["flow_bytes_per_s"] = neat(rec.flow_bytes_per_s)
            rates["flow_received"] = bool(flags & _FLOW_RX)
        if flags & _SKMEM:
            rates["drops_per_s"] = neat(rec.drops_per_s)
        if rates:
            out["rates"] = rates
    if flags & _LIMITED:
        out["limited"] = {
            "rwnd": rec.lim_rwnd_pct / 100,
            "sndbuf": rec.lim_sndbuf_pct / 100,
            "cwnd": rec.lim_cwnd_pct / 100,
            "in_flight": rec.lim_in_flight_pct / 100,
            "idle": rec.lim_idle_pct / 100,
        }


def _put_verdicts(out: dict[str, Any], row: Row) -> None:
    rec = row.rec
    out["level"] = LEVELS.get(rec.level, "unwell")
    if rec.level and rec.strength:
        out["strength"] = rec.strength
    if not rec.verdicts:
        out["verdicts"] = []
        was = was_word(row)
        if was is not None:
            out["was"] = was
        return
    verdicts = row.verdicts
    out["verdicts"] = list(dict.fromkeys(VERDICTS[v].name for v in verdicts))
    out["who"] = who_text(row)
    out["why"] = why_text(row)
    details = [_verdict(Verdict(rec.verdict), rec.verdict_value, rec.who, rec.because)]
    if rec.verdict2 != rec.verdict:
        second = Verdict(rec.verdict2)
        details.append(_verdict(second, rec.verdict2_value, rec.who2, rec.because2))
    out["verdict_details"] = details


def _verdict(verdict: Verdict, value: float, who: int, because: int) -> dict[str, Any]:
    spec = VERDICTS[verdict]
    out: dict[str, Any] = {
        "name": spec.name,
        "who": who_name(who),
        "value": neat(value),
        "unit": spec.unit,
    }
    if spec.of:
        out["of"] = spec.of
    cause = CAUSES.get(Because(because))
    if cause:
        out["cause"] = cause
    return out


def _address(family: int, raw: bytes) -> str:
    if family == AF_INET:
        return f"{raw[0]}.{raw[1]}.{raw[2]}.{raw[3]}"
    return address_text(family, raw)


def neat(value: float) -> float:
    """The shortest number that is the same 32-bit float: 2.1, not 2.0999999046325684."""
    if value == 0.0:
        return 0.0
    short = float("%.6g" % value)  # noqa: UP031  (a third faster than format)
    return short if _same(short) == _same(value) else float("%.9g" % value)  # noqa: UP031


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else float(f"{value:.{digits}g}")


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
