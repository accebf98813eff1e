"""Why planes are off where one tick is all: each reason names all that would turn the plane on."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop import refusal
from nettop.model.types import SourceStatus
from nettop.sources import PlaneOptions, path
from nettop.sources.loaded import Planes


def planes(
    monkeypatch: pytest.MonkeyPatch, *, may: bool, **options: object
) -> dict[str, SourceStatus]:
    monkeypatch.setattr(refusal, "may_load", lambda: may)
    monkeypatch.setattr(refusal, "explain", lambda needed: ("needs CAP_BPF", "sudo nettop"))
    made = Planes(PlaneOptions(observes=False, **options))  # type: ignore[arg-type]
    try:
        return {status.name: status for status in made.statuses()}
    finally:
        made.close()


def test_time_alone_turns_some_on(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planes(monkeypatch, may=True)
    time = "one tick alone measures nothing: add -d SECS"
    assert found["wait"].reason == found["events"].reason == time
    assert found["stages"].reason == f"{time} and --tx-sample N"
    assert (found["split"].reason or "").startswith(f"{time}; starts when")
    assert found["path"].reason == path.OFF_REASON
    asked = planes(monkeypatch, may=True, tx_sample=1, path=True)
    assert asked["stages"].reason == asked["path"].reason == time


def test_without_privilege_time_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planes(monkeypatch, may=False)
    for name in ("wait", "split", "stages", "events"):
        assert (found[name].reason or "").endswith("; needs CAP_BPF"), found[name]
        assert found[name].fix == "sudo nettop"


def test_what_planes_may_not_open_is_left_for_the_rest() -> None:
    """Where few descriptors are allowed; afterwards they are free."""
    asked = (
        "import os, resource; from contextlib import suppress\n"
        "from nettop.sources.loaded import SPARE_DESCRIPTORS, _descriptors_left\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))\n"
        "def opened():\n"
        "    found = []\n"
        "    with suppress(OSError):\n"
        "        while True: found.append(os.open('/dev/null', os.O_RDONLY))\n"
        "    return found\n"
        "with _descriptors_left(SPARE_DESCRIPTORS): inside = opened()\n"
        "assert 0 < len(inside) < 48 - SPARE_DESCRIPTORS, inside\n"
        "assert len(opened()) == SPARE_DESCRIPTORS\n"
        "with _descriptors_left(SPARE_DESCRIPTORS): assert opened() == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
