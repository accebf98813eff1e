"""Guests that are booted behind tests take no processor from them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

from tests.vm.behind import after_all_others

SECONDS = 0.6
# The first words of each are run before it is counted.
SPINS = """
import os
os.sched_setaffinity(0, {{{cpu}}})
{first}
print("ready", flush=True)
while True:
    pass
"""
LAST = f"""
from {after_all_others.__module__} import after_all_others
after_all_others()
"""


def test_what_is_behind_gets_next_to_nothing_of_a_processor_that_others_want() -> None:
    """Each leads a session, as guests and tests do."""
    cpu = min(os.sched_getaffinity(0))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SPINS.format(cpu=cpu, first=first)], stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for first in (LAST, "")
    ]  # fmt: skip
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
        behind, before = (psutil.Process(child.pid) for child in children)
        began = behind.cpu_times().user, before.cpu_times().user
        while before.cpu_times().user - began[1] < SECONDS:
            time.sleep(0.02)
        assert behind.cpu_times().user - began[0] < SECONDS / 4
    finally:
        for child in children:
            child.kill()
            child.communicate()
