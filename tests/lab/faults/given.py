"""The scenarios of the lab that is given: a script beside the project, which NETTOP_LAB names.

It is imported, not copied; what is of use here are its table, its namespaces and its workers.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.lab.faults.truth import Scenario, Sockets, Timing, Truth, View

BESIDE = Path(__file__).resolve().parents[3] / ".." / "shared" / "diagnosis" / "lab.py"
# Whose sockets are chosen by more than ports and a state.
BY_HAND = {
    ("head_of_line", "200 victims"): Sockets(
        (42004, 42004), "ESTABLISHED", side="local", without=(42104, 42104)
    ),
    ("syn_backlog", "honest client"): Sockets(
        (42030, 42030), "SYN_SENT", side="remote", without=(42500, 42599)
    ),
}


def path() -> Path:
    return Path(os.environ.get("NETTOP_LAB") or BESIDE).resolve()


def scenarios() -> dict[str, Scenario]:
    """By name; none where the script is not there."""
    if not path().exists():
        return {}
    spec = importlib.util.spec_from_file_location("nettop_given_lab", path())
    assert spec is not None
    assert spec.loader is not None
    lab = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = lab  # its dataclasses look themselves up
    spec.loader.exec_module(lab)
    return {name: _scenario(lab, name, given) for name, given in lab.SCENARIOS.items()}


def _scenario(lab: Any, name: str, given: Any) -> Scenario:
    views = tuple(
        View(v.ns, v.label, v.truth, _sockets(name, v), tuple(v.whys), tuple(v.also), v.blank_ok)
        for v in given.views
    )
    timing = Timing(given.warm, given.hold, given.tail, given.before, given.after)
    truth = Truth(given.cause, given.group, "given", views, timing)
    return Scenario(name, truth, given.fn, lambda: lab.Lab(name, "plain", tempfile.gettempdir()))


def _sockets(name: str, view: Any) -> Sockets:
    known = BY_HAND.get((name, view.label))
    if known is not None:
        return known
    asked = inspect.getclosurevars(view.match).nonlocals
    n = asked["n"]
    low, high = n if isinstance(n, tuple) else (n, n)
    return Sockets((low, high), asked["state"], asked["proto"], asked["side"], asked["listener"])
