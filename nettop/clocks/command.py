"""`nettop clocks`: watches for a while, then prints."""

from __future__ import annotations

import errno
import json
import re
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from msgspec.structs import replace

from nettop.clocks.interfaces import Interface, interface
from nettop.clocks.observer import Observer, Report
from nettop.clocks.offset import SECOND_NS
from nettop.clocks.out import to_json, to_text
from nettop.clocks.phc import Phc, why_not
from nettop.errors import EXIT_OK, NettopError
from nettop.text.clean import clean

OBSERVE_S = 1.0
_LOOKS = 11  # readings of a short observation; a long one has one a second


def run(
    names: Sequence[str],
    *,
    observe_s: float | None = None,
    as_json: bool = False,
    ascii_only: bool = False,
    out: TextIO | None = None,
) -> int:
    """The subcommand; returns the exit code.

    Raises:
        NettopError: something that was named is not there, or cannot be read.
    """
    out = out if out is not None else sys.stdout
    nics, paths = resolve(names)
    report = observe(OBSERVE_S if observe_s is None else observe_s, paths if names else None)
    if names:
        report = replace(report, interfaces=tuple(nics))
    if as_json:
        json.dump(to_json(report), out, ensure_ascii=False, indent=2)
        out.write("\n")
    else:
        out.write(to_text(report, ascii_only))
    return EXIT_OK


def resolve(names: Sequence[str]) -> tuple[list[Interface], list[str]]:
    """Interfaces and PHC paths of the command line; of an interface its PHC too."""
    nics: list[Interface] = []
    paths: list[str] = []
    for name in names:
        if name.startswith("/"):
            _check_phc(name)
            paths.append(name)
            continue
        nic = _interface(name)
        if nic is not None:
            nics.append(nic)
            if nic.phc is not None:
                paths.append(f"/dev/ptp{nic.phc}")
        elif re.fullmatch(r"ptp\d+", name):
            _check_phc(f"/dev/{name}")
            paths.append(f"/dev/{name}")
        else:
            raise NettopError(f"no interface {clean(name)} here (ip link lists them)")
    return nics, list(dict.fromkeys(paths))


def _interface(name: str) -> Interface | None:
    try:
        return interface(name)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise NettopError(f"{clean(name)}: {error.strerror}") from None


def _check_phc(path: str) -> None:
    try:
        Phc(path).close()
    except OSError as error:
        reason, fix = why_not(error, path)
        raise NettopError(f"{clean(reason)}{f': {fix}' if fix else ''}") from None


def observe(seconds: float, only: Sequence[str] | None) -> Report:
    """Readings over so many seconds; none is waited for where no PHC can be read."""
    step_s = min(seconds / (_LOOKS - 1), 1.0)
    observer = Observer(only, period_ns=int(step_s * SECOND_NS))
    try:
        observer.look()
        start = time.monotonic()
        for i in range(1, round(seconds / step_s) + 1):
            if not observer.any_readable:
                break
            time.sleep(max(0.0, start + i * step_s - time.monotonic()))
            observer.look()
        return observer.report()
    finally:
        observer.close()
