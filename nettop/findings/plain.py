"""A report as text: for a terminal, a ticket, a mail."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from nettop.findings.values import Case, Finding, HostReport, Moved, Report, Unknown
from nettop.model.types import Level, Proto
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import endpoint, to_ascii
from nettop.text.verdicts import VERDICTS
from nettop.text.words import program_text

LEAST_WIDTH, MOST_WIDTH = 60, 110
MOST_FINDINGS = 20
MOST_SPELLS = 30
MOST_REFUSED, _MOST_PROGRAMS = 8, 3
_REFUSED = {
    "tcp": "nothing listens there, or a firewall rejects it",
    "udp": "no socket has that port, or a firewall rejects it; ICMP says so some times a second, "
    "however many were sent",
}
_STALLS = frozenset({"some_us", "full_us"})  # pressure stall times
STALLED_SHARE = 0.02  # of the time that tasks waited for a CPU, memory or a disk: less is not shown
_LINE_CELLS, _LEAST_CELLS = 60, 4
_INDENT = "   "
# A spell of the time line: nothing, to watch, unwell.
_MARKS = "·▒█"
_ASCII = str.maketrans({"·": ".", "▒": "+", "█": "#", "⇄": "<>"})
_LEVELS = {Level.WATCH: "to watch", Level.UNWELL: "unwell", Level.OK: "well"}


def text_of(report: Report, *, width: int = 100, ascii_only: bool = False) -> str:
    """All of it, lines of at most width cells; where nothing is unwell one line of any width."""
    lines = list(_lines(report, max(LEAST_WIDTH, min(width, MOST_WIDTH))))
    text = "".join(f"{clean(line)}\n" for line in lines)
    if not ascii_only:
        return text
    return to_ascii(text.translate(_ASCII))


def text_of_hosts(
    reports: Sequence[HostReport], *, width: int = 100, ascii_only: bool = False
) -> str:
    """One after the other, each under the name that -H has for it."""
    parts = []
    for one in reports:
        said = f"not looked at: {one.reason}\n"
        if one.report is not None:
            said = text_of(one.report, width=width, ascii_only=ascii_only)
            if one.reason:
                said += f"The look ended early: {clean(one.reason)}\n"
        parts.append(f"{clean(one.name)}:\n{said}")
    return "\n".join(parts)


def _lines(report: Report, width: int) -> Iterable[str]:
    if not report.findings:
        yield nothing(report)
        return
    yield from textwrap.wrap(looked_at(report), width)
    shown = report.findings[:MOST_FINDINGS]
    for number, finding in enumerate(shown, 1):
        yield ""
        yield from _finding(number, finding, report, width)
    if len(report.findings) > len(shown):
        yield ""
        yield f"and {len(report.findings) - len(shown)} further findings (--json lists all)"
    if report.file is not None and len(report.course) > 1:
        yield from _time_line(report, width)
    yield from _section("Refused", refused_lines(report), width)
    yield from _section("Numbers of the host that moved", host_lines(report), width)
    yield from _section("Not known", unknown_lines(report), width)
    yield from _section("nettop itself", own_lines(report), width)


def looked_at(report: Report) -> str:
    """Who looked at what for how long, and what it came to."""
    found = Counter(finding.level for finding in report.findings)
    counts = [f"{found[level]} {_LEVELS[level]}" for level in (Level.UNWELL, Level.WATCH)
              if found[level]]  # fmt: skip
    return f"{subject(report)}. Findings: {', '.join(counts) or 'none'}."


def subject(report: Report) -> str:
    """`web-1 (Linux 6.18.44), 14:02:01 to 14:02:11: 61 sockets, 10.0s`"""
    sockets = "sockets" if report.sockets is None else units.counted(report.sockets, "socket")
    if report.filter_text:
        sockets = f"{report.matched} of {sockets} (filter: {report.filter_text})"
    where = f"{report.host} (Linux {report.kernel})"
    source = f" in {report.file}" if report.file is not None else ""
    return f"{where}{source}, {span_text(report)}: {sockets}"


def span_text(report: Report) -> str:
    """From when until when, and how long."""
    begin, end = clock_text(report.from_ns, date=True), clock_text(report.to_ns)
    if report.ticks == 1:
        return begin
    return f"{begin} to {end} ({units.time(report.seconds * 1e9)})"


def clock_text(wall_ns: int, *, date: bool = False) -> str:
    """Local time."""
    at = datetime.fromtimestamp(wall_ns / 1e9)
    return at.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def nothing(report: Report) -> str:
    """One line: what was looked at, and what could not be seen."""
    text = f"nothing unwell: {subject(report)}"
    if report.refused:
        text += f". Refused: {'; '.join(refused_lines(report, 3))}"
    trouble = [moved_text(moved) for moved in report.moved if moved.trouble]
    if trouble:
        text += f". Numbers of the host that moved: {', '.join(trouble)}"
    if report.drop_reasons:
        text += f". Packets dropped: {_reasons(report, 4)}"
    if report.unknown:
        not_said = (f"{u.says} ({_why_off(u, report)})" for u in report.unknown)
        text += f". Not known: {'; '.join(not_said)}"
    own = own_lines(report)
    return f"{text}. nettop itself: {'; '.join(own)}" if own else text


def _why_off(unknown: Unknown, report: Report) -> str:
    status = unknown.source
    said = f"{status.name} {status.state}"
    if 0 < unknown.off_ticks < report.ticks:
        said += f" in {unknown.off_ticks} of {report.ticks} ticks"
    if status.reason:
        said += f": {status.reason}"
    return f"{said}; {status.fix}" if status.fix else said


def headline(finding: Finding) -> str:
    """`app report-reader/812: does not read`: the detail screen's own words, and whom they name."""
    party = f" {finding.party}" if finding.party else ""
    return f"{finding.who}{party}: {finding.worst.said.what}"


