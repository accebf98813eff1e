"""Prints results as they come, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

from tests.bench import compare
from tests.bench.harness import Result

Bench = Callable[[bool, bool], Iterator[Result]]


def _own_name() -> str:
    """The module that was run."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "run it as a module"
    return spec.name.removesuffix(".__main__")


def main(*benches: Bench | str | None) -> None:
    """Runs benchmarks; a string among them is the help text. Exit code 1: a budget is missed."""
    text = next((b for b in benches if isinstance(b, str)), "")
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller tables")
    parser.add_argument("--full", action="store_true", help="what takes many minutes, too")
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    parser.add_argument("--compare", metavar="REV", help="with the same of another commit, in turn")
    parser.add_argument("--rounds", type=int, default=compare.ROUNDS, help="of --compare")
    args = parser.parse_args()
    if os.geteuid() != 0:
        parser.exit(1, "the benchmarks make network namespaces: run them as root\n")
    if args.compare is not None:
        options = [f"--{name}" for name in ("quick", "full") if getattr(args, name)]
        compare.main(args.compare, _own_name(), args.rounds, options)
        return
    results: list[Result] = []
    for bench in benches:
        if not callable(bench):
            continue
        for result in bench(args.quick, args.full):
            results.append(result)
            if not args.json:
                print(result.text(), flush=True)
    over = [r for r in results if r.verdict == "OVER"]
    if args.json:
        rows = [asdict(r) | {"verdict": r.verdict} for r in results]
        about = {"kernel": platform.release(), "python": platform.python_version(),
                 "cpus": os.cpu_count(), "results": rows}  # fmt: skip
        print(json.dumps(about, indent=1, ensure_ascii=False))
    elif over:
        print(f"{len(over)} over budget")
    sys.exit(1 if over else 0)
