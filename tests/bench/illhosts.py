"""What stands for hosts that are ill: programs in place of ssh and the stream behind it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

DAY_NS = 86_400 * 10**9
GARBAGE = ["cat", "/dev/urandom"]
_AHEAD = f"""
import runpy, sys, time
true_ns = time.time_ns
time.time_ns = lambda: true_ns() + {DAY_NS}
runpy.run_module("nettop", run_name="__main__", alter_sys=True)
"""
# 256 kbit/s, and each chunk 100 ms late.
_SLOW = """
import os, subprocess, sys, time
there = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
while data := os.read(there.stdout.fileno(), 3200):
    time.sleep(0.1)
    while data:
        data = data[os.write(1, data):]
"""


def a_day_ahead(stream: Sequence[str]) -> list[str]:
    """A stream of nettop, of which each word before its own is Python's, on a host whose
    CLOCK_REALTIME is a day ahead."""
    words = stream[stream.index("nettop") + 1 :]
    return [sys.executable, "-c", _AHEAD, *words]


def slow(stream: Sequence[str]) -> list[str]:
    """A stream over a line of 256 kbit/s."""
    return [sys.executable, "-c", _SLOW, *stream]
