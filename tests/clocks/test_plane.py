"""The status of the clocks plane follows what can be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nettop.model.types import SourceStatus
from nettop.sources import clocks
from tests.clocks.fake import DEVICE, Fake

LOOK = """
import json, pathlib, sys
from msgspec.structs import asdict
import nettop.clocks.phc
from nettop.sources import clocks
nettop.clocks.phc.CLASS = pathlib.Path(sys.argv[1])
clocks.CLASS = sys.argv[1]
print(json.dumps(asdict(clocks.look())))
"""


def look(fake: Fake, folder: Path, *names: str) -> Any:
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    done = fake.python("-c", LOOK, str(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ptp"
    made.mkdir()
    return made


def test_none(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(clocks, "CLASS", str(folder))
    assert clocks.look() == SourceStatus("clocks", "off", reason="no NIC here has a hardware clock")


def test_one_that_can_be_read(fake: Fake, folder: Path) -> None:
    status = look(fake, folder, "ptp7")
    assert (status["state"], status["method"], status["reason"]) == ("ok", "extended", None)


def test_one_of_two(fake: Fake, folder: Path) -> None:
    status = look(fake, folder, "ptp7", "ptp9")
    assert (status["state"], status["method"]) == ("partial", "extended")
    assert "/dev/ptp9 is not there" in status["reason"]


def test_one_that_may_not_be_read(fake: Fake, folder: Path) -> None:
    fake.set(refuse_open=13)
    status = look(fake, folder, "ptp7")
    assert (status["state"], status["method"]) == ("off", None)
    assert status["reason"].startswith(f"no permission to read {DEVICE}: ")
    as_root = f"give it the device {DEVICE}"
    assert status["fix"] == (f"sudo nettop clocks {DEVICE}" if os.geteuid() else as_root)


def test_without_sysfs_the_interfaces_are_asked(fake: Fake, tmp_path: Path) -> None:
    done = fake.python("-c", LOOK, str(tmp_path / "nowhere"))
    assert json.loads(done.stdout)["state"] == "ok"


def test_it_is_looked_up_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def look() -> SourceStatus:
        looks.append(1)
        return SourceStatus("clocks", "off", reason="x")

    monkeypatch.setattr(clocks, "look", look)
    plane = clocks.ClocksPlane()
    assert looks == [], "not at start"
    for _ in range(5):
        plane.status()
    assert len(looks) == 1
