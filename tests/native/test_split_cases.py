"""What waits were spent on where events of a thread were not seen: stories with known answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEADERS = HERE.parent.parent / "native" / "bpf"
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]

# wake-up, no CPU, ran, asleep, stopped, unknown: in ms
SAID = """\
seen: 0 30 70 0 0 0
turn: 0 30 70 0 0 0
turn, no sum: 0 32 68 0 0 0
switched out: 0 35 75 40 0 0
in the middle: 0 5 45 40 0 0
wake-up: 0 30 30 40 0 0
both: 0 30 30 40 0 0
both, data at 60: 0 10 30 0 0 0
wake-up, data at 80: 0 0 20 0 0 0
afterwards: 0 0 20 0 0 0
stopped: 0 5 20 0 75 0
twice: 0 30 80 0 0 0
"""


@pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_what_was_not_seen_is_told_by_the_kernels_sums(compiler: str, tmp_path: Path) -> None:
    program = tmp_path / "cases"
    warnings = ("-Wall", "-Wextra", "-Wshadow", "-Werror")
    subprocess.run(
        [compiler, "-std=gnu11", *warnings, f"-I{HEADERS}", "-o", program,
         HERE / "split_cases.c"],
        check=True,
    )  # fmt: skip
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout == SAID
