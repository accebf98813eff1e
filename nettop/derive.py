"""What follows from a sample: the model of a tick, rows with their names, groups, distributions.

Live and recorded samples come the same way: the engine has taken the sections, the facts are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol

from msgspec.structs import replace

from nettop.causes.finder import (
    LEAST_LATE_SOCKETS,
    MAY_BE_DROPPED,
    MOST_CANDIDATES,
    MOST_DROPS,
    MOST_LATE,
    MOST_SLOW,
    Causes,
    Finder,
)
from nettop.engine.edges import OctaveSum
from nettop.engine.eventlog import EventLog
from nettop.engine.handle import Engine
from nettop.engine.pathtick import path_tick
from nettop.feed import Grouping
from nettop.groups import Groups, matched_totals, sum_of
from nettop.model.evidence import CpuWaits, HostTick, Mover
from nettop.model.types import (
    TCP_STATES,
    Detail,
    Group,
    Histogram,
    HostCounters,
    Model,
    Proto,
    Row,
    Stage,
    Totals,
)
from nettop.sample import Facts
from nettop.text.limits import own_text


class RowNames(Protocol):
    """What a host calls the numbers of its sockets."""

    def user(self, uid: int) -> str | None: ...

    def cgroup(self, cgroup_id: int) -> str | None: ...

    def container(self, path: str) -> str | None: ...

    def netns_name(self, inode: int) -> str | None: ...

    def device(self, netns: int, ifindex: int) -> str | None: ...


class Deriver:
    """Keeps what a model needs of the ticks before it; any thread may ask for rows."""

    def __init__(self, engine: Engine, names: RowNames) -> None:
        self.engine, self.names = engine, names
        self.log = EventLog(engine)
        self.filtered = False  # a filter is in force
        self.seq = 0
        self.facts = Facts()
        self._counters: tuple[int, HostCounters] | None = None  # of the tick before, and when
        self._evidence, self._cpu_waits, self._finder = Mover(), CpuWaits(), Finder()
        self.staged: tuple[int, ...] = ()  # cookies of sockets whose verdict stages would decide
        self._unlisted: frozenset[Proto] = frozenset()
        self._others = False  # sockets were sent by another filter than in the tick before
        self._matched_waits = OctaveSum()

    def twin(self, engine: Engine, names: RowNames) -> Deriver:
        """Another one at the same tick, over a twin of the engine."""
        made = copy(self)
        made.engine, made.names, made.log = engine, names, self.log.twin(engine)
        # What a tick changes in place; all else it replaces.
        made._evidence, made._matched_waits = copy(self._evidence), self._matched_waits.copy()
        made._finder = self._finder.twin()
        return made

    # --- the model ---

    def model(self, facts: Facts, *, mono_ns: int, wall_ns: int, interval: bool = True) -> Model:
        """What the sweep that just ended says.

        Args:
            facts: of this tick.
            interval: the planes ended an interval before the sweep.
        """
        self.seq += 1
        self._others = self.seq > 1 and _chosen_by(facts) != _chosen_by(self.facts)
        self.facts = facts
        self._unlisted = frozenset(Proto(f.proto) for f in self.engine.failures())
        waits = waits_all = self.engine.rx_wait(())
        if self.chooses and waits is not None:
            waits = self.engine.rx_wait_matched()
            if interval:
                self._matched_waits.add(waits)
        events = self.log.tick()
        evidence = self._evidence.tick(facts.evidence)
        causes = self._judge_by(evidence, mono_ns, events is not None, interval)
        return Model(
            seq=self.seq,
            mono_ns=mono_ns,
            wall_ns=wall_ns,
            interval_s=facts.interval_s if self.seq > 1 else None,
            host=facts.host,
            kernel=facts.kernel,
            sources=facts.sources,
            cost=facts.cost,
            totals=self._totals(facts),
            rx_wait=waits,
            rx_wait_all=waits_all,
            chosen=self.chooses,
            tx=self.engine.tx_interval(),
            nic=facts.nic,
            tx_absent={s: facts.tx_absent[s] for s in Stage if s in facts.tx_absent},
            events=events,
            path=path_tick(self.engine),
            intervals=self.seq - 1,
            evidence=evidence,
            causes=causes.found,
            late=causes.late,
            slow=causes.slow,
            dropped_out=causes.out,
            readers=self.engine.readers(),
            thresholds=own_text(),
        )

    def _judge_by(self, tick: HostTick, mono_ns: int, events: bool, interval: bool) -> Causes:
        """This sweep and the next are judged by who waits for a CPU, and by the causes that are
        found."""
        engine = self.engine
        engine.cpu_waits(self._cpu_waits.tick(tick))
        candidates = engine.candidates(MOST_CANDIDATES, late=tick.now.queue_stands)
        lost = events and any(
            (c.held | c.verdicts) & MAY_BE_DROPPED or c.dropped_here for c in candidates
        )
        causes = self._finder.tick(
            tick,
            candidates,
            engine.late(LEAST_LATE_SOCKETS, MOST_LATE),
            engine.slow_peers(MOST_SLOW) if interval else None,
            self.log.drops(MOST_DROPS) if lost else (),
            mono_ns=mono_ns,
            events=events,
        )
        self.staged = causes.staged
        engine.causes([*causes.found.values()], [*causes.late])
        engine.held_slow([*causes.slow])
        return causes

    def header_only(self, last: Model, facts: Facts) -> Model:
        """While paused: the host's counters and our own cost live on, the sockets stand still."""
        self.seq += 1
        self.facts = facts
        return replace(
            last, seq=self.seq, cost=facts.cost, totals=self._totals(facts),
            evidence=self._evidence.tick(facts.evidence),
        )  # fmt: skip

    def with_totals(self, model: Model) -> Model:
        """The same tick under another filter."""
        has_rates = model.seq > 1 and Proto.TCP not in self._unlisted and not self._others
        fresh = matched_totals(self.engine.totals(), has_rates)
        waits = self.rx_wait(None, run=False)
        return replace(
            model, totals=replace(model.totals, **fresh), rx_wait=waits, chosen=self.chooses
        )

    def _totals(self, facts: Facts) -> Totals:
        t = self.engine.totals()
        counters, asked = facts.counters, facts.asked
        listed = Proto.TCP not in self._unlisted
        by_state = {TCP_STATES[i]: t.by_state[i] for i in TCP_STATES if listed and t.by_state[i]}
        if counters.tcp_time_wait is not None:
            by_state["TIME_WAIT"] = counters.tcp_time_wait
        per_s = self._rates(facts)
        if facts.chosen is not None:
            return facts.chosen.totals

        def known(proto: Proto, wanted: int, count: int) -> int | None:
            return count if wanted and t.netns and proto not in self._unlisted else None

        moved = t.sweep > 1 and not self._unlisted
        return Totals(
            tcp=known(Proto.TCP, asked.tcp_states, t.tcp),
            udp=known(Proto.UDP, asked.udp, t.udp),
            mptcp=known(Proto.MPTCP, asked.tcp, t.mptcp),
            by_state=by_state,
            opened=t.opened if moved else None,
            closed=t.closed if moved else None,
            retrans_per_s=per_s("retrans_segs"),
            resets_per_s=per_s("estab_resets"),
            netns=t.netns,
            netns_hidden=facts.hidden_netns,
            duplicates=t.duplicates,
            restarts=t.restarts,
            malformed=t.malformed,
            truncated=t.truncated,
            **matched_totals(t, t.sweep > 1 and listed and not self._others),
        )

    def _rates(self, facts: Facts) -> Callable[[str], float | None]:
        """Of the host's counters, by name, since the tick before."""
        before = self._counters
        self._counters = facts.counters_ns, facts.counters
        wall_s = (facts.counters_ns - before[0]) / 1e9 if before else 0.0

        def per_s(name: str) -> float | None:
            if before is None or wall_s <= 0:
                return None
            was, now = getattr(before[1], name), getattr(facts.counters, name)
            return None if now is None or was is None else max(0, now - was) / wall_s

        return per_s

    # --- distributions ---

    def rx_wait(self, cookies: Sequence[int] | None, *, run: bool) -> Histogram | None:
        """Of these sockets; None: of those that are chosen, or where none is, of all in the polled
        namespaces, closed ones too. run: of those that are chosen since they were."""
        if cookies is not None or not self.chooses:
            return self.engine.rx_wait(cookies or (), run=run)
        now = self._matched_now()
        return self._matched_waits.total if run and now is not None else now

    def _matched_now(self) -> Histogram | None:
        return self.engine.rx_wait_matched() if self.engine.rx_wait(()) is not None else None

    def tx(self, cookies: Sequence[int] | None, *, run: bool) -> tuple[Histogram, ...] | None:
        """By stage, of these sockets, or (None) of every stamped send; None: nothing selected."""
        return self.engine.tx(cookies or (), run=run)

    def refiltered(self) -> None:
        """Other sockets are chosen: their run begins with what is known of this interval."""
        self._matched_waits = OctaveSum()
        waits = self._matched_now() if self.chooses else None
        if waits is not None:
            self._matched_waits.add(waits)

    @contextmanager
    def run_kept(self) -> Iterator[None]:
        """What is chosen changes for a moment, which ends no run."""
        waits = self._matched_waits
        try:
            yield
        finally:
            self._matched_waits = waits

    def clear(self) -> None:
        """The run of distributions begins now."""
        self.engine.clear_runs()
        self._matched_waits.clear()

    @property
    def chooses(self) -> bool:
        """Some sockets of the polled namespaces are left out on purpose."""
        asked = self.facts.asked
        udp_and_tcp = asked.tcp and asked.udp
        return self.filtered or bool(asked.family) or asked.listen_only or not udp_and_tcp

    # --- rows and groups, named ---

    def name(self, row: Row) -> Row:
        """Adds the names that stand for numbers in the record."""
        rec, names = row.rec, self.names
        row.host = self.facts.host
        row.user = names.user(rec.uid)
        if rec.cgroup_id:
            row.cgroup = names.cgroup(rec.cgroup_id)
            row.container = names.container(row.cgroup) if row.cgroup else None
        row.netns_name = names.netns_name(rec.netns)
        if rec.ifindex:
            row.dev = names.device(rec.netns, rec.ifindex)
        return row

    def detail(self, cookie: int) -> Detail | None:
        row = self.engine.find(cookie)
        return self.detail_of(row) if row is not None else None

    def detail_of(self, row: Row) -> Detail | None:
        return self.engine.detail(row.cookie, tcp=row.proto == Proto.TCP)

    def groups(self, grouping: Grouping) -> Groups:
        # Most of their sockets may be new here, and have no rates to add up.
        found = self.engine.groups(grouping)
        return Groups(found, grouping, self.names, rated=not self._others)

    def sum(self, cookies: Any) -> Group | None:
        g = self.engine.sum(cookies)
        return sum_of(g, self.names, rated=not self._others) if g is not None else None


def _chosen_by(facts: Facts) -> str | None:
    """The filter by which another host chose the sockets that it sent."""
    return facts.chosen.filter_text if facts.chosen is not None else None