def extent(finding: Finding, report: Report) -> str:
    """How long, how many, with whom: `all the time, 3 sockets with 10.0.3.7`."""
    parts = []
    if report.ticks > 1 and finding.held_s:
        whole = finding.held_s >= report.seconds * 0.95
        held = f"for {units.time(finding.held_s * 1e9)} of {units.time(report.seconds * 1e9)}"
        parts.append("all the time" if whole else held)
        if 0 < finding.unwell_s < finding.held_s * 0.95:
            parts[-1] += f" (unwell {units.time(finding.unwell_s * 1e9)} of it)"
        if report.file is not None and not whole:
            parts.append(f"from {clock_text(finding.from_ns)} to {clock_text(finding.to_ns)}")
    parts.append(units.counted(finding.sockets, "socket"))
    shared = _shared(finding)
    return ", ".join(parts) + (f" {shared}" if shared else "") + _read_by(finding)


def _read_by(finding: Finding) -> str:
    """That one thread reads them, and of how many that is known."""
    known = len({case.row.cookie for case in finding.cases if case.said.reader})
    if finding.reader is None or finding.sockets == 1:
        return ""
    if known == finding.sockets:
        return ", all read by one thread"
    return f", {known} of them read by one thread, of the others it is not known"


def _shared(finding: Finding) -> str:
    """The other side of what the finding is about: whose sockets, or with whom."""
    rows = [case.row for case in finding.cases]
    owners = list(dict.fromkeys(program_text(row) for row in rows))
    peers = list(dict.fromkeys(row.remote_addr for row in rows if row.has_remote))
    said = []
    if not finding.cases[0].who.startswith(("app", "cpu")) and owners[0] not in finding.party:
        said.append(f"of {owners[0]}" if len(owners) == 1 else f"of {len(owners)} programs")
    if peers and peers[0] not in finding.party:
        said.append(f"with {peers[0]}" if len(peers) == 1 else f"with {len(peers)} peers")
    return " ".join(said)


def socket_text(case: Case) -> str:
    """`tcp 10.0.0.5:443 ⇄ 10.0.3.7:51812 of nginx/812, container web-5f, netns web`"""
    row = case.row
    proto = Proto(row.rec.proto).name.lower()
    text = f"{proto} {endpoint(row, local=True)}"
    if row.has_remote:
        text += f" ⇄ {endpoint(row, local=False)}"
    text += f" of {program_text(row)}"
    if row.container:
        text += f", container {row.container}"
    if row.netns_name:
        text += f", netns {row.netns_name}"
    return text


