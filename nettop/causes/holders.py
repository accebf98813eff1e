"""Rules about what the holder of a socket stands in, where it reads nothing."""

from __future__ import annotations

from nettop.causes.rule import Found
from nettop.causes.scene import FROZEN, Scene
from nettop.model.causes import Candidate, Evidence
from nettop.model.types import Because, Verdict, Who
from nettop.text.evidence import STATES

_FULL = (Because.FULL, Because.NO_CPU, Because.STOPPED)  # what follows from a full queue
DISK_READS = 2  # of the last five that a process stands in D: one may be chance


def stopped(socket: Candidate, scene: Scene) -> Found | None:
    """Whoever is stopped reads nothing."""
    if not scene.stands_in(socket, "Tt", 1):
        return None
    process = scene.process(socket)
    assert process is not None
    state = next(iter(process.states))
    said = f"each of its {process.threads} threads" if process.threads > 1 else "its thread"
    pid = socket.pid  # of its listener, where it was not accepted
    step = (f"kill -CONT {pid} lets it go on, unless it was stopped on purpose" if state == "T"
            else f"grep TracerPid /proc/{pid}/status: the debugger that holds it")  # fmt: skip
    ruled_out = Evidence("diag", "the CPU (a stopped program asks for none)")
    return Found((Evidence("host", f"{said} {STATES[state]}"),), Who.APP, ruled_out=(ruled_out,),
                 next_step=step, shared=socket.pid, party=_holder(socket))  # fmt: skip


def stopped_and_full(socket: Candidate, scene: Scene) -> Found | None:
    """Its receive queue is full, so that what comes for it is dropped."""
    return stopped(socket, scene) if _is_full(socket) else None


def frozen_and_full(socket: Candidate, scene: Scene) -> Found | None:
    """The same."""
    return frozen(socket, scene) if _is_full(socket) else None


def _is_full(socket: Candidate) -> bool:
    return socket.verdict == Verdict.DROPS and socket.because in _FULL


def frozen(socket: Candidate, scene: Scene) -> Found | None:
    """Its cgroup is frozen, as that of a paused container."""
    if not scene.stands_in(socket, FROZEN, 1):
        return None
    process = scene.process(socket)
    assert process is not None
    said = f"it is frozen with its cgroup {process.frozen}, as a paused container is"
    step = (
        f"cat /proc/{socket.pid}/cgroup: which container or unit it is; docker unpause or "
        "systemctl thaw lets it go on"
    )
    ruled_out = Evidence("diag", "the CPU (a frozen program asks for none)")
    return Found((Evidence("host", said),), Who.APP, ruled_out=(ruled_out,),
                 next_step=step, shared=process.frozen, party=_holder(socket))  # fmt: skip


def disk(socket: Candidate, scene: Scene) -> Found | None:
    """It waits in the kernel, where nothing wakes it but a disk or a device."""
    if not scene.stands_in(socket, "D", DISK_READS):
        return None
    process = scene.process(socket)
    assert process is not None
    said = f"each of its {process.threads} threads" if process.threads > 1 else "its thread"
    step = f"cat /proc/{socket.pid}/stack: what it waits for; iostat -x 1: which disk is busy"
    return Found((Evidence("host", f"{said} {STATES['D']}"),), Who.APP, next_step=step,
                 shared=socket.pid, party=_holder(socket))  # fmt: skip


def _holder(socket: Candidate) -> str:
    """Where the socket itself does not say it."""
    return f"process {socket.pid}" if socket.waits else ""
