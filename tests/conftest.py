"""Markers that skip a test where it cannot run, always saying why."""

from __future__ import annotations

import os
import shutil
import signal

import pytest


def pytest_configure() -> None:
    # Under nohup all that is started here would ignore SIGHUP; what is caught is no one's heritage.
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        pytest.skip("needs root")
    names = [name for mark in item.iter_markers("needs_tools") for name in mark.args]
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
