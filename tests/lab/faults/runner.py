"""Runs a scenario with nettop record at each end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nettop.errors import NettopError
from nettop.store.recording import Recording
from tests.lab.faults import kept, replayed
from tests.lab.faults import truth as truths
from tests.lab.faults.judge import Bystanders, Score, scores
from tests.lab.faults.truth import Scenario, Truth

NETTOP = os.environ.get("NETTOP") or str(Path(sys.executable).parent / "nettop")
PREFIX = os.environ.setdefault("DX_PREFIX", "dx")  # of the namespaces' names
READY_S = 120  # until nettop has written its first tick, at most; 2 s unless emulated
END_S = 10


@contextlib.contextmanager
def recorders(name: str, folder: Path, mode: str) -> Iterator[None]:
    """nettop record in both namespaces, from the first tick of each until the block ends."""
    started = []
    targets = [folder / f"{name}.{end}.nettop" for end in kept.ENDS]
    try:
        for end, target in zip(kept.ENDS, targets, strict=True):
            target.unlink(missing_ok=True)
            argv = [
                "nsenter", f"--net=/run/netns/{PREFIX}{end}",
                NETTOP, "record", "-a", "-d", "1", "-o", str(target),
                *(("--tx-sample", "1") if mode == "tx" else ()),
            ]  # fmt: skip
            started.append(subprocess.Popen(argv, stderr=subprocess.PIPE))
        last = time.monotonic() + READY_S
        while not all(map(_holds_a_tick, targets)) and time.monotonic() < last:
            time.sleep(0.5)
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                _, said = process.communicate(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                _, said = process.communicate()
            if process.returncode not in (0, -15, 143):
                print(f"  nettop: {said.decode(errors='replace').strip()}", file=sys.stderr)


def _holds_a_tick(target: Path) -> bool:
    with contextlib.suppress(NettopError), contextlib.closing(Recording(target)) as file:
        return next(iter(file.samples()), None) is not None
    return False


def record(scenario: Scenario, folder: Path, mode: str = "plain") -> Truth:
    """Makes the fault; leaves NAME.A.nettop, NAME.B.nettop and NAME.json in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    timing = scenario.truth.timing
    bed = scenario.bed()
    try:
        bed.setup()
        steps = scenario.fn(bed)
        next(steps)
        time.sleep(0.3)
        with recorders(scenario.name, folder, mode):
            time.sleep(timing.warm)
            on_s = time.time()
            bed.F[0] = 1
            next(steps, None)
            time.sleep(timing.hold)
            load = os.getloadavg()[0]
            off_s = time.time()
            bed.F[0] = 0
            next(steps, None)
            time.sleep(timing.tail)
            next(steps, None)
    finally:
        bed.close()
    truth = replace(
        scenario.truth, on_s=on_s, off_s=off_s, load=round(load, 2), kernel=os.uname().release
    )
    truths.write(kept.truth_of(scenario.name, folder), truth)
    return truth


def keep(name: str, source: Path, target: Path = kept.HERE) -> int:
    """Packs what record left as test data; returns the bytes."""
    truth = truths.read(kept.truth_of(name, source))
    until = truth.off_s + truth.timing.after
    target.mkdir(parents=True, exist_ok=True)
    size = sum(
        kept.pack(source / f"{name}.{end}.nettop", kept.path_of(name, end, target), until)
        for end in kept.ENDS
    )
    last = kept.truth_of(name, target)
    first = truths.read(last).first if last.exists() else {}
    if not first and truth.origin == "added":
        views, _ = judged(name, truth, target)
        first = {truths.name_of(s.view): s.outcome for s in views}
    truth = replace(truth, first=first)
    truths.write(last, truth)
    return size


def judged(name: str, truth: Truth, folder: Path = kept.HERE) -> tuple[list[Score], Bystanders]:
    """The score of what is kept."""
    ends = {end: replayed.ticks(kept.samples(kept.path_of(name, end, folder))) for end in kept.ENDS}
    return scores(truth, ends)
