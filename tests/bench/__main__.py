"""All benchmarks in one table: ratios of this run, beside the budgets.

  python -m tests.bench [--quick] [--full] [--json]
  python -m tests.bench --compare REV [--rounds N] [--quick]

Runs as root, alone on the machine: a ratio is measured side by side, but a busy machine still
moves it. Each part also runs by itself, and its docstring says what its numbers mean:
python -m tests.bench.poll, .procs, .screen, .start, .cost, .tracing, .floods.
"""

from tests.bench import cost, floods, poll, procs, screen, start, tracing
from tests.bench.report import main

main(
    poll.bench,
    procs.bench,
    start.bench,
    cost.bench,
    screen.bench,
    tracing.bench,
    floods.bench,
    __doc__,
)
