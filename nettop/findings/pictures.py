"""The pictures of a report, as SVG in the colours of its page; each says in words what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from nettop.findings.markup import tag
from nettop.findings.plain import clock_text, headline
from nettop.findings.values import Bin, Finding, Report
from nettop.model.buckets import OCTAVES
from nettop.model.types import Histogram, Level, Stage
from nettop.spells import Spell
from nettop.text import units
from nettop.text.verdicts import VERDICTS

WIDTH = 960
_LEFT, _RIGHT = 84, 12  # room for the words of the vertical axis
_STRIP = 46  # height of the counts over the rows of findings
_ROW, _BAR = 36, 12
MOST_ROWS = 16
MOST_BARS = 2000
_SHADES = 6
_CELL = 11  # height of an octave
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
            86400)  # fmt: skip
_LEVELS = {Level.WATCH: "watch", Level.UNWELL: "unwell"}


class _Time:
    """Where a time lies, from left to right."""

    def __init__(self, from_ns: int, to_ns: int) -> None:
        self.from_ns, self.to_ns = from_ns, max(to_ns, from_ns + 1)

    def x(self, wall_ns: int) -> float:
        share = (wall_ns - self.from_ns) / (self.to_ns - self.from_ns)
        return _LEFT + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[tuple[float, str]]:
        """Round moments of local time with their words, at most ten."""
        span_s = (self.to_ns - self.from_ns) / 1e9
        step = next((s for s in _STEPS_S if span_s / s <= 8), 86400 * math.ceil(span_s / 691200))
        zone = datetime.fromtimestamp(self.from_ns / 1e9).astimezone().utcoffset()
        shift = zone.total_seconds() if zone else 0.0
        first = math.ceil((self.from_ns / 1e9 + shift) / step) * step - shift
        out = []
        while first * 1e9 <= self.to_ns:
            at = datetime.fromtimestamp(first)
            form = "%H:%M:%S" if step < 60 else "%m-%d %H:%M" if span_s > 86400 else "%H:%M"
            out.append((self.x(int(first * 1e9)), at.strftime(form)))
            first += step
        return out


def time_line(report: Report) -> Element | None:
    """When what held: how many sockets were unwell, and a row of bars for each finding."""
    if report.to_ns <= report.from_ns or not report.findings:
        return None
    time = _Time(report.from_ns, report.to_ns)
    findings = report.findings[:MOST_ROWS]
    height = _STRIP + _ROW * len(findings) + 30
    picture = _picture(height, "when which finding held, and how many sockets were unwell at once")
    _grid(picture, time, height)
    _counts(picture, time, report.course)
    for number, finding in enumerate(findings):
        top = _STRIP + _ROW * number + 16
        words = f"{number + 1}. {headline(finding)}"
        picture.append(tag("text", words[:130], class_="label", x=_LEFT, y=top + 2))
        track = tag("rect", class_="track", x=_LEFT, y=top + 7, height=_BAR,
                    width=WIDTH - _LEFT - _RIGHT)  # fmt: skip
        picture.append(track)
        for spell in _spells_of(finding, report)[:MOST_BARS]:
            picture.append(_bar(spell, time, top + 7, report.to_ns))
    return picture


def _spells_of(finding: Finding, report: Report) -> list[Spell]:
    keys = {(case.row.cookie, VERDICTS[case.verdict].name) for case in finding.cases}
    return [spell for spell in report.spells if (spell.cookie, spell.name) in keys]


def _bar(spell: Spell, time: _Time, y: float, end_ns: int) -> Element:
    to_ns = spell.to_ns if spell.to_ns is not None else end_ns
    x = time.x(spell.from_ns)
    socket = f"{spell.local} ⇄ {spell.remote}" if spell.remote else spell.local
    said = (
        f"{clock_text(spell.from_ns)} to {clock_text(to_ns)}: {spell.why} "
        f"({_LEVELS.get(spell.level, 'watch')}), {spell.owner or '–'}, {socket}"
    )
    return tag("rect", tag("title", said), class_=_LEVELS.get(spell.level, "watch"), x=x, y=y,
               width=max(2.0, time.x(to_ns) - x), height=_BAR)  # fmt: skip


def _counts(picture: Element, time: _Time, course: Sequence[Bin]) -> None:
    """Sockets that had a verdict at once, as heights."""
    most = max((b.unwell + b.watch for b in course), default=0)
    picture.append(tag("text", "sockets", class_="axis", x=0, y=12))
    if not most:
        return
    picture.append(tag("text", f"{most} at most", class_="axis", x=0, y=26))
    room = _STRIP - 12
    for each in course:
        x = time.x(each.from_ns)
        width = max(1.0, time.x(each.to_ns) - x)
        base = float(_STRIP - 2)
        said = f"{clock_text(each.to_ns)}: {each.unwell} unwell, {each.watch} to watch"
        for kind, number in (("unwell", each.unwell), ("watch", each.watch)):
            if number:
                high = room * number / most
                base -= high
                picture.append(tag("rect", tag("title", said), class_=kind, x=x, y=base,
                                   width=width, height=high))  # fmt: skip


def _grid(picture: Element, time: _Time, height: float) -> None:
    for x, words in time.ticks():
        picture.append(tag("line", class_="grid", x1=x, x2=x, y1=0, y2=height - 18))
        anchor = "end" if x > WIDTH - 40 else "middle"
        picture.append(tag("text", words, class_="axis", x=x, y=height - 4, text_anchor=anchor))


def _picture(height: float, what: str) -> Element:
    return tag("svg", tag("title", what), viewBox=f"0 0 {WIDTH} {height:.0f}", role="img",
               xmlns="http://www.w3.org/2000/svg", width="100%")  # fmt: skip


def heatmap(course: Sequence[Bin]) -> Element | None:
    """How long received data waited for its program: time from left to right, waits upwards."""
    bins = [each for each in course if each.waits]
    if not bins:
        return None
    used = [i for i in range(OCTAVES) if any(each.waits[i] for each in bins)]
    low, high = max(0, used[0] - 1), min(OCTAVES - 1, max(used[-1] + 1, used[0] + 6))
    most = max(max(each.waits) for each in bins)
    time = _Time(course[0].from_ns, course[-1].to_ns)
    height = (high - low + 1) * _CELL + 30
    picture = _picture(height, "RX queue wait over time: darker cells hold more deliveries")
    _grid(picture, time, height)
    for each in bins:
        x = time.x(each.from_ns)
        width = max(1.5, time.x(each.to_ns) - x + 0.3)
        for octave in range(low, high + 1):
            count = each.waits[octave]
            if not count:
                continue
            shade = 1 + int((_SHADES - 1) * math.log1p(count) / math.log1p(most))
            said = (
                f"{clock_text(each.to_ns)}: {count} of {units.time(_edge_ns(octave))} to "
                f"{units.time(_edge_ns(octave + 1))}"
            )
            picture.append(
                tag("rect", tag("title", said), class_=f"heat{shade}", x=x, width=width,
                    y=(high - octave) * _CELL, height=_CELL + 0.3)
            )  # fmt: skip
    for octave in range(low, high + 2):
        if (octave - low) % 3 == 0:
            y = (high - octave + 1) * _CELL
            words = units.time(_edge_ns(octave)) if octave else "0"
            picture.append(tag("text", words, class_="axis", x=_LEFT - 8, y=y + 4,
                               text_anchor="end"))  # fmt: skip
            picture.append(tag("line", class_="grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y))
    return picture


def _edge_ns(octave: int) -> int:
    """Lower edge: below 64 ns, then one for each doubling."""
    return 64 << (octave - 1) if octave else 0


def stages(tx: Sequence[Histogram]) -> Element | None:
    """Where sends spent their time: of each stage its part of the mean send."""
    measured = [stage for stage in Stage if tx[stage].dist.count]
    if not measured:
        return None
    sends = max(tx[stage].dist.count for stage in measured)
    parts = {stage: tx[stage].dist.sum_ns / sends for stage in measured}
    most = max(parts.values()) or 1.0
    row = 26
    picture = _picture(row * len(measured) + 4, "the part of each stage in the mean time of a send")
    for number, stage in enumerate(measured):
        y = row * number + 4
        dist, name = tx[stage].dist, stage.name.lower()
        length = (WIDTH - _LEFT - 330) * parts[stage] / most
        words = units.time(parts[stage])
        said = f"{name}: {dist.count} of {sends} sends, {words} of the mean send"
        kind = "total" if stage is Stage.TOTAL else "stage"
        picture.append(tag("text", name, class_="label", x=_LEFT - 8, y=y + 13, text_anchor="end"))
        picture.append(tag("rect", tag("title", said), class_=kind,
                           x=_LEFT, y=y, width=max(1.0, length), height=18))  # fmt: skip
        picture.append(tag("text", words, class_="label", x=_LEFT + length + 8, y=y + 13))
    return picture
