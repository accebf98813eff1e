"""The same benches of another commit beside this one, in turn: ratios, and how far they spread.

  python -m tests.bench.poll --compare REV [--rounds N] [--quick]

The other commit is checked out into a temporary folder and built there into an environment of its
own. Each round runs this tree's bench and then the other's, each with its own code, so that a
neighbour's load falls on both. `here / there` is the median of the rounds' ratios: above 1 it costs
more here. Beside it stands how far the middle half of them lies apart; a row that could not be held
within ±5 % says so, as its ratio is then not to be trusted to that.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.harness import ROOT, STABLE, ratios, spread

ROUNDS = 5

Row = tuple[str, str]  # bench, what
Values = dict[Row, tuple[float, str]]  # and unit


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of both commits."""

    ratio: float  # here / there
    spread: float  # half of what the middle half of the rounds' ratios span, to the ratio
    here: float
    there: float

    @property
    def stable(self) -> bool:
        return self.spread <= STABLE


def compared(here: Sequence[float], there: Sequence[float]) -> Compared | None:
    """Of rounds in which both had a number; None: a ratio says nothing (a 0, or under three)."""
    if min(len(here), len(there)) < 3 or min(*here, *there) <= 0:
        return None
    each = ratios(here, there)
    return Compared(median(each), spread(each) or 0.0, median(here), median(there))


@contextlib.contextmanager
def _checked_out(rev: str) -> Iterator[tuple[Path, str]]:
    """A commit's tree, and the Python of its environment."""
    with tempfile.TemporaryDirectory(prefix="nettop-bench-") as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "-q", "--detach", str(tree), rev], check=True)
        try:
            venv = Path(folder) / "venv"
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            python = str(venv / "bin/python")
            print(f"building {rev} ...", file=sys.stderr, flush=True)
            subprocess.run(
                [python, "-m", "pip", "install", "-q", "-e", f"{tree}[test]"], check=True
            )
            yield tree, python
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _values(tree: Path, python: str, arguments: Sequence[str]) -> Values:
    """One run of a bench.

    Raises:
        RuntimeError: it printed no results.
    """
    variables = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    child = subprocess.Popen(
        [python, "-m", *arguments, "--json"], cwd=tree, env=variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = child.communicate()
    except BaseException:
        child.send_signal(signal.SIGTERM)
        child.communicate()
        raise
    try:
        rows = json.loads(out)["results"]
    except ValueError:
        raise RuntimeError(f"{tree}: {' '.join(arguments)}: {errors.strip()}") from None
    return {(row["bench"], row["what"]): (row["value"], row["unit"]) for row in rows}


def _line(row: Row, unit: str, both: Compared | None, only: str) -> str:
    bench, what = row
    begin = f"{bench:<8}{what:<58}"
    if both is None:
        return f"{begin}{'–':>8}  {only or 'no ratio'}"
    doubt = "" if both.stable else "  not stable to ±5 %"
    return (
        f"{begin}{both.ratio:>8.3f}  ±{both.spread * 100:.1f} %  "
        f"{both.here:.4g} {unit} to {both.there:.4g}{doubt}"
    )


def report(runs: Sequence[tuple[Values, Values]]) -> Iterator[str]:
    """Lines of the table: each row of either commit."""
    yield f"{'':66}{'here / there':>8}"
    names = dict.fromkeys(row for pair in runs for values in pair for row in values)
    doubtful = 0
    for row in names:
        here = [a[row][0] for a, b in runs if row in a and row in b]
        there = [b[row][0] for a, b in runs if row in a and row in b]
        only = "" if here else "only here" if any(row in a for a, _ in runs) else "only there"
        both = compared(here, there)
        unit = next(values[row][1] for pair in runs for values in pair if row in values)
        doubtful += both is not None and not both.stable
        yield _line(row, unit, both, only)
    if doubtful:
        yield f"{doubtful} of {len(names)} rows were not stable to ±5 %: more rounds, or less load"


def main(rev: str, bench: str, rounds: int, options: Sequence[str]) -> None:
    """Prints the table; bench: name of the module that is run."""
    # As an exception, so that the tree and what runs in it go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs: list[tuple[Values, Values]] = []
    with _checked_out(rev) as (tree, python):
        for turn in range(rounds):
            here = _values(ROOT, sys.executable, [bench, *options])
            runs.append((here, _values(tree, python, [bench, *options])))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    for line in report(runs):
        print(line)
