"""Runs scenarios in the guest: each fact and each failure is a line on the serial port."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import time
import traceback
from typing import Any


def fact(name: str, value: Any) -> None:
    """Tells the host."""
    print(f"NT-FACT {name} {json.dumps(value)}", flush=True)


def main(names: list[str]) -> int:
    failed = 0
    for name in names:
        module_name, _, function = name.partition(".")
        module = importlib.import_module(f"tests.vm.scenarios.{module_name}")
        for found, run in inspect.getmembers(module, inspect.isfunction):
            if run.__module__ != module.__name__ or found.startswith("_"):
                continue
            if function and found != function:
                continue
            label = f"{module_name}.{found}"
            began = time.monotonic()
            try:
                fact(label, run())
            except BaseException:
                failed += 1
                print(f"NT-ERROR {label} {json.dumps(traceback.format_exc())}", flush=True)
            print(f"NT-TOOK {label} {time.monotonic() - began:.1f}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
