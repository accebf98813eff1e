"""Boots by hand: see the package's docstring."""

from __future__ import annotations

import sys
from pathlib import Path

import tests.vm
from tests.vm import behind, table
from tests.vm.guest import scenario
from tests.vm.kernels import SOURCES, kernel

FAULTS_S = 600


def main(words: list[str]) -> int:
    match words:
        case ["list"]:
            print("\n".join(SOURCES))
        case ["run", name, *scenarios] if scenarios:
            report = scenario(kernel(name), scenarios, seconds=300)
            print(report.console)
            print(f"{report.kernel.release}: {report.seconds:.0f} s, {len(report.errors)} failed")
            return bool(report.errors)
        case ["behind" | "beside" as how, folder, *names]:
            behind.boot(Path(folder), names, idle=how == "behind")
        case ["faults", name, *faults]:
            asked = {"NETTOP_VM_FAULTS": " ".join(faults or ["netem"])}
            report = scenario(kernel(name), ["faults"], seconds=FAULTS_S, environ=asked)
            print("\n".join(report.facts.get("faults.scored", [report.console])))
            print(f"{report.kernel.release}: {report.seconds:.0f} s")
            return bool(report.errors)
        case ["table"]:
            table.write()
        case _:
            print(tests.vm.__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
