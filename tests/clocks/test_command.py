"""`nettop clocks` on this machine, and on one with a simulated NIC and PHC below the helper."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nettop.clocks.keys import KEYS
from nettop.clocks.observer import State
from tests.clocks.fake import DEVICE, NIC, Fake

NS_PER_S = 1_000_000_000


def nettop(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nettop", "clocks", *argv],
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


def told(fake: Fake, *argv: str) -> Any:
    done = fake.nettop("clocks", "--json", *(argv or ("-d", "0.3")))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def keys(value: Any, path: str = "") -> set[str]:
    """Every key of an object, spelled as in KEYS."""
    out = set()
    for key, inner in value.items():
        name = f"{path}{key}"
        if isinstance(inner, dict):
            out |= keys(inner, f"{name}.")
        elif isinstance(inner, list) and inner and isinstance(inner[0], dict):
            for item in inner:
                out |= keys(item, f"{name}[].")
        elif inner != []:
            out.add("phcs[].caps.*" if name.startswith("phcs[].caps.") else name)
    return out


def test_every_interface_of_this_machine_is_listed() -> None:
    done = nettop("--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "nettop.clocks/1"
    assert [n["name"] for n in report["interfaces"]] == [n for _, n in socket.if_nameindex()]
    lo = next(n for n in report["interfaces"] if n["name"] == "lo")
    assert "phc" not in lo
    assert "software-receive" in lo["capabilities"]
    assert "software only" in lo["remarks"][0]["text"]
    assert keys(report) <= KEYS.keys()


def test_text_says_what_is_missing() -> None:
    done = nettop("lo")
    assert done.returncode == 0
    assert "software only" in done.stdout
    assert "no setting changes that" in done.stdout
    assert nettop("lo", "--ascii").stdout.isascii()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("/dev/null", "no PTP hardware clock"),
        ("/dev/full", "no PTP hardware clock"),
        ("/etc/passwd", "no PTP hardware clock"),
        ("/", "no PTP hardware clock"),
        ("/nowhere/at/all", "not there"),
        ("nosuch0", "no interface nosuch0"),
        ("a-name-longer-than-any-interface", "no interface"),
        ("", "no interface"),
        ("x\x1b[31m", "no interface x?"),
    ],
)
def test_what_is_named_wrongly_is_one_line(name: str, what: str) -> None:
    done = nettop(name)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert what in done.stderr
    assert "\x1b" not in done.stderr


def test_opening_a_fifo_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = nettop(str(tmp_path / "fifo"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no PTP hardware clock" in done.stderr


@pytest.mark.parametrize("argv", [["--jsn"], ["-d", "0"], ["-d", "x"], ["-d"]])
def test_usage_errors(argv: list[str]) -> None:
    done = nettop(*argv)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_states_are_documented() -> None:
    assert all(state.value in KEYS["phcs[].state"] for state in State)


# --- with a simulated NIC ---


def test_offset_and_frequency(fake: Fake) -> None:
    fake.set(offset_ns=37 * NS_PER_S + 5_000_000, ppb=200_000)
    report = told(fake, "-d", "1")
    [phc] = report["phcs"]
    assert (phc["device"], phc["interfaces"], phc["method"]) == (DEVICE, [NIC], "extended")
    now = 37 * NS_PER_S + 5_000_000
    # It ran since the world began, at most some seconds ago.
    assert now - phc["bar_ns"] <= phc["phc_minus_system_ns"] <= now + 60 * 200_000
    assert phc["bar_ns"] == 500, "half of the narrowest window"
    assert phc["bar"] == "window"
    assert abs(phc["frequency_ppb"] - 200_000) <= phc["frequency_bar_ppb"] <= 2100
    assert phc["state"] == "drifts"
    assert phc["caps"]["max_adj_ppb"] == 62_499_999
    assert keys(report) <= KEYS.keys()
    [nic] = report["interfaces"]
    assert nic["setting"] == {"tx_type": "off", "rx_filter": "none"}
    assert "off now" in nic["remarks"][0]["text"]
    assert fake.world.sets == 0


def test_best_method_first_and_the_others_after_it(fake: Fake) -> None:
    fake.set(cross_timestamping=1)
    [phc] = told(fake)["phcs"]
    assert (phc["method"], phc["bar"]) == ("precise", "spread")
    assert phc["state"] == "locked"
    fake.set(refuse_precise=1)
    assert told(fake)["phcs"][0]["method"] == "extended"
    for number in (95, 25, 22):  # EOPNOTSUPP ENOTTY EINVAL
        fake.set(refuse_extended=number)
        assert told(fake)["phcs"][0]["method"] == "basic"


def test_a_busy_driver_is_asked_again(fake: Fake) -> None:
    fake.set(busy=3)
    [phc] = told(fake)["phcs"]
    assert fake.world.busy == 0
    assert (phc["method"], phc["readings"]) == ("extended", 11)
    # Four in a row are too many for one method, but the next may have luck.
    fake.set(busy=4)
    assert told(fake)["phcs"][0]["method"] == "extended", "only that once by another"
    fake.set(busy=1_000_000)
    [phc] = told(fake)["phcs"]
    assert phc["state"] == "not readable"
    assert "busy" in phc["reason"]
    assert "phc_minus_system_ns" not in phc


@pytest.mark.parametrize("by_ns", [50_000_000, -50_000_000])
def test_a_step_is_told(fake: Fake, by_ns: int) -> None:
    fake.set(step_after=6, step_ns=by_ns)
    [phc] = told(fake, "-d", "1")["phcs"]
    assert (phc["state"], phc["steps_seen"]) == ("stepped", 1)
    assert phc["steps"][0]["clock"] == "phc"
    assert abs(phc["steps"][0]["by_ns"] - by_ns) < 10_000
    assert phc["readings"] == 11


def test_a_clock_that_stands_still_is_told(fake: Fake) -> None:
    fake.set(stopped=1)
    [phc] = told(fake)["phcs"]
    assert phc["state"] == "stands still"
    assert "frequency_ppb" not in phc


@pytest.mark.parametrize("speed", [2.5, 0.5])
def test_a_clock_that_runs_at_another_speed_is_told(fake: Fake, speed: float) -> None:
    fake.set(ppb=int((speed - 1) * NS_PER_S))
    [phc] = told(fake, "-d", "1")["phcs"]
    assert phc["state"] == "runs wrong"
    assert abs(phc["speed"] - speed) < 0.01
    assert f"{speed} times as fast" in fake.nettop("clocks").stdout


def test_no_permission_is_a_reason_with_a_fix(fake: Fake) -> None:
    fake.set(refuse_open=13)
    [phc] = told(fake)["phcs"]
    assert phc["state"] == "not readable"
    assert "no permission" in phc["reason"]
    assert phc["fix"].startswith("sudo nettop clocks" if os.geteuid() else "give it the device")
    done = fake.nettop("clocks", DEVICE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no permission" in done.stderr
    assert fake.nettop("clocks", NIC).returncode == 0, "the interface can be shown"


def test_a_named_clock_alone(fake: Fake) -> None:
    for name in (DEVICE, "ptp7"):
        done = fake.nettop("clocks", "-d", "0.2", name)
        assert done.returncode == 0, done.stderr
        [row] = [line for line in done.stdout.splitlines() if " ptp7 " in line]
        assert NIC not in row
        assert row.endswith("locked")


def test_a_driver_that_claims_too_much_is_told(fake: Fake) -> None:
    fake.set(phc_index=-1)
    report = told(fake)
    assert report["phcs"] == []
    assert "names no clock" in report["interfaces"][0]["remarks"][0]["text"]
    fake.set(phc_index=7, tx_types=1, rx_filters=1)
    texts = [r["text"] for r in told(fake)["interfaces"][0]["remarks"]]
    assert any("no way to switch them on" in t for t in texts)
    assert any("no filter that would give any" in t for t in texts)
