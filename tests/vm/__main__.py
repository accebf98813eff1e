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
            told = scenario(kernel(name), scenarios, seconds=300)
            print(told.console)
            print(f"{told.kernel.release}: {told.seconds:.0f} s, {len(told.errors)} failed")
            return bool(told.errors)
        case ["behind" | "beside" as how, folder, *names]:
            behind.boot(Path(folder), names, idle=how == "behind")
        case ["faults", name, *faults]:
            asked = {"NETTOP_VM_FAULTS": " ".join(faults or ["netem"])}
            told = scenario(kernel(name), ["faults"], seconds=FAULTS_S, environ=asked)
            print("\n".join(told.facts.get("faults.scored", [told.console])))
            print(f"{told.kernel.release}: {told.seconds:.0f} s")
            return bool(told.errors)
        case ["table"]:
            table.write()
        case _:
            print(tests.vm.__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
