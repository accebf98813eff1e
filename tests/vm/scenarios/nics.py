"""Real drivers: igb, whose clock and transmit stamps work; e1000e, whose clock is wrong; virtio."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.integration.namespaces import namespace, run

PROBES = 30


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
    told = _nettop([], "clocks", "-d", "5")
    out: dict[str, Any] = {}
    for nic in told["interfaces"]:
        if nic["name"] not in drivers:
            continue
        phc = next((p for p in told["phcs"] if p["index"] == nic.get("phc")), None)
        out.setdefault(drivers[nic["name"]], []).append(
            {
                "phc": nic.get("phc"), "capabilities": nic["capabilities"],
                "remarks": [r["text"] for r in nic.get("remarks", [])],
                "clock": phc and {k: phc.get(k) for k in ("state", "method", "bar_ns", "reason",
                                                          "frequency_ppb", "speed", "readings")},
            }
        )  # fmt: skip
    return out


def igb() -> dict[str, Any]:
    """probe --hw between two ports of the driver: it stamps any packet that it sends."""
    first, second = _of_driver("igb")
    with namespace() as a, namespace() as b:
        for name, device, last in ((a, first, 1), (b, second, 2)):
            run("ip", "link", "set", device, "netns", name)
            run("ip", "-n", name, "addr", "add", f"10.5.0.{last}/24", "dev", device)
            run("ip", "-n", name, "link", "set", device, "up")
        time.sleep(3)  # until the link is up
        inside = ["ip", "netns", "exec"]
        before = _nettop([*inside, a], "clocks", first, "-d", "0.1")["interfaces"][0]["setting"]
        far = subprocess.Popen(
            [*inside, b, sys.executable, "-m", "nettop", "reflect", "udp", "10.5.0.2:9000"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(4)
            told = _nettop([*inside, a], "probe", "udp", "10.5.0.2:9000", "--hw", "-c",
                           str(PROBES), "-i", "0.1")  # fmt: skip
        finally:
            far.kill()
            far.wait()
        after = _nettop([*inside, a], "clocks", first, "-d", "0.1")["interfaces"][0]["setting"]
        for name, device in ((a, first), (b, second)):
            run("ip", "-n", name, "link", "set", device, "netns", "1")
    if "failed" in told:
        return dict(told)
    nic = told["legs"].get("nic", {})
    return {
        "sent": told["sent"], "answered": told["answered"], "missing": told["stamps_missing"],
        "disagree": told["clocks_disagree"], "received": told["hardware"]["stamps_received"],
        "nic": {k: nic.get(k) for k in ("count", "p50_ns", "max_ns", "bar_ns")},
        "round_max_ns": told["legs"]["round"]["max_ns"], "before": before, "after": after,
    }  # fmt: skip


def refusals() -> dict[str, Any]:
    """probe --hw where it cannot be: a NIC without stamps."""
    name = _of_driver("virtio_net")[0]
    run("ip", "addr", "add", "10.4.0.1/24", "dev", name)
    return dict(_nettop([], "probe", "udp", "10.4.0.2:9", "--hw", "-c", "1", "-I", name))
