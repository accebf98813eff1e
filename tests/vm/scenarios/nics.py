"""Real drivers: igb, whose clock and transmit stamps work; e1000e, whose clock is wrong; virtio."""

from __future__ import annotations

import ctypes
import json
import mmap
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nettop.clocks.follow import FollowedClock
from nettop.clocks.interfaces import RX_FILTERS, interface
from nettop.engine import check, ffi, lib
from nettop.stamps import StampedSocket
from tests.integration.namespaces import inside, namespace, run
from tests.vm.scenarios.bound import until_bound

PROBES = 30
DATAGRAMS = 30


def _of_driver(driver: str) -> list[str]:
    """Interfaces that a driver has."""
    found = []
    for device in sorted(Path("/sys/class/net").iterdir()):
        link = device / "device" / "driver"
        if link.exists() and link.resolve().name == driver:
            found.append(device.name)
    return found


def _nettop(prefix: list[str], *words: str) -> Any:
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "nettop", *words, "--json"],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    if not done.stdout:
        return {"failed": done.stderr[-500:]}
    return json.loads(done.stdout)


def clocks() -> dict[str, Any]:
    """By driver: what its interfaces can, and how its clocks are."""
    drivers = {name: d for d in ("igb", "e1000e", "virtio_net") for name in _of_driver(d)}
    for name in drivers:
        run("ip", "link", "set", name, "up")
    report = _nettop([], "clocks", "-d", "5")
    out: dict[str, Any] = {}
    for nic in report["interfaces"]:
        if nic["name"] not in drivers:
            continue
        phc = next((p for p in report["phcs"] if p["index"] == nic.get("phc")), None)
        out.setdefault(drivers[nic["name"]], []).append(
            {
                "phc": nic.get("phc"), "capabilities": nic["capabilities"],
                "remarks": [r["text"] for r in nic.get("remarks", [])],
                "clock": phc and {k: phc.get(k) for k in ("state", "method", "bar_ns", "reason",
                                                          "frequency_ppb", "speed", "readings")},
            }
        )  # fmt: skip
    return out


