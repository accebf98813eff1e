"""What tracing costs the programs that are traced.

  python -m tests.bench.tracing [--quick] [--json]

One-byte messages over loopback (oneway.c), ns per one-way message, each round all ways in turn:
no tracing; the RX wait plane; that with its waits split, of this socket and of others; the same
tracepoints with empty programs (empty.bpf.c), and with those of UDP that TCP passes too where the
kernel lets no function be followed (empty_four.bpf.c); TX stages of every send, and of one in 32,
of the selected socket; the same stamps with empty programs (empty_sends.bpf.c), and what a send
passes without a stamp (empty_flag.bpf.c); classic SO_TIMESTAMPING with three stamps. And iperf3
over loopback: throughput with the RX wait plane to without. Budgets: RX wait at most 250 ns and
1.3 × the empty pair; stages 1:1 at most 1.5 × the empty programs and 0.3 × SO_TIMESTAMPING; 1:32
at most 100 ns a send. Where a program and its maps happen to lie is worth some 50 ns: gains that
are smaller are seen only over many loads of both.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from nettop.engine import check, lib
from nettop.sources import stages, wait
from nettop.sources.cgroups import Reached, find_mount
from nettop.sources.mounts import read_mounts
from tests.bench.harness import HERE, Result, compiled, measured, ratios

Around = Callable[[int], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def nothing(cookie: int) -> Iterator[None]:
    yield


@contextlib.contextmanager
def waits(cookie: int) -> Iterator[None]:
    plane, status = wait.open_plane(100.0)
    if plane is None:
        raise RuntimeError(f"the RX wait plane is off: {status.reason}")
    try:
        yield
    finally:
        plane.close()


def split(of_it: bool) -> Around:
    """The wait plane with waits split: of the receiver, or of a socket that is none of them."""

    @contextlib.contextmanager
    def around(cookie: int) -> Iterator[None]:
        plane, status = wait.open_plane(100.0)
        if plane is None:
            raise RuntimeError(f"the RX wait plane is off: {status.reason}")
        # The receiver is the socket that was made next to the sender.
        near = range(cookie - 8, cookie + 8)
        chosen = [(c, 0, 0, 0, b"") for c in (near if of_it else [1])]
        try:
            check(lib.nt_split_choose(plane.handle, chosen, len(chosen)), "choosing sockets")
            yield
        finally:
            plane.close()

    return around


def empty(name: str) -> Around:
    """The programs of NAME.bpf.c, which do nothing."""

    @contextlib.contextmanager
    def around(cookie: int) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / f"{name}.o"
            machine = os.uname().machine
            include = f"/usr/include/{machine}-linux-gnu"
            arch = {"aarch64": "arm64"}.get(machine, "x86")
            native = HERE.parents[1] / "native"
            subprocess.run(
                ["clang", "-target", "bpf", "-ffreestanding", "-O2", "-g", "-idirafter", include,
                 f"-I{native}/bpf", f"-I{native}/include", f"-D__TARGET_ARCH_{arch}",
                 "-c", str(HERE / f"{name}.bpf.c"), "-o", str(built)], check=True,
            )  # fmt: skip
            root = find_mount(read_mounts()) or ""
            argv = [compiled("attach", "-lbpf"), str(built), root]
            with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
                assert holder.stdin is not None
                assert holder.stdout is not None
                if not holder.stdout.readline():
                    raise RuntimeError("the empty programs do not load")
                yield
                holder.stdin.close()

    return around


def sends(every: int) -> Around:
    @contextlib.contextmanager
    def around(cookie: int) -> Iterator[None]:
        root = find_mount(read_mounts())
        plane, status = stages.open_plane(Reached(root), None)
        if plane is None:
            raise RuntimeError(f"the TX stages plane is off: {status.reason}")

        def here(walk: Callable[[int], None]) -> None:
            walk(-1)

        try:
            plane._wanted = stages._Selection((cookie,), every=every)
            plane.apply(here)
            if plane.refused:
                raise RuntimeError(plane.refused)
            yield
        finally:
            plane.close(here)

    return around


def one_way_ns(messages: int, around: Around, *options: str) -> float:
    argv = [compiled("oneway"), str(messages), *options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with around(int(child.stdout.readline())):
            child.stdin.write("\n")
            child.stdin.flush()
            return float(child.stdout.readline())


def iperf_bits_per_s(seconds: int, around: Around) -> float:
    server = subprocess.Popen(["iperf3", "-s", "-1", "-p", "5299"], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        with around(0):
            done = subprocess.run(
                ["iperf3", "-c", "127.0.0.1", "-p", "5299", "-t", str(seconds), "-J"],
                capture_output=True, check=True,
            )  # fmt: skip
        return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])
    finally:
        server.terminate()
        server.wait()


def bench(quick: bool = False, full: bool = False) -> Iterator[Result]:
    rounds, messages = (5, 100_000) if quick else (9, 300_000)
    ways: dict[str, tuple[Around, tuple[str, ...]]] = {
        "nothing": (nothing, ()),
        "wait": (waits, ()),
        "split": (split(True), ()),
        "split of others": (split(False), ()),
        "stages 1:1": (sends(1), ()),
        "stages 1:32": (sends(32), ()),
        "SO_TIMESTAMPING": (nothing, ("stamp",)),
    }
    if shutil.which("clang"):
        ways["empty pair"] = (empty("empty"), ())
        ways["empty four"] = (empty("empty_four"), ())
        ways["empty stamps"] = (empty("empty_sends"), ())
        ways["empty flag"] = (empty("empty_flag"), ())
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (around, options) in ways.items():
            took[name].append(one_way_ns(messages, around, *options))

    def over(name: str) -> list[float]:
        return [a - b for a, b in zip(took[name], took["nothing"], strict=True)]

    def to(name: str, other: str, what: str, budget: float | None) -> Result:
        note = f"{other}: {median(over(other)):.0f} ns"
        return measured("tracing", what, ratios(over(name), over(other)), "x", budget, note)

    base = f"{median(took['nothing']):.0f} ns without"
    yield measured("tracing", "RX wait, per one-way message", over("wait"), "ns", 250, base)
    if "empty pair" in took:
        yield to("wait", "empty pair", "RX wait to an empty pair of tracepoints", 1.3)
        yield to("wait", "empty four", "RX wait to empty programs, UDP's tracepoints too", None)
    for name in ("split", "split of others"):
        more = [a - b for a, b in zip(took[name], took["wait"], strict=True)]
        what = f"{name}, per message beside the RX wait"
        yield measured("tracing", what, more, "ns", None, base)
    if "empty stamps" in took:
        yield to("stages 1:1", "empty stamps", "stages 1:1 to empty programs, same stamps", 1.5)
        yield to("stages 1:32", "empty flag", "stages 1:32 to empty programs, no stamps", None)
    yield to("stages 1:1", "SO_TIMESTAMPING", "stages 1:1 to SO_TIMESTAMPING", 0.3)
    for name, budget in (("stages 1:1", None), ("stages 1:32", 100), ("SO_TIMESTAMPING", None)):
        yield measured("tracing", f"{name}, per send", over(name), "ns", budget, base)
    if shutil.which("iperf3"):
        seconds, pairs = 2 if quick else 4, []
        for _ in range(rounds // 2 + 1):
            with_plane = iperf_bits_per_s(seconds, waits)
            pairs.append(with_plane / iperf_bits_per_s(seconds, nothing))
        yield measured("tracing", "iperf3 over loopback, RX wait on to off", pairs, "x")


if __name__ == "__main__":
    from tests.bench.report import main

    main(bench, __doc__)
