"""Known faults, recorded and scored.

  python -m tests.lab.faults list [NAME|GROUP …]      what there is
  python -m tests.lab.faults run [NAME|GROUP …]       make the faults, keep nothing, print the score
  python -m tests.lab.faults record [NAME|GROUP …]    the same, kept as test data
  python -m tests.lab.faults score [NAME|GROUP …]     replay what is kept; needs no privilege
  python -m tests.lab.faults unpack NAME END FILE     one end (A, B) as a recording, for nettop open

run and record need root, iproute2, iptables, ethtool, and some 25 s a scenario; -m tx measures
every send. DX_PREFIX begins the namespaces' names, NETTOP names another nettop, NETTOP_LAB the
script of the scenarios that are given.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.lab.faults import added, given, kept, runner, table
from tests.lab.faults import truth as truths
from tests.lab.faults.truth import Scenario


def known() -> dict[str, Scenario]:
    """All that can be made here, by name."""
    return given.scenarios() | added.scenarios()


def chosen(all_of: dict[str, Scenario], names: Iterable[str]) -> list[Scenario]:
    wanted = set(names)
    found = [
        s for s in all_of.values()
        if not wanted or {s.name, s.truth.group, s.truth.origin} & wanted
    ]  # fmt: skip
    words = {w for s in all_of.values() for w in (s.name, s.truth.group, s.truth.origin)}
    if missing := wanted - words:
        raise SystemExit(f"no such scenario or group: {', '.join(sorted(missing))}")
    return found


def show_list(scenarios: Iterable[Scenario]) -> None:
    for s in scenarios:
        print(f"{s.truth.group:8} {s.name:24} {s.truth.cause}")
        for view in s.truth.views:
            parties = "/".join((view.truth, *view.also))
            may = " (or nothing)" if view.blank_ok else ""
            print(f"{'':33} {truths.name_of(view)}: {parties} {' '.join(view.whys)}{may}")


def run(scenarios: Iterable[Scenario], *, keep: bool, mode: str, folder: Path) -> None:
    done = []
    for scenario in scenarios:
        # Pure Python's faults are reported, and the next scenario runs: a night's run goes on.
        try:
            runner.record(scenario, folder, mode)
            target = kept.HERE if keep else folder
            size = runner.keep(scenario.name, folder, target)
            truth = truths.read(kept.truth_of(scenario.name, target))
            judged = table.Judged(
                scenario.name, truth, *runner.judged(scenario.name, truth, target)
            )
        except Exception as error:
            print(f"{scenario.name}: failed: {type(error).__name__} {error}", flush=True)
            continue
        done.append(judged)
        print(f"{time.strftime('%H:%M:%S')} load {truth.load:.1f}, {size} bytes")
        print("\n".join(table.lines(judged)), flush=True)
    print("\n".join(table.summary(done)))


def score(names: Iterable[str]) -> None:
    wanted = set(names)
    done = []
    begun = time.monotonic()
    for name in kept.names():
        truth = truths.read(kept.truth_of(name))
        if wanted and not {name, truth.group, truth.origin} & wanted:
            continue
        done.append(table.Judged(name, truth, *runner.judged(name, truth)))
        print("\n".join(table.lines(done[-1])))
    print("\n".join([*table.summary(done), *table.differences(done, kept.wrong())]))
    print(f"{time.monotonic() - begun:.1f} s")


def main() -> None:
    about = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    about.add_argument("what", choices=["list", "run", "record", "score", "unpack"])
    about.add_argument("-m", "--mode", default="plain", choices=["plain", "tx"])
    about.add_argument("-o", "--out", type=Path, help="where run and record leave what they made")
    about.add_argument("names", nargs="*")
    asked = about.parse_intermixed_args()
    if asked.what == "score":
        score(asked.names)
        return
    if asked.what == "unpack":
        name, end, target = asked.names
        print(f"{kept.unpack(kept.path_of(name, end), Path(target))} ticks")
        return
    scenarios = chosen(known(), asked.names)
    if asked.what == "list":
        show_list(scenarios)
        return
    if os.geteuid():
        raise SystemExit("making a network namespace needs root")
    with tempfile.TemporaryDirectory() as made:
        run(
            scenarios, keep=asked.what == "record", mode=asked.mode,
            folder=asked.out or Path(made),
        )  # fmt: skip


if __name__ == "__main__":
    main()
