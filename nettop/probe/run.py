"""Runs probe and reflect without a screen: lines as they come, the table or JSON at the end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from nettop.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, NettopError
from nettop.probe import report
from nettop.probe.connect import resolve
from nettop.probe.opening import AnyProber, open_prober
from nettop.probe.options import ProbeOptions, ReflectOptions
from nettop.probe.reflect import Reflector
from nettop.probe.tally import Point


def open_probe(options: ProbeOptions) -> AnyProber:
    """Resolves and connects.

    Raises:
        NettopError: in one line.
    """
    return open_prober(options, resolve(options.host, options.port, options.proto, options.family))


def run_probe(options: ProbeOptions) -> int:
    """Text, or one JSON object; exit code 1 if nothing was answered."""
    prober = open_probe(options)
    if not options.as_json:
        _print(f"probe {prober.target.text}, every {prober.interval_s:g} s; Ctrl-C ends")
    interrupted = False
    try:
        prober.run(_keep_quiet if options.as_json else _say)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        prober.close()
    named = options.output not in (None, "-")
    if named:
        write(prober)
    if not (named and options.as_json):
        close(prober)
    if interrupted:
        return EXIT_INTERRUPTED
    return result(prober)


def result(prober: AnyProber) -> int:
    """The exit code; errors are raised, to be printed in one line.

    Raises:
        NettopError: the run ended by itself, or nothing was answered.
    """
    if prober.failure is not None:
        raise NettopError(prober.failure)
    if prober.was_answered:
        return EXIT_OK
    if prober.tally.sent:
        raise NettopError(f"{prober.target.text}: no answer to {prober.tally.sent} probes")
    return EXIT_FAILURE


def close(prober: AnyProber) -> None:
    """The closing table or the JSON object."""
    if prober.options.as_json:
        _print(json.dumps(report.probe_object(prober), ensure_ascii=False))
        return
    if not prober.tally.answered:
        return
    _print("")
    _print(report.head_text(prober))
    _print(report.far_text(prober))
    for line in [*report.table(prober.tally), *report.notes(prober)]:
        _print(line)


def write(prober: AnyProber) -> Path:
    """The JSON object as a file of the current directory, or where -o says."""
    from nettop.export.atomic import AtomicFile

    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = Path(prober.options.output or f"nettop-probe-{stamp}.json")
    with AtomicFile(str(path)) as file:
        file.write(json.dumps(report.probe_object(prober), ensure_ascii=False).encode() + b"\n")
    return path


def _keep_quiet(_point: Point) -> None:
    """The object at the end says it all."""


def _say(point: Point) -> None:
    _print(report.point_line(point))


def run_reflect(options: ReflectOptions) -> int:
    """Answers until interrupted; one line, or one JSON object, per interval."""
    reflector = Reflector(options)

    def print_report() -> None:
        if options.as_json:
            _print(json.dumps(report.reflect_object(reflector, reflector.counts)))
        else:
            for line in report.reflect_line(reflector, reflector.counts):
                _print(line)

    if not options.as_json:
        _print(f"reflect on {', '.join(reflector.bound)}; Ctrl-C ends")
    try:
        reflector.run(print_report)
    finally:
        reflector.close()
    return EXIT_OK


def _print(line: str) -> None:
    if sys.stdout is None:
        raise NettopError("standard output is closed")
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
