"""Faults of tests/lab/faults on the guest's kernel, and whom nettop accuses."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from pathlib import Path

from nettop.store.recording import Recording
from tests.lab.faults import kept, replayed, runner, table
from tests.lab.faults.__main__ import chosen, known
from tests.lab.faults.judge import scores
from tests.lab.faults.truth import Scenario


def scored() -> list[str]:
    """A line for each view of those that NETTOP_VM_FAULTS names."""
    said: list[str] = []
    for scenario in chosen(known(), os.environ["NETTOP_VM_FAULTS"].split()):
        try:
            said += table.lines(_judged(scenario))
        except Exception as error:  # the others are made all the same
            said.append(f"{scenario.name}: failed: {type(error).__name__} {error}")
    return said


def _judged(scenario: Scenario) -> table.Judged:
    ends = {}
    with tempfile.TemporaryDirectory() as folder:
        truth = runner.record(scenario, Path(folder))
        for end in kept.ENDS:
            with closing(Recording(Path(folder) / f"{scenario.name}.{end}.nettop")) as file:
                ends[end] = replayed.ticks(file.samples())
    return table.Judged(scenario.name, truth, *scores(truth, ends))
