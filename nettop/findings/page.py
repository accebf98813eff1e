"""A report as one HTML file: pictures inline, nothing loaded, no script, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from nettop.findings import plain
from nettop.findings.markup import Child, document, tag
from nettop.findings.pictures import heatmap, stages, time_line
from nettop.findings.style import CSS
from nettop.findings.values import Case, Finding, Report
from nettop.model.types import Histogram, Level, Stage
from nettop.text import units
from nettop.text.columns import endpoint
from nettop.text.words import owner_text

MOST_FINDINGS = 50
MOST_SOCKETS = 12  # of a finding
MOST_SPELLS = 300
# Nothing may be loaded or run, whatever a name of a process holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LEVELS = {Level.WATCH: "watch", Level.UNWELL: "unwell", Level.OK: "well"}
_WORDS = (
    ("app", "a program on this host: it reads or accepts late, or its buffers are too small"),
    ("kern", "this host's kernel: its queues, firewall or memory"),
    ("nic", "this host's network card"),
    ("net", "the path between here and the peer"),
    ("peer", "the other end of the connection"),
    ("?", "likely, not certain; alone: not known from this host"),
    ("unwell, to watch", "how loud a finding is: the second is a lower threshold"),
    ("RX queue wait", "from the moment that received data could be read until the program took it"),
    ("TX stages", "where the time of a send went: copy (the call), sndbuf (waiting for buffer "
     "space), tcp (held by the congestion window, pacing or Nagle), qdisc (this host's own queue), "
     "nic (the card), ack (the network and the peer), total"),
    ("ruled out", "other causes, with the number that excludes them"),
    ("spell", "one verdict of one socket from when it began to hold until it ended"),
)  # fmt: skip


def page(report: Report) -> str:
    """All of the file."""
    title = f"nettop: {report.host}, {plain.span_text(report)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", CSS),
    )
    body = tag("body", tag("main", *_parts(report)))
    return document(tag("html", head, body, lang="en"))


def _parts(report: Report) -> Iterable[Element]:
    yield _head(report)
    yield _summary(report)
    yield from _pictured("When", time_line(report), "A bar is a socket's spell; hold the pointer "
                         "over it for its numbers.", _legend())  # fmt: skip
    if report.findings:
        yield tag("h2", "Findings")
    for number, finding in enumerate(report.findings[:MOST_FINDINGS], 1):
        yield _finding(number, finding, report)
    if len(report.findings) > MOST_FINDINGS:
        yield tag("p", f"and {len(report.findings) - MOST_FINDINGS} further findings")
    yield from _waits(report)
    yield from _sends(report)
    yield from _listed("Refused", plain.refused_lines(report))
    yield from _listed("Numbers of the host that moved", plain.host_lines(report))
    yield from _listed("Not known", plain.unknown_lines(report))
    yield from _listed("What nettop itself did and left out", plain.own_lines(report))
    yield from _spells(report)
    yield tag("h2", "Words")
    yield tag("dl", *(e for word, text in _WORDS for e in (tag("dt", word), tag("dd", text))))
    yield _foot(report)


def _head(report: Report) -> Element:
    zone = datetime.fromtimestamp(report.from_ns / 1e9).astimezone().strftime("%Z")
    where = f"{report.host}, Linux {report.kernel}"
    if report.file is not None:
        where += f", from {report.file}"
    looked = f"{plain.span_text(report)} {zone}, {units.counted(report.ticks, 'look')}"
    if report.sockets is not None:
        looked += f", {units.counted(report.sockets, 'socket')}"
    lines = [tag("p", where), tag("p", looked)]
    if report.filter_text:
        lines.append(tag("p", f"only {report.matched} that match: ", _code(report.filter_text)))
    return tag("header", tag("h1", "What was wrong with the network of this host"), *lines)


def _code(text: str) -> Element:
    return tag("code", text)


def _badge(level: Level) -> Element:
    return tag("span", "to watch" if level is Level.WATCH else _LEVELS[level],
               class_=f"badge {_LEVELS[level]}")  # fmt: skip


def _summary(report: Report) -> Element:
    if not report.findings:
        return tag("p", "Nothing was unwell.", class_="nothing")
    rows = [
        tag("li", _badge(f.level), " ", tag("a", plain.headline(f), href=f"#finding-{n}"))
        for n, f in enumerate(report.findings[:MOST_FINDINGS], 1)
    ]
    return tag("ol", *rows, class_="summary")


def _finding(number: int, finding: Finding, report: Report) -> Element:
    said = finding.worst.said
    facts: list[Element] = []
    for name, text in (
        ("ruled out", said.ruled_out.removeprefix("ruled out: ")),
        ("not known", said.unknown.removeprefix("not known: ")),
        ("next", said.next_step.removeprefix("next: ")),
    ):
        if text:
            facts += [tag("dt", name), tag("dd", text)]
    return tag(
        "section",
        tag("h3", f"{number}. {plain.headline(finding)}"),
        tag("p", _badge(finding.mostly), " ", plain.extent(finding, report)),
        tag("p", said.evidence, class_="evidence"),
        tag("dl", *facts),
        _sockets(finding.cases),
        id=f"finding-{number}",
        class_=_LEVELS[finding.level],
    )


def _sockets(cases: Sequence[Case]) -> Element:
    rows = [
        [
            owner_text(case.row) or units.ABSENT,
            endpoint(case.row, local=True),
            endpoint(case.row, local=False) if case.row.has_remote else "",
            case.why,
            units.time(case.held_s * 1e9) if case.held_s else units.ABSENT,
        ]
        for case in cases[:MOST_SOCKETS]
    ]
    table = _table(("program", "local", "remote", "worst", "held for"), rows)
    more = len(cases) - len(rows)
    return tag("div", table, tag("p", f"and {more} more")) if more > 0 else tag("div", table)


def _table(titles: Sequence[str], rows: Iterable[Sequence[Child]]) -> Element:
    head = tag("thead", tag("tr", *(tag("th", title) for title in titles)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body), class_="wide")


def _pictured(
    title: str, picture: Element | None, caption: str, *more: Element
) -> Iterable[Element]:
    if picture is None:
        return
    yield tag("h2", title)
    yield tag("figure", picture, *more, tag("figcaption", caption))


def _legend() -> Element:
    items = [tag("span", tag("i", class_=f"key {kind}"), f" {words}  ")
             for kind, words in (("unwell", "unwell"), ("watch", "to watch"))]  # fmt: skip
    return tag("p", *items, class_="legend")


def _numbers(histogram: Histogram) -> list[Child]:
    d = histogram.dist
    times = (d.p50_ns, d.p90_ns, d.p99_ns, d.max_ns)
    return [str(d.count), *(units.time(ns) for ns in times)]


def _waits(report: Report) -> Iterable[Element]:
    if report.rx_wait is None:
        return
    yield from _pictured(
        "RX queue wait", heatmap(report.course),
        "How long received data lay readable before its program took it: time from left to right, "
        "waits from short to long upwards; the more deliveries, the stronger a cell.",
    )  # fmt: skip
    if report.rx_wait.dist.count:
        yield _table(("deliveries", "p50", "p90", "p99", "longest"), [_numbers(report.rx_wait)])


def _sends(report: Report) -> Iterable[Element]:
    if report.tx is None:
        return
    yield from _pictured(
        "TX stages", stages(report.tx),
        "Where the time of a send went, of those that were timestamped: the part that each stage "
        "has in the mean send. A stage that not every send goes through counts over all of them.",
    )  # fmt: skip
    rows = [[s.name.lower(), *_numbers(report.tx[s])] for s in Stage if report.tx[s].dist.count]
    if rows:
        yield _table(("stage", "sends", "p50", "p90", "p99", "longest"), rows)


def _listed(title: str, lines: Sequence[str]) -> Iterable[Element]:
    if lines:
        yield tag("h2", title)
        yield tag("ul", *(tag("li", text) for text in lines))


def _spells(report: Report) -> Iterable[Element]:
    if report.file is None or not report.spells:
        return
    rows = [
        [
            plain.clock_text(s.from_ns, date=True),
            plain.clock_text(s.to_ns if s.to_ns is not None else report.to_ns),
            s.who or units.ABSENT, s.owner or units.ABSENT, s.why, s.local, s.remote or "",
        ]
        for s in report.spells[:MOST_SPELLS]
    ]  # fmt: skip
    more = len(report.spells) - len(rows)
    yield tag("h2", "Spells")
    yield tag(
        "details",
        tag("summary", f"{len(report.spells)}, by when they began"
            + (f"; the first {MOST_SPELLS}" if more > 0 else "")),
        _table(("from", "to", "who", "program", "worst", "local", "remote"), rows),
    )  # fmt: skip


def _foot(report: Report) -> Element:
    text = (
        f"Written by nettop {report.nettop}. It holds addresses and names of programs of that "
        "host: look before sharing."
    )
    return tag("footer", tag("p", text))