def sentences(finding: Finding) -> list[str]:
    """What the detail screen says below its headline, of the worst socket."""
    said = finding.worst.said
    return [text for text in (said.evidence, *said.beside) if text]


def _finding(number: int, finding: Finding, report: Report, width: int) -> Iterable[str]:
    head = f"{number}. "
    indent = " " * len(head)
    yield from textwrap.wrap(
        headline(finding), width, initial_indent=head, subsequent_indent=indent
    )
    worst = "the socket" if finding.sockets == 1 else "the worst"
    level = _LEVELS[finding.mostly]
    said = [
        f"{level}, {extent(finding, report)}",
        f"{worst}: {socket_text(finding.worst)}",
        *sentences(finding),
    ]
    for text in said:
        yield from textwrap.wrap(
            text, width, initial_indent=indent, subsequent_indent=indent + "  ",
            break_on_hyphens=False,
        )  # fmt: skip


def _section(title: str, lines: Sequence[str], width: int) -> Iterable[str]:
    if not lines:
        return
    yield ""
    yield title
    for text in lines:
        yield from textwrap.wrap(
            text, width, initial_indent=_INDENT, subsequent_indent=_INDENT + "  ",
            break_on_hyphens=False,
        )  # fmt: skip


def refused_lines(report: Report, most: int = MOST_REFUSED) -> list[str]:
    """`40 connections to 10.0.0.2:8080, by curl: nothing listens there, or …`, most first."""
    lines = []
    for one in report.refused[:most]:
        what = ("connection", "datagram")[one.proto == "udp"]
        count = ("", "at least ")[one.proto == "udp"] + units.counted(one.count, what)
        named = ", ".join(one.programs[:_MOST_PROGRAMS])
        more = len(one.programs) - _MOST_PROGRAMS
        by = f", by {named}" if named else ""
        by += f" and {more} more" if more > 0 else ""
        lines.append(f"{count} to {one.remote}{by}: {_REFUSED[one.proto]}")
    if len(report.refused) > most:
        rest = sum(one.count for one in report.refused[most:])
        lines.append(f"{rest} to {len(report.refused) - most} further places")
    return lines


def host_lines(report: Report) -> list[str]:
    """What stands still on a healthy host and grew, with what that means; what else grew; why
    packets were dropped."""
    lines = [f"! {moved_text(m)} {m.says}" for m in report.moved if m.trouble]
    stalled = [m for m in report.moved if m.name in _STALLS]
    lines += [f"{moved_text(m)} {m.says}" for m in stalled if _is_much(m)]
    others = [moved_text(m) for m in report.moved if not m.trouble and m.name not in _STALLS]
    if others:
        lines.append(f"also, as on healthy hosts: {', '.join(others)}")
    if report.drop_reasons:
        lines.append(f"packets dropped, by the kernel's reason: {_reasons(report, 8)}")
    events = {name: n for name, n in report.events.items() if name != "drop"}
    if events:
        counts = ", ".join(f"{name} {n}" for name, n in sorted(events.items()))
        lines.append(f"events of all sockets: {counts}")
    return lines


def _reasons(report: Report, most: int) -> str:
    return ", ".join(f"{name} {n}" for name, n in report.drop_reasons[:most])


def moved_text(moved: Moved) -> str:
    """`TcpExtListenDrops +16 SYNs`, `eth0 tx_dropped +3 packets`, `cpu some_us +1.2s (12%)`"""
    place = f"cgroup {moved.place}" if moved.source == "cgroups" else moved.place
    name = f"{place} {moved.name}" if place else moved.name
    if moved.unit != "µs":
        return f"{name} +{moved.by} {moved.unit}"
    spent = units.time(moved.by * 1e3)
    if moved.seconds <= 0:
        return f"{name} +{spent}"
    return f"{name} +{spent} ({units.percent(moved.by / 1e4 / moved.seconds)} of the time)"


def _is_much(moved: Moved) -> bool:
    return moved.seconds > 0 and moved.by / 1e6 / moved.seconds >= STALLED_SHARE


