"""What a rule about causes is, and what it says of a socket."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr

from nettop.causes.scene import Scene
from nettop.model.causes import Candidate, Cause, Evidence, QueueOf
from nettop.model.types import Because, Verdict

_PLAIN_DEVICE = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class Found(NamedTuple):
    """What a rule says of a socket; as in Cause."""

    evidence: tuple[Evidence, ...]
    who: int
    value: float = -1.0
    verdict: Verdict | None = None  # in whose name; None: of those explained the first that holds
    ruled_out: tuple[Evidence, ...] = ()
    next_step: str = ""
    shared: Hashable = None
    party: str = ""


class Rule(Struct, frozen=True):
    """One cause.

    explains: the verdicts that it is the cause of, where it holds.
    needs: what has to be read for it, by the names of sources.
    find: None where it does not hold, or where what it needs is not known.
    imposes: it holds where none of these verdicts does, of sockets with one of these signs.
    only: it holds of sockets with these signs alone.
    stays: where it was found once it is kept for some seconds.
    """

    name: str
    explains: tuple[Verdict, ...]
    because: Because
    needs: tuple[str, ...]
    find: Callable[[Candidate, Scene], Found | None]
    imposes: int = 0  # Scene.signs
    only: int = 0  # the same
    stays: bool = True
    mask: int = 0  # of explains, whatever is given

    def __post_init__(self) -> None:
        force_setattr(self, "mask", sum(1 << v for v in self.explains))

    def cause(self, socket: Candidate, found: Found) -> Cause:
        """What find said of a socket that it was asked of (asked_of)."""
        first = next((v for v in self.explains if socket.holds(v)), self.explains[0])
        queue = isinstance(found.shared, QueueOf)
        shared = found.shared if queue else (self.name, found.shared)
        return Cause(
            rule=self.name,
            cookie=socket.cookie,
            explains=self.mask,
            verdict=first if found.verdict is None else found.verdict,
            who=found.who,
            because=self.because,
            evidence=found.evidence,
            ruled_out=found.ruled_out,
            next_step=found.next_step,
            value=found.value,
            imposes=bool(self.imposes),
            stays=self.stays,
            shared=shared,
            party=found.party,
        )


def in_command(name: str) -> str:
    """A device's name as a command may have it; others may hold what a shell obeys."""
    return name if _PLAIN_DEVICE.fullmatch(name) else "DEVICE"
