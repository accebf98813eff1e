"""Rules about programs that read late or not at all, and what they wait for."""

from __future__ import annotations

from nettop.causes.rule import Found
from nettop.causes.scene import Scene, reads_late
from nettop.model.causes import Candidate, Evidence
from nettop.model.events import endpoint_text
from nettop.model.types import WHO_MAYBE, Because, Who
from nettop.text import units
from nettop.text.holders import holder_did

UNMOVED = 1000.0  # bytes a second: a flow that moves no more
# So many times as much may move in one flow as in that which passes it on, for some seconds; what
# is as near as the second number is the same.
AS_FAST, SAME_RATE = 3.0, 1.3


def not_taken_up(socket: Candidate, scene: Scene) -> Found | None:
    """It waits in a listener's accept queue, whose program could run."""
    if not socket.waits or not socket.pid:
        return None
    process = scene.process(socket)
    if process is not None and process.run_delay_ns is not None:
        waited, ran = process.run_delay_ns, process.cpu_ns or 0
        if waited > ran and waited * 2 >= (process.over_ns or 0):
            return None
    more = f" and {socket.more} more" if socket.more else ""
    said = f"it waits in the accept queue of process {socket.pid}{more}"
    step = (
        f"strace -fe accept4 -p {socket.pid}: how often it accepts; grep State "
        f"/proc/{socket.pid}/status (T stopped, D waits for a disk, R runs)"
    )
    did = holder_did(process) if process is not None else None
    evidence = (Evidence("diag", said), *((did,) if did else ()))
    return Found(evidence, Who.APP, next_step=step, shared=(socket.netns, socket.sport),
                 party=f"process {socket.pid}{more} on port {socket.sport}")  # fmt: skip


def _as_fast(a: Candidate, b: Candidate, times: float = AS_FAST) -> bool:
    """What one receives may be what the other sends, or neither moves."""
    few, many = sorted((a.flow_bytes_per_s, b.flow_bytes_per_s))
    return many <= max(UNMOVED, few * times)


def passes_on(socket: Candidate, scene: Scene) -> Found | None:
    """Its program waits until another peer takes what it passes on: the windows of peers hold as
    many of its sockets back as it reads late, and one of them moves as much as this one. Where
    neither moves, or only about as much, it may be so."""
    if not socket.pid or socket.more:
        return None
    ways = scene.ways(socket)
    if not ways.held_back or not reads_late(socket):
        return None
    held = [s for s in ways.held_back if s.cookie != socket.cookie]
    alike = [s for s in held if _as_fast(s, socket)]
    if not alike or len(ways.read_late) > len(held):
        return None
    onward = min(alike, key=lambda s: abs(s.flow_bytes_per_s - socket.flow_bytes_per_s))
    # Once it was sure, it is as long as nothing speaks against it.
    sure = socket.because == Because.PASSES_ON and socket.who == Who.PEER
    moves = min(onward.flow_bytes_per_s, socket.flow_bytes_per_s) > UNMOVED
    sure = sure or (moves and _as_fast(onward, socket, SAME_RATE))
    peer = endpoint_text(onward.family, onward.dst, onward.dport)
    said = (
        f"the window of {peer} holds the same program back: it sends {_rate(onward)} there, and "
        f"reads {_rate(socket)} here"
    )
    step = (
        f"nettop at {peer}: why its program reads late; strace -fp {{pid}} here: does it wait to "
        "send there (in send(), or for EPOLLOUT) before it reads"
    )
    return Found((Evidence("diag", said, onward.flow_bytes_per_s, "bytes_per_s"),),
                 Who.PEER if sure else Who.PEER | WHO_MAYBE, next_step=step,
                 shared=(onward.netns, onward.dst), party=peer)  # fmt: skip


def _rate(socket: Candidate) -> str:
    return f"{units.rate(socket.flow_bytes_per_s)}B/s"
