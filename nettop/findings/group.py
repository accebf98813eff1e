"""Which cases are one finding, and in what order findings are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from nettop.findings.values import Case, Finding
from nettop.model.causes import QueueOf
from nettop.model.types import Because, Row, Stage, Verdict
from nettop.text.columns import endpoint
from nettop.text.readers import Reader, reader_text
from nettop.text.verdicts import VERDICTS
from nettop.text.words import owner_text, program_text

Key = tuple[Hashable, ...]
_Group = tuple[str, list[Case]]  # what they share, and those that do
_AT_A_LISTENER = (Verdict.ACCEPT, Verdict.DROPS)


def findings_of(cases: Iterable[Case]) -> tuple[Finding, ...]:
    """One for each cause, worst first."""
    alike: dict[Key, list[Case]] = {}
    for case in cases:
        # Two verdicts of one name (the age of unread data, the wait of what was read) are one.
        # So are all of one queue.
        name = "" if isinstance(case.said.shared, QueueOf) else VERDICTS[case.verdict].name
        key = name, case.who, case.said.shared
        alike.setdefault(key, []).append(case)
    _join_unknown(alike)
    _join_likely(alike)
    groups = [group for each in alike.values() for group in _groups(each)]
    found = [_finding(kind, cases) for kind, cases in _workers_joined(groups)]
    return tuple(sorted(found, key=_order))


def _join_unknown(alike: dict[Key, list[Case]]) -> None:
    """A socket's cause may be known a tick later than another's: where all that are known have one,
    it is that of the others too, if they are judged by the same."""
    for name, who, shared in [*alike]:
        if shared is not None:
            continue
        causes = [k for k in alike if k[0] in (name, "") and k[1] == who and k[2] is not None]
        if len(causes) != 1:
            continue
        because = {c.row.rec.because for c in alike[causes[0]]}
        # What a program does is the cause of its own sockets alone.
        own = str(who).startswith(("app", "cpu"))
        pids = {c.row.proc.pid for c in alike[causes[0]]} - {0}
        late: list[Case] = []
        rest: list[Case] = []
        for case in alike.pop((name, who, None)):
            same = case.row.rec.because in because and (not own or case.row.proc.pid in pids)
            (late if same else rest).append(case)
        alike[causes[0]] += late
        if rest:
            alike[name, who, None] = rest


def _join_likely(alike: dict[Key, list[Case]]) -> None:
    """Of a process that surely reads late, sockets that likely are read late are of one finding."""
    for name, who, shared in [*alike]:
        sure = name, str(who).rstrip("?"), shared
        if shared is not None or who not in ("app?", "cpu?") or sure not in alike:
            continue
        known = {case.row.proc.pid for case in alike[sure]} - {0}
        likely = alike.pop((name, who, shared))
        alike[sure] += [case for case in likely if case.row.proc.pid in known]
        if rest := [case for case in likely if case.row.proc.pid not in known]:
            alike[name, who, shared] = rest


_FEW = 3  # workers of one program that have the same fault; more are one finding


def _workers_joined(groups: Iterable[_Group]) -> Iterator[_Group]:
    """Faults of many processes of one program that are the same are what they all wait for, or all
    do."""
    by: dict[Key, list[_Group]] = {}
    for at, (kind, cases) in enumerate(groups):
        row = cases[0].row
        owned = cases[0].who.startswith("app") and not row.is_listen
        pids = {case.row.proc.pid for case in cases}
        key: Key = (at,)
        if kind in ("process", "thread", "cause") and owned and len(pids) == 1 and 0 not in pids:
            fault = VERDICTS[cases[0].verdict].name, row.rec.because, cases[0].who
            key = *fault, *_KEYS["program"](row)
        by.setdefault(key, []).append((kind, cases))
    for alike in by.values():
        pids = {cases[0].row.proc.pid for _, cases in alike}
        if len(pids) > _FEW:
            yield "program", [case for _, cases in alike for case in cases]
        else:
            yield from alike


def _order(finding: Finding) -> tuple[float, ...]:
    """Loudest first, what is known to be wrong before what is unusual, then what takes most of its
    flows, then how many, then how long."""
    cost = -1.0 if finding.cost is None else finding.cost
    return (-finding.level, _unusual(finding), -cost, -finding.sockets, -finding.held_s)


def _unusual(finding: Finding) -> int:
    """Known causes come before what is unusual, and may be a change of what is asked for."""
    return int(finding.worst.row.rec.because in (Because.UNUSUAL, Because.SIBLINGS))


def _groups(cases: Sequence[Case]) -> list[_Group]:
    """Of cases of one verdict and one WHO: what they share, and those that do."""
    if any(case.said.shared is not None for case in cases):
        return [("cause", list(cases))]
    who = cases[0].who.rstrip("?")
    if who in ("kern", "nic"):
        return _by("host", cases)
    if cases[0].verdict == Verdict.RTT and who in ("", "peer"):
        return _by("peer", cases)
    if who in ("app", "cpu", "") or cases[0].verdict in _AT_A_LISTENER:
        listeners = [case for case in cases if case.row.is_listen]
        others = [case for case in cases if not case.row.is_listen]
        # Workers that get no CPU lack the same one, whichever of their threads it is.
        by_holder = _by("program", others) if who == "cpu" else _by_thread(others)
        return [*_by("listener", listeners), *by_holder]
    return _by("peer", cases) if who == "peer" else _greedy(cases)


def _greedy(cases: Sequence[Case]) -> list[_Group]:
    """By the peer, or by the process where more of them share that: the largest group first."""
    left, out = list(cases), []
    while left:
        groups = [*_by("peer", left), *_by("process", left)]
        kind, largest = max(groups, key=lambda group: (len(group[1]), group[0] == "peer"))
        out.append((kind, largest))
        taken = {id(case) for case in largest}
        left = [case for case in left if id(case) not in taken]
    return out


def _by_thread(cases: Iterable[Case]) -> list[_Group]:
    """By the process; where most of its sockets whose reader is known wait for one thread, by that.
    The others count as its own where all that are known are, the worst among them, and they are
    many enough to stand for all."""
    out = []
    for kind, group in _by("process", cases):
        by = _readers(group)
        known = Counter(by[case.row.cookie] for case in group if by[case.row.cookie] is not None)
        tid, most = known.most_common(1)[0] if known else (_SEVERAL, 0)
        if tid == _SEVERAL or most * 2 <= known.total():
            out.append((kind, group))
            continue
        enough = most == known.total() and (most >= _ENOUGH or most * 2 > len(group))
        worst = min(group, key=_loudness)
        also = (tid, None) if enough and by[worst.row.cookie] == tid else (tid,)
        parts: dict[bool, list[Case]] = {True: [], False: []}
        for case in group:
            parts[by[case.row.cookie] in also].append(case)
        out.append(("thread", parts[True]))
        if parts[False]:
            out.append((kind, parts[False]))
    return out


_SEVERAL = -1  # no thread's id
_ENOUGH = 8  # sockets of one thread, which are taken for the rule where more are not known


def _readers(cases: Iterable[Case]) -> dict[int, int | None]:
    """Of each socket, by its cookie: the thread that reads it, _SEVERAL, None: not known."""
    by: dict[int, int | None] = {}
    for case in cases:
        said, before = case.said, by.get(case.row.cookie)
        tid = _SEVERAL if said.several else said.reader.tid if said.reader else None
        differ = tid is not None and before is not None and tid != before
        by[case.row.cookie] = _SEVERAL if differ else before if tid is None else tid
    return by


def _by(kind: str, cases: Iterable[Case]) -> list[_Group]:
    groups: dict[Key, list[Case]] = {}
    for case in cases:
        groups.setdefault(_KEYS[kind](case.row), []).append(case)
    return [(kind, group) for group in groups.values()]


_KEYS: dict[str, Callable[[Row], Key]] = {
    "host": lambda row: (row.rec.netns,),
    "listener": lambda row: (row.rec.netns, row.rec.sport),
    "process": lambda row: (row.proc.pid,) if row.proc.pid else _unnamed(row),
    # Workers that get no CPU lack the same one: their cgroup's, or that of their CPUs.
    "program": lambda row: (row.proc.comm, row.cgroup, row.user) if row.proc.pid else _unnamed(row),
    "peer": lambda row: (row.rec.netns, row.rec.family, row.rec.dst, _service(row)),
}


def _is_called(row: Row) -> bool:
    """Clients take high ports."""
    return not row.has_remote or row.rec.sport < row.rec.dport


def _unnamed(row: Row) -> Key:
    """Of a program that is not known: two of one user differ by the port that others call,
    or by whom it calls itself."""
    rec, is_called = row.rec, _is_called(row)
    whom = (rec.sport,) if is_called else (rec.family, rec.dst, rec.dport)
    return 0, owner_text(row), row.cgroup, rec.netns, is_called, whom


def _service(row: Row) -> int:
    """The peer's port where that says which of its programs it is: of one that answers nothing or
    closes its window, and that we called; else 0, as of the path all of them share."""
    at_the_program = row.rec.because == Because.SYN or row.rec.verdict == Verdict.WINDOW
    # Whoever sends a SYN calls, whichever port answers; of others clients take high ports.
    called = row.rec.because == Because.SYN or row.rec.dport < row.rec.sport
    return row.rec.dport if at_the_program and called else 0


def _loudness(case: Case) -> tuple[float, ...]:
    """The worst first."""
    return (-case.level, -(case.cost if case.cost is not None else -1), -case.value)


def _finding(kind: str, cases: Sequence[Case]) -> Finding:
    ordered = sorted(cases, key=_loudness)
    costs = [case.cost for case in cases if case.cost is not None]
    whos = [case.who for case in ordered]
    return Finding(
        who=next((who for who in whos if not who.endswith("?")), whos[0]),
        party=_party(kind, ordered),
        cases=tuple(ordered),
        level=ordered[0].level,
        cost=max(costs, default=None),
        from_ns=min(case.from_ns for case in cases),
        to_ns=max(case.to_ns for case in cases),
        held_s=max(case.held_s for case in cases),
        unwell_s=max(case.unwell_s for case in cases),
        reader=_reader(kind, cases),
    )


def _reader(kind: str, cases: Sequence[Case]) -> Reader | None:
    """The one thread that all wait for, or all of whom it is known."""
    readers = [case.said.reader for case in cases if case.said.reader]
    whole = kind == "thread" or len(readers) == len(cases)
    if not whole or len({(reader.pid, reader.tid) for reader in readers}) != 1:
        return None
    return next((reader for reader in readers if reader.name), readers[0])


def _party(kind: str, cases: Sequence[Case]) -> str:
    row = cases[0].row
    owner = program_text(row)
    if row.user and owner_text(row) == f"({row.user})":
        owner = f"({owner})"
        if kind in ("process", "thread", "program") and row.has_remote:
            called = _is_called(row)
            owner += f" {'on' if called else 'to'} {endpoint(row, local=called)}"
    named = next((case.said.party for case in cases if case.said.party), "")
    # Of a program, one of its own sockets says more than a connection that it has not taken up.
    held = next((c for c in cases if c.row.proc.pid), None)
    own = held is not None and cases[0].who.startswith(("app", "cpu"))
    if kind == "cause" and named and not own:
        return named
    if kind == "cause" and held is not None and own:
        row, owner = held.row, program_text(held.row)
    if kind == "host" or (kind == "cause" and cases[0].who.startswith(("kern", "nic"))):
        return ""
    if kind == "listener":
        return f"{owner} on {endpoint(row, local=True)}"
    who = cases[0].who.rstrip("?")
    processes = {case.row.proc.pid for case in cases}
    if kind == "program" and len(processes) > 1:
        return f"{len(processes)} processes of {row.proc.comm}"
    reader = _reader(kind, cases)
    if kind in ("thread", "program") and reader is not None and not reader.sole:
        return f"{reader_text(reader)} of {owner}"
    if kind in ("process", "thread") or who in ("app", "cpu") or not row.has_remote:
        return f"for {owner}" if who == "net" else owner
    peer = row.remote_addr
    if len({(case.row.rec.dport) for case in cases}) == 1:
        peer = endpoint(row, local=False)
    return peer if who == "peer" else f"to {peer}"


def cost_of(row: Row, interval_s: float | None) -> float | None:
    """What the worst verdict takes of the flow, 0 to 1; None where its number does not say.

    Of the time: nothing moves while data stands unread, a send is not answered, a window is shut
    or an accept queue full. Of the bytes: those that were resent.
    """
    rec, value = row.rec, float(row.rec.verdict_value)
    match Verdict(rec.verdict):
        case Verdict.UNREAD | Verdict.RTO:
            return 1.0
        case Verdict.ACCEPT | Verdict.WINDOW | Verdict.SNDBUF | Verdict.LOSS:
            return min(1.0, value / 100)
        case Verdict.RCVBUF | Verdict.OPTION:
            return min(1.0, value / 100)
        case Verdict.RTT:
            return 1 - 1 / value if value > 1 else 0.0
        case Verdict.READS:
            if not interval_s:
                return None
            return min(1.0, row.plane.wait.sum_ns / 1e9 / interval_s)
        case Verdict.QDISC if rec.because == Because.QUEUE:
            return min(1.0, value * 1e3 / rec.rtt_us) if rec.rtt_us else None
        case Verdict.QDISC:
            return _stage_share(row, Stage.QDISC)
        case Verdict.NIC:
            return _stage_share(row, Stage.NIC)
        case Verdict.UNCLOSED | Verdict.CWND:
            return 0.0  # no flow waits for it
        case Verdict.DROPS | Verdict.ORDER:
            return None


def _stage_share(row: Row, stage: Stage) -> float | None:
    total = row.plane.tx[Stage.TOTAL]
    return min(1.0, row.plane.tx[stage].sum_ns / total.sum_ns) if total.sum_ns else None
