"""A comparison as text that a person reads, and as JSON nettop.diff/1."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nettop.compare.bands import Band
from nettop.compare.keys import SCHEMA
from nettop.compare.numbers import Number
from nettop.compare.options import HowOptions
from nettop.compare.outcome import Failed, Outcome
from nettop.compare.tally import Side
from nettop.compare.verdict import FAMILY, Compared, Comparison, Verdict
from nettop.export.times import utc_text
from nettop.text import units
from nettop.text.clean import clean
from nettop.text.columns import to_ascii
from nettop.text.fields import CSV_UNITS, Kind
from nettop.times import local_text

_FORMATS: dict[Kind, Callable[[float | None], str]] = {
    Kind.TIME: units.time,
    Kind.BITRATE: units.bits_per_s,
    Kind.RATE: units.rate,
    Kind.PERCENT: units.percent,
    Kind.COUNT: units.rate,  # a mean: 0.4 sockets
}
_NAMED_MOST = 6
_UNKNOWN_MOST = 10
WIDTH = 100
_TITLE_MOST = 32


def text(found: Comparison, outcome: Outcome, options: HowOptions) -> str:
    """Worst first, a line for each number that changed; what did not change in one line."""
    lines = [*_heads(found), "", *_changes(found), *_unknown(found), *_rest(found)]
    if outcome.failed:
        lines += ["", *(_failed(f) for f in outcome.failed)]
    whole = "".join(f"{line.rstrip()}\n" for line in lines)
    return to_ascii(whole) if options.ascii else whole


def _heads(found: Comparison) -> Iterator[str]:
    for name, side in (("A", found.a), ("B", found.b)):
        sockets = len(set().union(*(g.sockets for g in side.groups.values())))
        when = local_text(side.from_ns)
        if side.to_ns != side.from_ns:
            when += f" to {local_text(side.to_ns)[11:]}"
        counts = f"{units.counted(side.ticks, 'tick')}, {units.counted(sockets, 'socket')}"
        yield clean(f"{name}  {side.name}  {side.host}  {when}, {counts}")
    notes: dict[str, list[str]] = {}
    for name, side in (("A", found.a), ("B", found.b)):
        for what, why in side.absent.items():
            text = why if what == "all" else f"no {what}: {why}"
            notes.setdefault(text, []).append(name)
        if side.ticks == 1 and "all" not in side.absent:
            text = "one interval: how much the next would differ is not in its error"
            notes.setdefault(text, []).append(name)
    for text, names in notes.items():
        yield clean(f"   {' and '.join(names)}: {text}")


def _changes(found: Comparison) -> Iterator[str]:
    changed = [c for c in found.found if c.verdict in (Verdict.WORSE, Verdict.BETTER)]
    if not changed:
        return
    rows = [
        (
            c.verdict.value if c.verdict else "", _cut(c.group), c.number.id,
            f"{_value(c.number, c.a)} → {_value(c.number, c.b)}", _moved(c),
            f"n {c.a.n:,}, {c.b.n:,}",
        )
        for c in changed
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))


def _cut(title: str) -> str:
    return clean(title if len(title) <= _TITLE_MOST else f"{title[: _TITLE_MOST - 1]}…")


def _value(number: Number, band: Band) -> str:
    return _FORMATS[number.kind](band.value)


def _moved(c: Compared) -> str:
    """The ratio with its bounds; from or to nothing, the difference."""
    if 0 < c.change.ratio < math.inf:
        low, high = _ratio(c.change.ratio_low), _ratio(c.change.ratio_high)
        return f"{_ratio(c.change.ratio)} ({low} to {high})"
    show = _FORMATS[c.number.kind]
    sign = "+" if c.change.difference > 0 else "-"
    ends = sorted((abs(c.change.difference_low), abs(c.change.difference_high)))
    far = show(ends[1]) if ends[1] < math.inf else "∞"
    return f"{sign}{show(abs(c.change.difference))} ({show(ends[0])} to {far})"


def _ratio(value: float) -> str:
    if value == math.inf:
        return "∞"
    if value >= 9.995:
        return units.ratio(value)
    return f"{value:.2f}×" if value >= 0.0995 or not value else f"{value:.2g}×"


def _unknown(found: Comparison) -> Iterator[str]:
    """Each cannot tell, a paragraph for each group."""
    by_group: dict[str, dict[str, tuple[int, list[str]]]] = {}
    for c in found.of(Verdict.CANNOT_TELL):
        stem, dot, part = c.number.id.rpartition(".")
        numbers = by_group.setdefault(c.group, {})
        n, parts = numbers.get(stem if dot else part, (c.n, []))
        numbers[stem if dot else part] = min(n, c.n), [*parts, part] if dot else []
    # Those that have most come first: they are the nearest to an answer.
    ordered = sorted(by_group.items(), key=lambda item: -max(n for n, _ in item[1].values()))
    for group, numbers in ordered[:_UNKNOWN_MOST]:
        named = [f"{' '.join([stem, *parts])} (n={n:,})" for stem, (n, parts) in numbers.items()]
        text = f"cannot tell  {_cut(group)}  {', '.join(named)}"
        yield from textwrap.wrap(text, WIDTH, subsequent_indent=" " * 13)
    if len(ordered) > _UNKNOWN_MOST:
        yield f"cannot tell  {units.counted(len(ordered) - _UNKNOWN_MOST, 'further group')}"


def _rest(found: Comparison) -> Iterator[str]:
    same = found.of(Verdict.SAME)
    if same:
        groups = len({c.group for c in same})
        yield f"same  {units.counted(len(same), 'number')} of {units.counted(groups, 'group')}"
    if not found.comparisons:
        yield "nothing to compare: no group has the same number on both sides"
    for name, titles in (("A", found.only_a), ("B", found.only_b)):
        if titles:
            yield f"only in {name}  {_listed(titles)}"
    if found.comparisons:
        yield (
            f"{units.counted(found.comparisons, 'comparison')}; with a chance of "
            f"{100 * FAMILY:g} % any of them is called worse by mistake (nettop help comparing)"
        )


def _listed(titles: Sequence[str]) -> str:
    more = len(titles) - _NAMED_MOST
    return ", ".join(map(_cut, titles[:_NAMED_MOST])) + (f" and {more} more" if more > 0 else "")


def _failed(f: Failed) -> str:
    expression = clean(f.fail.text)
    if f.holds:
        return f"fail  {expression}: {_listed(f.where)}"
    if f.holds is None:
        where = f": {_listed(f.where)}" if f.where else ""
        return f"cannot tell  {expression}{where} ({clean(f.reason)})"
    return f"pass  {expression}"


# --- JSON ---


def json_text(found: Comparison, outcome: Outcome, options: HowOptions) -> str:
    """One object and a newline; its keys: keys.KEYS."""
    groups: dict[str, list[Compared]] = {}
    for c in found.found:
        groups.setdefault(c.group, []).append(c)
    whole: dict[str, Any] = {
        "schema": SCHEMA,
        "a": _side(found.a),
        "b": _side(found.b),
        "by": options.by,
        **({"filter": options.filter_text} if options.filter_text is not None else {}),
        "comparisons": found.comparisons,
        "family_error": FAMILY,
        "verdicts": {v.value.replace(" ", "_"): len(found.of(v)) for v in Verdict},
        "groups": [
            {"name": clean(title), "numbers": [_number(c) for c in numbers]}
            for title, numbers in groups.items()
        ],
        "only_in_a": [clean(t) for t in found.only_a],
        "only_in_b": [clean(t) for t in found.only_b],
        "fails": [_fail(f) for f in outcome.failed],
        "exit": outcome.exit_code,
    }
    return json.dumps(whole, allow_nan=False) + "\n"


def _side(side: Side) -> dict[str, Any]:
    return {
        "file": side.name,
        "host": side.host,
        "from": utc_text(side.from_ns),
        "to": utc_text(side.to_ns),
        "ticks": side.ticks,
        "seconds": side.seconds,
        "sockets": len(set().union(*(g.sockets for g in side.groups.values()))),
        **({"absent": side.absent} if side.absent else {}),
    }


def _number(c: Compared) -> dict[str, Any]:
    moved = c.change
    return {
        "name": c.number.id,
        "unit": CSV_UNITS.get(c.number.kind, ""),
        **({"verdict": c.verdict.value} if c.verdict is not None else {}),
        "a": _band(c.a),
        "b": _band(c.b),
        **_finite(
            ratio=moved.ratio, ratio_low=moved.ratio_low, ratio_high=moved.ratio_high,
            difference=moved.difference, difference_low=moved.difference_low,
            difference_high=moved.difference_high,
        ),
    }  # fmt: skip


def _band(band: Band) -> dict[str, Any]:
    return {**_finite(value=band.value, low=band.low, high=band.high), "n": band.n}


def _finite(**values: float) -> dict[str, float]:
    """What has no bound is left out."""
    return {k: float(f"{v:.9g}") for k, v in values.items() if math.isfinite(v)}


def _fail(f: Failed) -> dict[str, Any]:
    result = {True: "fail", False: "pass", None: "cannot tell"}[f.holds]
    return {
        "expression": f.fail.text,
        "result": result,
        "groups": [clean(title) for title in f.where],
        **({"reason": f.reason} if f.reason else {}),
    }
