"""Hardware stamps with a known answer: tsnic's clocks have the offset and frequency that we set."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nettop.clocks.command import observe
from nettop.clocks.interfaces import TX_TYPES
from nettop.clocks.out import to_json
from nettop.engine import check, ffi, lib
from nettop.export.distributions import host_tx_object
from nettop.model.types import Stage
from nettop.sources import stages
from tests.integration.namespaces import inside, namespace, run
from tests.integration.sends import feed_of, select, sent
from tests.vm.scenarios.bound import until_bound

stages.SETTLE_S = stages.WALK_EVERY_S = 0.0
OFFSET_NS = (5_000_000, -3_000_000)
PPB = (20_000, -10_000)
PROBES = 20
SENDS, TX_LATE_NS = 20, 2_000_000
_FINIT_MODULE, _DELETE_MODULE = 313, 176
_MODULE = Path(os.environ.get("NETTOP_VM_TSNIC", ""))
_PARAMETERS = Path("/sys/module/tsnic/parameters")


def _call(number: int, *args: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *args):
        raise OSError(ctypes.get_errno(), f"syscall {number}")


@contextmanager
def _loaded(more: str = "") -> Iterator[tuple[int, int]]:
    """The module with its clocks set; the two moments between which that was, CLOCK_REALTIME."""
    words = (
        f"phc_offset_ns={OFFSET_NS[0]},{OFFSET_NS[1]} phc_ppb={PPB[0]},{PPB[1]} {more}"
    ).strip()
    with _MODULE.open("rb") as file:
        before = time.time_ns()
        _call(_FINIT_MODULE, file.fileno(), words.encode(), 0)
        after = time.time_ns()
    try:
        time.sleep(0.2)
        yield before, after
    finally:
        _call(_DELETE_MODULE, b"tsnic", os.O_NONBLOCK)


@contextmanager
def _joined() -> Iterator[tuple[str, str]]:
    """ts0 and ts1 in namespaces of their own, 10.6.0.1 and 10.6.0.2."""
    with namespace() as a, namespace() as b:
        for name, device, last in ((a, "ts0", 1), (b, "ts1", 2)):
            run("ip", "link", "set", device, "netns", name)
            run("ip", "-n", name, "addr", "add", f"10.6.0.{last}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
        try:
            yield a, b
        finally:
            for name, device in ((a, "ts0"), (b, "ts1")):
                run("ip", "-n", name, "link", "set", device, "netns", "1")


def _nettop(name: str, *words: str) -> Any:
    """JSON of a command in a namespace."""
    done = subprocess.run(
        ["ip", "netns", "exec", name, sys.executable, "-m", "nettop", *words, "--json"],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    if not done.stdout:
        raise RuntimeError(done.stderr[-800:])
    return json.loads(done.stdout)


@contextmanager
def _reflect(name: str) -> Iterator[None]:
    far = subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, "-m", "nettop", "reflect", "10.6.0.2:9000"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until_bound(far, "tcp", "udp")
        yield
    finally:
        far.kill()
        far.wait()


def _probe(a: str, b: str, proto: str) -> dict[str, Any]:
    before = _setting(a)
    with _reflect(b):
        report = _nettop(a, "probe", proto, "10.6.0.2:9000", "--hw", "-c", str(PROBES),
                       "-i", "0.1", "-W", "20")  # fmt: skip
    legs = report["legs"]
    names = ("nic", "in", "round", "net_out")
    return {
        "sent": report["sent"], "answered": report["answered"], "missing": report["stamps_missing"],
        "unknown": report["hardware"]["unknown"], "disagree": report["clocks_disagree"],
        "legs": {n: {k: legs[n].get(k) for k in ("count", "p50_ns", "max_ns", "bar_ns")}
                 for n in names if n in legs},
        "before": before, "after": _setting(a),
    }  # fmt: skip


def _setting(name: str) -> Any:
    nics = _nettop(name, "clocks", "ts0", "-d", "0.1")["interfaces"]
    return nics[0]["setting"]


def clocks() -> dict[str, Any]:
    """Offset and frequency of both clocks as nettop tells them, and what is true.

    The truth is of the moment that nettop's last reading is of, and between two values: when the
    clocks were set is known to be while the module was loaded, and how exactly, by the module.
    """
    out: dict[str, Any] = {}
    for method, more in (("precise", ""), ("extended", "no_cross=1")):
        with _loaded(more) as set_between, namespace() as name:
            within = (_PARAMETERS / "set_within_ns").read_text().split(",")
            report = inside(name, lambda: observe(4.0, None))
            phcs = to_json(report)["phcs"]
            clocks = [
                (phc, seen)
                for phc, seen in zip(phcs, report.phcs, strict=True)
                if str(seen.device.name).startswith("tsnic")
            ]
            out[method] = [
                {
                    "method": p.get("method"), "offset_ns": p["phc_minus_system_ns"],
                    "bar_ns": p["bar_ns"], "ppb": p.get("frequency_ppb"),
                    "ppb_bar": p.get("frequency_bar_ppb"), "true_ppb": PPB[i],
                    "set_within_ns": int(within[i]),
                    "true_ns": sorted(
                        OFFSET_NS[i] + PPB[i] * (seen.last.sys_ns - at) // 1_000_000_000
                        for at in set_between
                    ),
                }
                for i, (p, seen) in enumerate(sorted(clocks, key=lambda c: str(c[1].device.name)))
                if seen.last is not None
            ]  # fmt: skip
    return out


def sends() -> dict[str, Any]:
    """The nic stage of a program's own connection: packets leave 2 ms after the driver had them."""
    with _loaded(f"tx_late_ns={TX_LATE_NS}"), namespace() as far:
        run("ip", "link", "set", "ts1", "netns", far)
        run("ip", "-n", far, "addr", "add", "10.6.0.2/24", "dev", "ts1")
        run("ip", "-n", far, "link", "set", "ts1", "up")
        run("ip", "addr", "add", "10.6.0.1/24", "dev", "ts0")
        run("ip", "link", "set", "ts0", "up")
        setting = ffi.new("struct nt_hwtstamp *", {"tx_type": TX_TYPES.index("on")})
        check(lib.nt_hwtstamp_set(b"ts0", setting), "setting the NIC")
        server = inside(far, lambda: socket.create_server(("10.6.0.2", 0)))
        with server, socket.create_connection(server.getsockname()) as sender:
            receiver, _ = server.accept()
            with receiver, feed_of() as feed:
                select(feed, sender)
                sender.sendall(b"x")  # its stamp has the clock followed
                receiver.recv(1)
                time.sleep(0.2)
                feed.tick()
                time.sleep(1.5)
                feed.tick()
                for _ in range(SENDS):
                    sender.sendall(b"x" * 500)
                    receiver.recv(500)
                    time.sleep(0.05)
                time.sleep(1.5)  # the clock is read once more
                plane = sent(feed, sender)
                model = feed.latest()
                assert model is not None
                assert model.nic is not None
                dist = plane.tx[Stage.NIC]
                assert model.tx is not None
                of_host = host_tx_object(model.tx, model.nic)["nic"]
        run("ip", "-n", far, "link", "set", "ts1", "netns", "1")
    return {
        "sends": plane.tx_sends, "count": dist.count, "p50_ns": dist.p50_ns,
        "max_ns": dist.max_ns, "bar_ns": plane.tx_nic_bar_ns, "unplaced": model.nic.unplaced,
        "reason": model.nic.reason, "host": of_host,
    }  # fmt: skip


def probes() -> dict[str, Any]:
    """probe --hw over UDP and TCP, and while one stamp in four is lost."""
    with _loaded(), _joined() as (a, b):
        out = {"udp": _probe(a, b, "udp"), "tcp": _probe(a, b, "tcp")}
        (_PARAMETERS / "lose_tx").write_text("4")
        out["lossy"] = _probe(a, b, "udp")
    return out