@contextmanager
def _joined(first: str, second: str) -> Iterator[tuple[str, str]]:
    """Two ports in namespaces of their own, 10.5.0.1 and 10.5.0.2."""
    with namespace() as a, namespace() as b:
        for name, device, last in ((a, first, 1), (b, second, 2)):
            run("ip", "link", "set", device, "netns", name)
            run("ip", "-n", name, "addr", "add", f"10.5.0.{last}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
        time.sleep(3)  # until the link is up
        try:
            yield a, b
        finally:
            for name, device in ((a, first), (b, second)):
                run("ip", "-n", name, "link", "set", device, "netns", "1")


def igb() -> dict[str, Any]:
    """probe --hw between two ports of the driver: it stamps any packet that it sends."""
    first, second = _of_driver("igb")
    with _joined(first, second) as (a, b):
        enter = ["ip", "netns", "exec"]
        before = _nettop([*enter, a], "clocks", first, "-d", "0.1")["interfaces"][0]["setting"]
        far = subprocess.Popen(
            [*enter, b, sys.executable, "-m", "nettop", "reflect", "udp", "10.5.0.2:9000"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until_bound(far, "udp")
            report = _nettop([*enter, a], "probe", "udp", "10.5.0.2:9000", "--hw", "-c",
                           str(PROBES), "-i", "0.1", "-W", "20")  # fmt: skip
        finally:
            far.kill()
            far.wait()
        after = _nettop([*enter, a], "clocks", first, "-d", "0.1")["interfaces"][0]["setting"]
    if "failed" in report:
        return dict(report)
    nic = report["legs"].get("nic", {})
    return {
        "sent": report["sent"], "answered": report["answered"], "missing": report["stamps_missing"],
        "disagree": report["clocks_disagree"], "received": report["hardware"]["stamps_received"],
        "unknown": report["hardware"]["unknown"],
        "nic": {k: nic.get(k) for k in ("count", "p50_ns", "max_ns", "bar_ns")},
        "round_max_ns": report["legs"]["round"]["max_ns"], "before": before, "after": after,
    }  # fmt: skip


class _Registers:
    """Those of an igb's clock, through its first BAR."""

    RX_LATCH_HIGH, RX_CONFIG, QUEUE_FILTER = 0xB630, 0x5F50, 0x5CB0
    SIZE = 0x20000

    def __init__(self, device: str) -> None:
        with Path(f"/sys/class/net/{device}/device/resource0").open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.SIZE)

    def _at(self, offset: int) -> ctypes.c_uint32:
        return ctypes.c_uint32.from_buffer(self._map, offset)

    def count_ipv4_as_ptp(self) -> None:
        """The card stamps PTP alone: an IPv4 header begins as a PTP message of type 0x45 does, and
        its TOS stands where PTP has its version, 2."""
        self._at(self.RX_CONFIG).value = 0x45 << 8
        self._at(self.QUEUE_FILTER).value = 1 << 26 | 1 << 30 | 0x0800

    def rearm(self) -> None:
        """The emulated card frees its latch when this is read, which Linux does not do."""
        _ = self._at(self.RX_LATCH_HIGH).value


def igb_received() -> dict[str, Any]:
    """Receive stamps of a real driver, by nettop.stamps, as system time: each after the
    packet was sent, and before the kernel had it."""
    first, second = _of_driver("igb")
    registers = _Registers(second)
    out: dict[str, Any] = {"sent": DATAGRAMS, "stamped": 0, "unknown": 0, "placed": []}
    with _joined(first, second) as (a, b):
        phc, before = inside(b, lambda: _stamp_received(second))
        registers.count_ipv4_as_ptp()
        sender = inside(a, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 2)
        receiver = inside(b, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("10.5.0.2", 9001))
        receiver.settimeout(5)
        with sender, receiver, FollowedClock(f"/dev/ptp{phc}") as clock:
            clock.wait()
            stamped = StampedSocket(receiver, send=False, hardware=True)
            stamps = []
            for _ in range(DATAGRAMS):
                registers.rearm()
                sent_ns = time.time_ns()
                sender.sendto(b"x" * 100, ("10.5.0.2", 9001))
                message, _ = stamped.wait(5)
                if message is not None:
                    stamps.append((sent_ns, message.stamp))
                time.sleep(0.1)
            time.sleep(1.5)  # the clock is read once more
            for sent_ns, stamp in stamps:
                if stamp.hardware_ns is None:
                    continue
                arrived = clock.to_system(stamp.hardware_ns)
                out["stamped"] += 1
                if arrived is None or stamp.software_ns is None:
                    out["unknown"] += 1
                else:
                    after_ns, before_ns = arrived.ns - sent_ns, stamp.software_ns - arrived.ns
                    out["placed"].append((after_ns, before_ns, arrived.bar_ns))
        inside(b, lambda: _set(second, before))
    return out


def _stamp_received(device: str) -> tuple[int | None, Any]:
    """The NIC set to stamp PTP; its clock, and how it was set."""
    before, wanted = ffi.new("struct nt_hwtstamp *"), ffi.new("struct nt_hwtstamp *")
    check(lib.nt_hwtstamp_get(device.encode(), before), "reading the setting")
    wanted.rx_filter = RX_FILTERS.index("ptpv2-event")
    _set(device, wanted)
    return interface(device).phc, before


def _set(device: str, wanted: Any) -> None:
    check(lib.nt_hwtstamp_set(device.encode(), wanted), "setting the NIC")


def refusals() -> dict[str, Any]:
    """probe --hw where it cannot be: a NIC without stamps."""
    name = _of_driver("virtio_net")[0]
    run("ip", "addr", "add", "10.4.0.1/24", "dev", name)
    return dict(_nettop([], "probe", "udp", "10.4.0.2:9", "--hw", "-c", "1", "-I", name))
