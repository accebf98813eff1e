"""What sysfs says of stacked interfaces and of PHCs."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from nettop.clocks import interfaces, phc
from nettop.clocks.interfaces import Interface, interface
from nettop.clocks.phc import Device, device, devices, why_not

NIC = Interface("bond0", 3, "bonding", phc=0)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(interfaces, "NET", tmp_path)
    return tmp_path


@pytest.fixture
def clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(phc, "CLASS", tmp_path)
    return tmp_path


def test_a_bond_has_the_clock_of_its_active_slave(net: Path) -> None:
    (net / "bond0" / "bonding").mkdir(parents=True)
    active = net / "bond0" / "bonding" / "active_slave"
    active.write_text("eth0\n")
    [remark] = interfaces._stacked("bond0", NIC)
    assert remark.text == "the clock is that of its active slave eth0, and changes on failover"
    active.unlink()
    [remark] = interfaces._stacked("bond0", NIC)
    assert remark.text == "the clock is that of its active slave, and changes on failover"


def test_a_vlan_has_the_clock_below_it(net: Path) -> None:
    (net / "eth0.7" / "lower_eth0").mkdir(parents=True)
    [remark] = interfaces._stacked("eth0.7", NIC)
    assert remark.text == "it stamps with the clock of eth0"


def test_others_say_nothing(net: Path) -> None:
    (net / "eth0").mkdir()
    assert interfaces._stacked("eth0", NIC) == ()
    assert interfaces._stacked("gone", NIC) == ()
    assert interfaces._stacked("../eth0", NIC) == ()
    assert interfaces._stacked("eth0", Interface("eth0", 1)) == (), "it has no clock"


def test_phcs_are_listed_by_number(clocks: Path) -> None:
    for index in (10, 9, 0):
        entry = clocks / f"ptp{index}"
        entry.mkdir()
        (entry / "clock_name").write_text(f"clock \x1b{index}\n")
    (clocks / "something").mkdir()
    found = devices()
    assert [d.index for d in found] == [0, 9, 10]
    assert found[1] == Device("/dev/ptp9", 9, "clock ?9")


def test_virtual_clocks(clocks: Path) -> None:
    (clocks / "ptp0").mkdir()
    (clocks / "ptp0" / "n_vclocks").write_text("2\n")
    (clocks / "ptp1").mkdir()
    (clocks / "ptp1" / "device").symlink_to(clocks / "ptp0")
    assert [(d.virtual_of, d.virtual_clocks) for d in devices()] == [(None, 2), (0, 0)]


def test_a_link_to_a_phc_has_its_number(clocks: Path, tmp_path: Path) -> None:
    (tmp_path / "ptp_kvm").symlink_to("/dev/ptp3")
    assert device(str(tmp_path / "ptp_kvm")).index == 3
    assert device("/dev/zero").index is None


def test_no_sysfs_is_no_phc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phc, "CLASS", Path("/nowhere"))
    assert devices() == []


@pytest.mark.parametrize(
    ("number", "words", "fixed"),
    [
        (errno.EACCES, "no permission", True),
        (errno.EPERM, "no permission", True),
        (errno.ENOENT, "not there", False),
        (errno.ENOTTY, "no PTP hardware clock", False),
        (errno.ENODEV, "gone", False),
        (errno.EBUSY, "busy", False),
        (errno.EIO, "Input/output error", False),
    ],
)
def test_every_failure_has_a_reason(number: int, words: str, fixed: bool) -> None:
    reason, fix = why_not(OSError(number, "Input/output error"), "/dev/ptp0")
    assert words in reason
    assert "/dev/ptp0" in reason
    assert (fix is not None) == fixed


@pytest.mark.parametrize("name", ["nosuch0", "", "x" * 15, "x" * 16, "x" * 4000, "a/b", "eth\xff"])
def test_no_such_interface(name: str) -> None:
    with pytest.raises(OSError, match="No such device") as caught:
        interface(name)
    assert caught.value.errno == errno.ENODEV