def unknown_lines(report: Report) -> list[str]:
    """What cannot be said, and why."""
    lines = [f"{u.says} ({_why_off(u, report)})" for u in report.unknown]
    if not report.counters_known and report.ticks > 1:
        lines.append("whether the host's counters moved: they could not be read")
    elif not report.counters_known:
        lines.append("whether the host's counters moved: one tick says nothing of it")
    return lines


def own_lines(report: Report) -> list[str]:
    """What nettop itself left out, and what it did to look."""
    own = report.own
    lines = []
    if report.stamped:
        lines.append(
            f"the sends of {units.counted(report.stamped, 'socket')} were timestamped for the TX "
            "stages"
        )
    for number, what in (
        (own.missed_ticks, "polls left out because the one before took too long"),
        (own.lost_events, "records of the planes lost"),
        (own.unlisted_events, "events counted without a record: too many at once"),
        (own.restarts, "dumps begun again"),
        (own.malformed, "messages of the kernel skipped or cut short"),
        (
            own.unlisted_cases,
            "times an unwell socket was left out of the findings: too many of them",
        ),
    ):
        if number:
            lines.append(f"{number} {what}")
    lines += [
        f"nothing is known from {clock_text(begin, date=True)} to {clock_text(end)}"
        for begin, end in own.gaps
    ]
    lines += [
        f"{units.time(step.passed_ns)} after {clock_text(step.from_ns, date=True)} it was "
        f"{clock_text(step.to_ns, date=True)}: "
        + (
            "the clock was set back"
            if step.to_ns < step.from_ns + step.passed_ns
            else "the clock was set, or the host slept"
        )
        for step in own.clock_steps
    ]
    return lines


def _time_line(report: Report, width: int) -> Iterable[str]:
    """A line per finding over the stretch, then the spells one by one."""
    cells = min(_LINE_CELLS, width - 48, max(1, report.ticks))
    if cells < _LEAST_CELLS or report.to_ns <= report.from_ns:
        return
    step = units.time((report.to_ns - report.from_ns) / cells)
    yield ""
    yield f"Time line: {span_text(report)}"
    yield f"{_INDENT}a cell is {step}; {_MARKS[2]} unwell, {_MARKS[1]} to watch"
    for number, finding in enumerate(report.findings[:MOST_FINDINGS], 1):
        yield f"{_INDENT}{line_of(finding, report, cells)}  {number}. {headline(finding)}"[:width]
    yield ""
    yield "Spells, each verdict of a socket while it held (an edge of the stretch may cut it)"
    for spell in report.spells[:MOST_SPELLS]:
        begin, end = clock_text(spell.from_ns), clock_text(spell.to_ns or report.to_ns)
        socket = f"{spell.local} ⇄ {spell.remote}" if spell.remote else spell.local
        yield from textwrap.wrap(
            f"{begin} to {end}  {spell.who or '–'} {spell.owner or '–'}: {spell.sentence} "
            f"({spell.why}), {socket}",
            width, initial_indent=_INDENT, subsequent_indent=_INDENT + " " * 22,
            break_on_hyphens=False,
        )  # fmt: skip
    if len(report.spells) > MOST_SPELLS:
        yield f"{_INDENT}and {len(report.spells) - MOST_SPELLS} more (--json lists all)"


def line_of(finding: Finding, report: Report, cells: int) -> str:
    """Of its sockets' spells of that verdict: a mark per cell."""
    keys = {(case.row.cookie, VERDICTS[case.verdict].name) for case in finding.cases}
    marks = [0] * cells
    width_ns = max(1, report.to_ns - report.from_ns) / cells
    for spell in report.spells:
        if (spell.cookie, spell.name) not in keys:
            continue
        first = int((spell.from_ns - report.from_ns) / width_ns)
        last = int(((spell.to_ns or report.to_ns) - 1 - report.from_ns) / width_ns)
        for cell in range(max(0, first), min(cells - 1, last) + 1):
            marks[cell] = max(marks[cell], int(spell.level))
    return "".join(_MARKS[mark] for mark in marks)
