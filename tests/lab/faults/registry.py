"""How a scenario of the project is entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.lab.faults.bed import Bed
from tests.lab.faults.truth import Scenario, Sockets, Timing, Truth, View

SCENARIOS: dict[str, Scenario] = {}
Steps = Iterator[None]


def scenario(
    group: str, cause: str, *views: View, **timing: float
) -> Callable[[Callable[[Bed], Steps]], Callable[[Bed], Steps]]:
    """The function builds the healthy state and yields; called again it makes the fault, then
    cures it. F[0] changes before it is called."""

    def enter(fn: Callable[[Bed], Steps]) -> Callable[[Bed], Steps]:
        truth = Truth(cause, group, "added", views, Timing(**timing))
        SCENARIOS[fn.__name__] = Scenario(fn.__name__, truth, fn, Bed)
        return fn

    return enter


def server(port: int, truth: str, label: str, *whys: str, also: tuple[str, ...] = (),
           blank_ok: bool = False, end: str = "B", state: str = "ESTABLISHED") -> View:  # fmt: skip
    """The end that has the port."""
    return View(end, label, truth, Sockets((port, port), state, side="local"), whys, also, blank_ok)


def client(port: int, truth: str, label: str, *whys: str, also: tuple[str, ...] = (),
           blank_ok: bool = False, end: str = "A", state: str = "ESTABLISHED") -> View:  # fmt: skip
    """The end that called it."""
    return View(
        end, label, truth, Sockets((port, port), state, side="remote"), whys, also, blank_ok
    )


def healthy(port: int) -> tuple[View, View]:
    """Both ends, of which nothing is to be said."""
    return client(port, "none", "client"), server(port, "none", "server")
