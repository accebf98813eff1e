"""How often diff is right: windows of one load, and of one whose reader is 30 % slower.

python -m tests.bench.sameness [BASE.nettop SLOW.nettop]

BASE and SLOW are recordings of tests.bench.service with 1.0 and 1.3; without them both are made
first, side by side, which takes some 6 minutes and a tenth of a core each (root).

Two windows of BASE that share no tick must be the same, better or not to be judged; one of BASE
against one of SLOW must be worse. Beside it a rule of a fixed percentage on the same numbers.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections import Counter

from nettop.commands.diff import side_of
from nettop.compare.options import DiffOptions
from nettop.compare.tally import Side
from nettop.compare.verdict import Comparison, Verdict, compare
from nettop.store.recording import Recording
from nettop.stretches import stretch_of

RECORDED_S = 380
STEP_S = 10
FIXED = 1.1


def recorded(folder: str) -> list[str]:
    """BASE and SLOW, made now."""
    services, recorders, paths = [], [], []
    try:
        for name, median_ms in (("base", "1.0"), ("slow", "1.3")):
            load = [sys.executable, "-m", "tests.bench.service", median_ms, str(RECORDED_S + 20)]
            service = subprocess.Popen(load, stdout=subprocess.PIPE)
            services.append(service)
            assert service.stdout is not None
            service.stdout.readline()  # it is up
            paths.append(f"{folder}/{name}.nettop")
            record = [sys.executable, "-m", "nettop", "record", "-o", paths[-1]]
            record += ["--for", f"{RECORDED_S}s", "-N", str(service.pid)]
            recorders.append(subprocess.Popen(record))
        for recorder in recorders:
            recorder.wait(RECORDED_S + 60)
    finally:
        for program in (*recorders, *services):
            program.terminate()
            program.wait()
    return paths


def windows(path: str, seconds: float) -> list[tuple[float, Side]]:
    """Stretches that begin STEP_S apart, and when each begins before the end."""
    recording = Recording(path)
    frames = recording.frames()
    recording.close()
    long_s = (frames[-1].wall_ns - frames[0].wall_ns) / 1e9
    out = []
    start = seconds
    while start < long_s - 5:
        stretch = stretch_of(f"{path}@-{start:.1f}s..-{start - seconds + 0.5:.1f}s")
        out.append((start, side_of(stretch, DiffOptions(a=stretch, b=stretch))))
        start += STEP_S
    return out


def said(found: Comparison) -> str:
    """What a pair is called: by its loudest number."""
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        if found.of(verdict):
            return str(verdict.value)
    return "same or cannot tell"


def fixed(found: Comparison) -> str:
    """What a rule of a fixed percentage says."""
    return "worse" if any(c.verdict and c.change.ratio > FIXED for c in found.found) else "same"


def main(base: str, slow: str, seconds: float = 60, pairs: int = 100) -> None:
    chance = random.Random(1)
    ours, theirs = windows(base, seconds), windows(slow, seconds)
    print(f"windows of {seconds:g} s: {len(ours)} of the load, {len(theirs)} of the slower one")
    apart = [(a, b) for i, a in ours for j, b in ours if abs(i - j) >= seconds]
    across = [(a, b) for i, a in ours for j, b in theirs]
    for title, some in (("same load", apart), ("30 % slower", across)):
        by_diff: Counter[str] = Counter()
        by_rule: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for a, b in chance.sample(some, min(pairs, len(some))):
            found = compare(a, b)
            by_diff[said(found)] += 1
            by_rule[fixed(found)] += 1
            numbers.update(f"{c.group} {c.number.id}" for c in found.of(Verdict.WORSE))
        print(f"{title:12} diff: {dict(by_diff)}   fixed {FIXED:g}x: {dict(by_rule)}")
        for name, n in numbers.most_common(8):
            print(f"{'':12}   worse {n:4}  {name}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        base, slow = sys.argv[1:3] if len(sys.argv) > 2 else recorded(folder)
        main(base, slow)
