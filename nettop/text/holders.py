"""What the process did that holds a socket, in words."""

from __future__ import annotations

from nettop.model.causes import Evidence
from nettop.model.evidence import Process
from nettop.model.types import Model, Row, Split
from nettop.text import units
from nettop.text.evidence import STATES

_STANDS_STILL = frozenset("TtDZ")  # states of threads that read nothing


def state_of_all(process: Process) -> str:
    """The letter of the state that every thread is in; "" where they differ."""
    if process.read != process.threads or len(process.states) != 1:
        return ""
    return next(iter(process.states))


def holder_evidence(row: Row, model: Model) -> Evidence | None:
    """What the threads of the process did that holds the socket; None: they were not read."""
    process = process_of(row, model)
    return holder_did(process) if process is not None else None


def process_of(row: Row, model: Model) -> Process | None:
    """The process that holds the socket, as it was read in this tick."""
    return model.evidence.now.processes.get(row.proc.pid) if model is not None else None


def is_said(process: Process, split: Split) -> bool:
    """What it did adds nothing to what the waits for its only thread were spent on: it slept."""
    still = not process.cpu_ns and not process.run_delay_ns
    return process.threads == 1 and still and split.asleep_ns * 2 > split.waiting_ns


def holder_did(process: Process) -> Evidence | None:
    """The same of a process."""
    if not process.read:
        return None
    one = process.threads == 1
    state = state_of_all(process)
    if state in _STANDS_STILL:
        each = "its thread" if one else f"each of its {process.threads} threads"
        return Evidence("host", f"{each} {STATES[state]}")
    if process.run_delay_ns is None or process.over_ns is None:
        return None
    return Evidence("host", _ran_and_waited(process), process.run_delay_ns, "ns")


def _ran_and_waited(process: Process) -> str:
    span, ran = units.time(process.over_ns), units.time(process.cpu_ns)
    waited = units.time(process.run_delay_ns)
    if process.threads == 1:
        threads = "its thread"
    elif process.read == process.threads:
        threads = f"its {process.threads} threads"
    else:
        threads = f"{process.read} of its {process.threads} threads"
    if process.cpu_ns == 0 and process.run_delay_ns == 0:
        return f"in {span} {threads} neither ran nor waited for a CPU"
    together = "" if process.threads == 1 else " together"
    longest_ns = process.longest_run_delay_ns or 0
    # The kernel counts a wait when it is over: what is longer began before.
    if longest_ns + (process.longest_cpu_ns or 0) > (process.over_ns or 0):
        each = "waits for a CPU" if process.threads == 1 else "all their waits for a CPU"
        return f"in {span} {threads} ran {ran}{together}; {each} that ended in it took {waited}"
    said = f"in {span} {threads} ran {ran} and waited {waited} for a CPU{together}"
    if process.threads > 1 and longest_ns:
        said += f", the one that waited longest {units.time(longest_ns)}"
    return said
