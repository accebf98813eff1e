"""What a comparison comes to: whether each --fail holds, and the exit code: pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from nettop.compare.expression import Fail, Known, comparisons, holds, looks
from nettop.compare.tally import Key
from nettop.compare.verdict import FAMILY, Comparison, Verdict, one
from nettop.errors import EXIT_OK

EXIT_FAILED = 1
EXIT_CANNOT_TELL = 3


class Failed(Struct, frozen=True):
    """A --fail: holds in some group beyond its error, in none, or (None) that is not known."""

    fail: Fail
    holds: bool | None
    where: tuple[str, ...]  # groups in which it holds, or looks as if
    reason: str = ""  # why that is not known


class Outcome(Struct, frozen=True):
    """All of them, and what the program exits with."""

    failed: tuple[Failed, ...]
    exit_code: int


def outcome_of(found: Comparison, fails: Sequence[Fail]) -> Outcome:
    """With --fail these alone decide; without, any `worse` does."""
    if fails:
        failed = _judged(found, fails)
        if any(f.holds for f in failed):
            return Outcome(failed, EXIT_FAILED)
        unknown = any(f.holds is None for f in failed)
        return Outcome(failed, EXIT_CANNOT_TELL if unknown else EXIT_OK)
    if found.of(Verdict.WORSE):
        return Outcome((), EXIT_FAILED)
    decided = found.of(Verdict.SAME) or found.of(Verdict.BETTER)
    return Outcome((), EXIT_OK if decided else EXIT_CANNOT_TELL)


def _judged(found: Comparison, fails: Sequence[Fail]) -> tuple[Failed, ...]:
    both = [key for key in found.a.groups if key in found.b.groups]
    asked = sum(len(comparisons(fail.node)) for fail in fails)
    alpha = FAMILY / max(1, asked * len(both))
    return tuple(_one(found, fail, both, alpha) for fail in fails)


def _one(found: Comparison, fail: Fail, both: Sequence[Key], alpha: float) -> Failed:
    true, seeming, false = [], [], 0
    for key in both:
        a, b = found.a.groups[key], found.b.groups[key]
        known: Known = {}
        for number in fail.numbers:
            compared = one(a, b, number, alpha, found.same_sockets)
            if compared is not None:
                known[number.id] = compared.a, compared.b, compared.change
        if not known:
            continue
        verdict = holds(fail.node, known)
        if verdict:
            true.append(b.title)
        elif verdict is None and looks(fail.node, known):
            seeming.append(b.title)
        false += verdict is False
    if true:
        return Failed(fail, True, tuple(true))
    if seeming:
        return Failed(fail, None, tuple(seeming), "it looks so, within the error")
    if not false:
        return Failed(fail, None, (), _missing(found, fail))
    return Failed(fail, False, ())


def _missing(found: Comparison, fail: Fail) -> str:
    """Why no group decides an expression."""
    for name, side in (("A", found.a), ("B", found.b)):
        if "all" in side.absent:
            return f"{name}: {side.absent['all']}"
        for number in fail.numbers:
            reason = side.absent.get(number.plane)
            if reason is not None:
                return f"{name} has no {number.id}: {reason}"
    return "too little was counted"
