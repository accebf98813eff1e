"""What nettop said of a view while the fault was on, and whether that is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.faults.truth import Seen, Tick, Truth, View

BYSTANDERS = 42900  # port of connections that no scenario touches
SHARE = 0.25  # of the judged ticks in which something must be said, to count as said
SETTLED_S = 5.0  # from then on WHO should not change
GOOD = ("right", "party", "blank")


@dataclass(frozen=True)
class Score:
    """Of one view."""

    view: View
    ticks: int  # that were judged
    answer: str  # WHO:verdict, empty: nothing was said
    said: Mapping[str, int]  # answer → ticks
    first_s: float | None  # from the onset until anybody was accused
    right_s: float | None  # until the right party was, for the right reason
    changes: int  # of WHO, once it should stand
    lingers_s: float | None  # from the cure to the last accusation
    covered: float = 0.0  # share of its sockets that were accused, mean over ticks
    early: Mapping[str, int] = field(default_factory=dict)  # accusations before the onset

    @property
    def outcome(self) -> str:
        """right, party (right WHO, other verdict), wrong, false (healthy, accused), miss, blank,
        gone (no such socket was there)."""
        if not self.ticks:
            return "gone"
        if self.view.truth == "none":
            return "false" if self.answer else "blank"
        if not self.answer:
            return "blank" if self.view.blank_ok else "miss"
        who, _, verdict = self.answer.partition(":")
        if who not in (self.view.truth, *self.view.also):
            return "wrong"
        return "right" if not self.view.whys or verdict in self.view.whys else "party"

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


def accusation(s: Seen) -> tuple[str, str] | None:
    """Whom nettop accuses, and of what; None: no one, or not for certain."""
    if not s.who or s.who.endswith("?") or not s.verdict:
        return None
    if s.verdict == "cwnd" and s.level == "ok":
        return None
    return s.who, s.verdict


def score(view: View, ticks: Iterable[Tick], truth: Truth) -> Score:
    said: Counter[str] = Counter()
    early: Counter[str] = Counter()
    first = right = lingers = None
    judged, changes, last_who = 0, 0, ""
    covered = 0.0
    for tick in ticks:
        since = tick.at_s - truth.on_s
        sockets = [s for s in tick.sockets if view.sockets.match(s)]
        accused = [a for s in sockets if (a := accusation(s)) is not None]
        if since < 0:
            early.update(":".join(a) for a in accused)
            continue
        if not sockets:
            continue
        top = Counter(accused).most_common(1)
        who, verdict = top[0][0] if top else ("", "")
        if tick.at_s > truth.off_s + truth.timing.after:
            if who:
                lingers = tick.at_s - truth.off_s
            continue
        if who:
            first = since if first is None else first
            fits = who in (view.truth, *view.also) and (not view.whys or verdict in view.whys)
            right = since if right is None and fits else right
            if since >= SETTLED_S and last_who and who != last_who:
                changes += 1
            last_who = who
        if since < truth.timing.before:
            continue
        judged += 1
        said[f"{who}:{verdict}" if who else ""] += 1
        covered += len(accused) / len(sockets)
    loud = {answer: n for answer, n in said.items() if answer}
    answer = ""
    if judged and sum(loud.values()) / judged >= SHARE:
        answer = max(loud, key=lambda key: loud[key])
    return Score(
        view, judged, answer, dict(said), first, right, changes, lingers,
        covered / judged if judged else 0.0, dict(early),
    )  # fmt: skip


@dataclass
class Bystanders:
    """Healthy connections beside every fault."""

    ticks: int = 0  # of a socket
    accused: Counter[str] = field(default_factory=Counter)

    def take(self, end: str, ticks: Iterable[Tick]) -> None:
        for tick in ticks:
            for s in tick.sockets:
                if BYSTANDERS not in (s.local, s.remote):
                    continue
                self.ticks += 1
                if (a := accusation(s)) is not None:
                    self.accused[f"{end} {a[0]}:{a[1]}"] += 1


def scores(truth: Truth, ends: Mapping[str, Sequence[Tick]]) -> tuple[list[Score], Bystanders]:
    """Of every view, and of those beside."""
    beside = Bystanders()
    for end, ticks in ends.items():
        beside.take(end, ticks)
    return [score(view, ends[view.end], truth) for view in truth.views], beside
