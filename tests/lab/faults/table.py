"""The score as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.lab.faults.judge import Bystanders, Score
from tests.lab.faults.truth import Truth, name_of

BESIDE = "beside"  # in wrong.toml: the connections that no fault touches
PARTIES = ("app", "cpu", "kern", "nic", "net", "peer", "none")


class Judged(NamedTuple):
    name: str
    truth: Truth
    scores: Sequence[Score]
    beside: Bystanders


def lines(judged: Judged) -> list[str]:
    """A line for each view."""
    out = []
    for s in judged.scores:
        said = ", ".join(
            f"{answer or '-'} {n}" for answer, n in sorted(s.said.items(), key=lambda i: -i[1])[:3]
        )
        truth = "/".join((s.view.truth, *s.view.also))
        out.append(
            f"{judged.name:24} {name_of(s.view):24.24} {truth:10.10} {s.outcome:6} "
            f"{_seconds(s.first_s):>5} {_seconds(s.right_s):>5}  {said}"
            + (f"; WHO changed {s.changes}×" if s.changes > 1 else "")
            + (f"; before {dict(s.early)}" if s.early else "")
        )
    if judged.beside.accused:
        out.append(f"{'':24} beside: {dict(judged.beside.accused)}")
    return out


def differences(all_judged: Sequence[Judged], wrong: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What is to be changed in wrong.toml."""
    out = []
    for j in all_judged:
        known = wrong.get(j.name, {}).keys()
        is_wrong = {name_of(s.view) for s in j.scores if not s.good}
        is_wrong |= {BESIDE} if j.beside.accused else set()
        out += [f"wrong.toml: take out [{j.name}] {view}" for view in sorted(known - is_wrong)]
        out += [f"wrong.toml: not in it: [{j.name}] {view}" for view in sorted(is_wrong - known)]
    return out


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def summary(all_judged: Sequence[Judged]) -> list[str]:
    """The matrix, times and accusations of the healthy."""
    views = [s for j in all_judged for s in j.scores if s.ticks]
    counts: Counter[tuple[str, str]] = Counter()
    for s in views:
        said = s.answer.partition(":")[0] or "none"
        truth = said if said in s.view.also else s.view.truth
        if not s.answer and s.view.blank_ok:
            truth = "none"
        counts[truth, said] += 1
    out = [f"{len(all_judged)} scenarios, {len(views)} views; rows: truth, columns: nettop"]
    out.append(" " * 8 + "".join(f"{p:>6}" for p in PARTIES) + "   right")
    for truth in PARTIES:
        row = [counts[truth, said] for said in PARTIES]
        if sum(row):
            right = f"{counts[truth, truth]} of {sum(row)}"
            out.append(f"{truth:8}" + "".join(f"{n:6}" for n in row) + f"   {right}")
    good = sum(s.good for s in views)
    out.append(
        f"right {good} of {len(views)} ({good / max(1, len(views)):.1%}): "
        + ", ".join(f"{k} {n}" for k, n in Counter(s.outcome for s in views).most_common())
    )
    times = sorted(
        s.right_s for s in views if s.outcome == "right" and s.right_s and s.right_s < 30
    )
    if times:
        out.append(
            f"onset to the right verdict: median {times[len(times) // 2]:.1f} s, 90 % "
            f"{times[int(len(times) * 0.9)]:.1f} s, longest {times[-1]:.1f} s"
        )
    healthy = [s for j in all_judged if j.truth.group == "healthy" for s in j.scores if s.ticks]
    out.append(
        f"healthy views {len(healthy)}, accused {sum(s.outcome == 'false' for s in healthy)}"
    )
    ticks = sum(j.beside.ticks for j in all_judged)
    accused = sum(sum(j.beside.accused.values()) for j in all_judged)
    out.append(
        f"connections beside: {accused} of {ticks} socket-ticks accused; "
        f"WHO changed more than once in {sum(s.changes > 1 for s in views)} views"
    )
    return out
