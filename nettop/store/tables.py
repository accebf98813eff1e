"""What a tick adds to the tables of a recording that people query: ticks, spells, events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from nettop.model.events import EVENT_NAMES, Event, EventFlag, EventType
from nettop.model.types import TCP_STATES, Model, Row
from nettop.spells import SickRows, Spell, SpellTracker
from nettop.store.gaps import Clocks, boot_id, slept_ns
from nettop.text.clean import clean
from nettop.text.events import event_numbers
from nettop.text.words import WHO_NAMES, owner_text

# All of them are in the frames; the table has the last of each tick.
EVENTS_MOST = 128
# States and congestion states change in every connection: they come after what went wrong.
ROUTINE = frozenset({EventType.STATE, EventType.CONG})
_IPPROTO_TCP = 6
_MOST_SIGNED = (1 << 63) - 1

Values = Mapping[str, Any]


class TableRows(SickRows, Protocol):
    """The part of a feed that the tables are made from."""

    def listed_events(
        self, most: int, types: Collection[EventType]
    ) -> tuple[Sequence[Event], int]: ...


class TickRows(Struct, frozen=True):
    """Of one tick; each mapping is a row by column."""

    clocks: Clocks
    tick: Values
    began: Sequence[Spell]
    standing: Sequence[Spell]
    ended: Sequence[Spell]
    events: Sequence[Values]
    host: str
    interval_ns: int


class TickTables:
    """Makes them tick by tick; knows which spells stand."""

    def __init__(self, *, remote: bool = False) -> None:
        """remote: of another host, of which one knows neither its boot nor how long it slept."""
        self._tracker = SpellTracker()
        self._remote = remote
        self._boot = "" if remote else boot_id()

    def take(self, model: Model, feed: TableRows) -> TickRows:
        """The tick that was polled last."""
        tracker = self._tracker
        tracker.take(model, feed)
        host = clean(model.host)
        events, beyond = _events(model, feed, host)
        return TickRows(
            clocks=Clocks(
                model.wall_ns, model.mono_ns, 0 if self._remote else slept_ns(), self._boot
            ),
            tick=_tick(model, host, len(events), beyond),
            began=tracker.began,
            standing=tracker.standing,
            ended=tracker.ended,
            events=events,
            host=host,
            interval_ns=int(model.cost.interval_s * 1e9) if model.cost.interval_s else 0,
        )


def spell_row(spell: Spell, host: str) -> dict[str, Any]:
    """By column, but for the ticks that it spans."""
    return {
        "from_ns": spell.from_ns,
        "to_ns": spell.to_ns,
        "cut": 0,
        "level": spell.level.name.lower(),
        "who": spell.who,
        "why": spell.why,
        "what": spell.sentence,
        "process": _safe(spell.comm or spell.owner),
        "pid": spell.pid,
        "local": _safe(spell.local),  # with the name of a device
        "remote": _safe(spell.remote),
        "proto": spell.proto,
        "cgroup": _safe(spell.cgroup),
        "container": _safe(spell.container),
        "netns": spell.netns,
        "host": host,
        "verdict": spell.name,
        "worst": spell.worst,
        "unit": spell.unit,
        "ticks": spell.ticks,
        "cookie": _signed(spell.cookie),
    }


def _tick(model: Model, host: str, listed: int, beyond: int) -> dict[str, Any]:
    totals, events, wait = model.totals, model.events, model.rx_wait
    known = [n for n in (totals.tcp, totals.udp, totals.mptcp) if n is not None]
    row: dict[str, Any] = {
        "interval_s": model.interval_s,
        "host": host,
        "sockets": sum(known) if known else None,
        "tcp": totals.tcp,
        "udp": totals.udp,
        "mptcp": totals.mptcp,
        "matched": totals.matched,
        "watch": totals.watch,
        "unwell": totals.unwell,
        "opened": totals.opened,
        "closed": totals.closed,
        "tx_bytes_per_s": totals.tx_bytes_per_s,
        "rx_bytes_per_s": totals.rx_bytes_per_s,
        "retrans_per_s": totals.retrans_per_s,
        "resets_per_s": totals.resets_per_s,
        "cpu_pct": model.cost.cpu_pct,
        "poll_ms": model.cost.poll_ms,
        "missed_ticks": model.cost.missed_ticks,
    }
    if totals.tcp is not None:
        row["established"] = totals.by_state.get("ESTABLISHED", 0)
        row["listening"] = totals.by_state.get("LISTEN", 0)
    for name in WHO_NAMES:
        row[f"unwell_{'unknown' if name == '?' else name}"] = totals.who.get(name, (0, 0))[1]
    if wait is not None:
        row["rx_wait_count"] = wait.dist.count
        if wait.dist.count:
            row["rx_wait_p50_ns"] = wait.dist.p50_ns
            row["rx_wait_p99_ns"] = wait.dist.p99_ns
            row["rx_wait_max_ns"] = wait.dist.max_ns
    if events is not None:
        for kind, name in EVENT_NAMES.items():
            row[f"events_{name}"] = events.counts[kind].seen
        row["events_listed"] = listed
        row["events_not_listed"] = beyond + sum(c.left_out for c in events.counts)
    return row


def _events(model: Model, feed: TableRows, host: str) -> tuple[list[dict[str, Any]], int]:
    """Those of the interval, oldest first, and how many more there are records of."""
    if model.events is None:
        return [], 0
    urgent, beyond = feed.listed_events(EVENTS_MOST, frozenset(EventType) - ROUTINE)
    routine, more = feed.listed_events(EVENTS_MOST - len(urgent), ROUTINE)
    found = sorted((*urgent, *routine), key=lambda e: e.seq)
    to_wall, rows = model.wall_ns - model.mono_ns, dict[int, Row | None]()
    out = [_event(n, e, to_wall, host, feed, rows) for n, e in enumerate(found)]
    return out, beyond + more


def _event(
    n: int, e: Event, to_wall_ns: int, host: str, feed: TableRows, rows: dict[int, Row | None]
) -> dict[str, Any]:
    tcp = e.proto == _IPPROTO_TCP
    process, pid = (e.comm, e.pid or None) if e.flags & EventFlag.OWNER else (None, None)
    if process is None and e.cookie:
        if e.cookie not in rows:
            rows[e.cookie] = feed.find(e.cookie)
        row = rows[e.cookie]
        if row is not None:
            pid = row.proc.pid or None
            process = row.proc.comm if pid else owner_text(row)
    return {
        "n": n,
        "at_ns": to_wall_ns + e.at_ns,
        "type": EVENT_NAMES[e.type],
        "what": event_numbers(e),
        "process": _safe(process),
        "pid": pid,
        "local": e.local if e.family else None,
        "remote": e.remote if e.family and e.has_remote else None,
        "proto": e.proto_name,
        "state": _state(e.state) if tcp and e.state else None,
        "new_state": _state(e.new_state) if e.type is EventType.STATE else None,
        "reason": e.reason,
        "errno": e.err if e.err and e.type is not EventType.RETRANSMIT else None,
        "bytes": e.length or None,
        "netns": e.netns,
        "host": host,
        "cookie": _signed(e.cookie) if e.cookie else None,
    }


def _state(number: int) -> str:
    return TCP_STATES.get(number, str(number))


def _safe(text: str | None) -> str | None:
    return clean(text) if text else None


def _signed(number: int) -> int:
    """As SQLite has integers: the upper half of 64 bits is negative."""
    return number if number <= _MOST_SIGNED else number - (1 << 64)
