"""The guests of the tests: which kernel, what runs there, and whether it times anything."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.vm import expected
from tests.vm.expected import BPF_PLANES, FENTRY, KERNELS, STAMPS, Expected
from tests.vm.guest import GuestReport, scenario
from tests.vm.kernels import kernel
from tests.vm.modules import built

SCENARIO_S = 600  # some 100 s on two idle cores
GUEST_S = 1500  # with those before it, what is fetched, and a second boot
# The series that this machine runs has tests/integration.
OTHERS = [
    name
    for name, e in KERNELS.items()
    if not e.only_sends and not e.when_named and not platform.release().startswith(f"{name}.")
]
WANTED = os.environ.get("NETTOP_VM_KERNELS", ",".join(OTHERS)).split(",")

# Two ports of each driver's card on one wire; igb wants a root port of its own.
NICS = (
    "-netdev", "hubport,id=h0,hubid=0", "-netdev", "hubport,id=h1,hubid=0",
    "-device", "pcie-root-port,id=rp0,chassis=1", "-device", "pcie-root-port,id=rp1,chassis=2",
    "-device", "igb,bus=rp0,netdev=h0,mac=52:54:00:00:00:01,romfile=",
    "-device", "igb,bus=rp1,netdev=h1,mac=52:54:00:00:00:02,romfile=",
    "-netdev", "hubport,id=h2,hubid=1",
    "-device", "e1000e,netdev=h2,mac=52:54:00:00:00:03,romfile=",
    "-netdev", "hubport,id=h3,hubid=2",
    "-device", "virtio-net-pci,netdev=h3,mac=52:54:00:00:00:04,romfile=",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Boot:
    """A guest: the name of a kernel, or of the fixture that asks for it."""

    name: str
    run: Callable[[], GuestReport]
    timed: bool  # its answers are of moments: it has a core to itself


def chosen_for(e: Expected) -> dict[str, str]:
    """Files of tests/integration, and which of their tests."""
    out = dict(expected.DIAG)
    stamps = e.stages == STAMPS
    if e.brief:
        out |= expected.BRIEF | (expected.BRIEF_STAGES if stamps else expected.BRIEF_SEGMENTS)
        if e.wait == FENTRY:  # what datagrams move is not counted by it
            out |= expected.BRIEF_FUNCTIONS
            del out["test_udp_moved.py"]
        return out
    if e.wait is not None:
        out |= expected.WAITS
    if e.stages is not None:
        out |= expected.STAGES if stamps else expected.SEGMENTS_ALONE
        out |= expected.SEGMENTS
    if e.events is not None:
        resets = "events" not in e.reasons
        out |= expected.EVENTS if resets else expected.EVENTS_WITHOUT_RESETS
    return out


def _kernel(name: str) -> GuestReport:
    e = KERNELS[name]
    names = ["planes"]
    if not e.only_sends:
        names += ["suites"]
    if e.brief:
        names += ["netem.delay", "netem.loss", "path.late_readers"]
    elif not e.only_sends:
        names += ["privilege"]
        names += ["netem", "path", "recordings"] if e.wait is not None else []
    if e.stages == STAMPS:
        names += ["sends"]
    environ = {
        "NETTOP_VM_TESTS": json.dumps(chosen_for(e)),
        "NETTOP_VM_METHODS": json.dumps({plane: getattr(e, plane) for plane in BPF_PLANES}),
    }
    seconds = SCENARIO_S * (2 if e.when_named else 1)  # another processor's instructions
    return scenario(kernel(name), names, seconds=seconds, environ=environ)


def _with_clocks(name: str, *scenarios: str) -> GuestReport:
    linux = kernel(name)
    environ = {"NETTOP_VM_TSNIC": str(built(linux, "tsnic"))}
    return scenario(linux, list(scenarios), seconds=SCENARIO_S, environ=environ)


def _with_cards() -> GuestReport:
    return scenario(kernel("6.12"), ["nics"], seconds=SCENARIO_S, devices=NICS)


# Of the clocks and cards the error of each reading is known, or most of many count.
BOOTS = [
    *(Boot(name, partial(_kernel, name), KERNELS[name].wait is not None) for name in WANTED),
    Boot("tsnic", partial(_with_clocks, "6.12", "tsnic.clocks", "tsnic.probes"), timed=False),
    Boot("nics", _with_cards, timed=False),
    Boot("sending", partial(_with_clocks, "newest", "tsnic.sends"), timed=False),
]


def named(name: str) -> Boot:
    return next(boot for boot in BOOTS if boot.name == name)
