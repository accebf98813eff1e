"""CPU of one poll: dump, parse, join, deltas, verdicts, order and a window of 40 rows.

  python -m tests.bench.poll [--quick] [--full] [--json]

`floor` is the bare dump that is read and thrown away (floor.c), the least that any program can
take; `ss -tinH` and `ss -tinpH` are whole processes, by their rusage. All run in turn, in every
round, in one namespace; a ratio is the median of the rounds' ratios. Budgets: 1.4 × floor at 1,000
sockets and 1.15 × at more, 0.27 × ss, with process names 0.2 × `ss -p` at 20 k sockets (0.03 × at
200 k, with --full).

`names, first`: the first map of socket to process is part of it; `names`: as in every later tick.
`stages` splits one poll at each size: what the dump itself, ordering and the window take.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from nettop.engine.handle import Engine, Procs
from nettop.sources import netns
from tests.bench.harness import Result, cpu_ms, floor, load, measured, ratios, run

VISIBLE_ROWS = 40
EXACT_ROWS = 512  # as the live feed orders


class Poll:
    """nettop's engine on the namespace that the caller is in."""

    def __init__(self, procs: Procs | None = None) -> None:
        here = netns.own_inode()
        self.engine = Engine(procs)
        self.procs = procs
        self._fds = [netns.open_fds(here, netns.OWN_PATH) for _ in range(2)]
        self.engine.add_netns(here, self._fds[0].diag_fd, self._fds[1].diag_fd)
        self.engine.configure()

    def sweep(self) -> None:
        self.engine.begin()
        while self.engine.step(64):
            pass
        self.sockets = self.engine.end().tcp

    def order(self) -> None:
        self.engine.order(None, True, EXACT_ROWS, False)

    def window(self) -> None:
        self.rows = self.engine.window(0, VISIBLE_ROWS)

    def tick(self) -> None:
        if self.procs is not None:
            self.procs.scan()
        self.sweep()
        self.order()
        self.window()


def at_size(sockets: int, rounds: int) -> Iterator[Result]:
    with load(sockets) as there:
        poll = Poll()
        poll.tick()
        poll.tick()
        assert poll.sockets >= there, f"{poll.sockets} of {there} sockets seen"
        ours, least, ss = [], [], []
        parts: dict[str, list[float]] = {"sweep": [], "order": [], "window": []}
        for _ in range(rounds):
            least.append(floor().cpu_ms)
            ours.append(cpu_ms(poll.tick, 3))
            ss.append(run(["ss", "-tinH"]).cpu_ms)
            for name, costs in parts.items():
                costs.append(cpu_ms(getattr(poll, name), 3))
    size, limit = f"{sockets:,} sockets", 1.4 if sockets <= 1000 else 1.15
    split = ", ".join(f"{name} {median(costs):.2f}" for name, costs in parts.items())
    cost = f"{median(ours):.2f} ms; floor {median(least):.2f}, ss {median(ss):.1f}"
    yield measured("poll", f"{size}: to the bare dump", ratios(ours, least), "x", limit, cost)
    yield measured("poll", f"{size}: to ss -tinH", ratios(ours, ss), "x", 0.27)
    yield Result("poll", f"{size}: stages", median(ours), "ms", None, split)


def with_names(sockets: int, rounds: int, budget: float) -> Iterator[Result]:
    with load(sockets, processes=300) as there:
        first, steady, ss = [], [], []
        poll = Poll(Procs())
        poll.tick()
        for _ in range(rounds):
            fresh = Poll(Procs())
            first.append(cpu_ms(fresh.tick))
            steady.append(cpu_ms(poll.tick, 3))
            ss.append(run(["ss", "-tinpH"]).cpu_ms)
        assert poll.sockets >= there
        assert any(row.proc.pid for row in poll.rows), "no row has a process"
    size = f"{sockets:,} sockets"
    note = f"{median(steady):.1f} ms; ss {median(ss):.0f}"
    yield measured("poll", f"{size}, names: to ss -tinpH", ratios(steady, ss), "x", budget, note)
    note = f"{median(first):.1f} ms"
    yield measured(
        "poll", f"{size}, names, first: to ss -tinpH", ratios(first, ss), "x", None, note
    )


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    rounds = 5 if quick else 9
    for sockets in (1000, 10_000) if quick else (1000, 10_000, 20_000, 100_000, 200_000):
        yield from at_size(sockets, rounds)
    yield from with_names(20_000, 5, 0.2)
    if full:
        yield from with_names(200_000, 5, 0.03)


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
