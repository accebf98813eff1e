"""How full this host's tables are, and what drivers of NICs count: parsers and vocabularies."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.evidence import Device
from nettop.sources import drivers, tables
from nettop.sources.drivers import Drivers, Named

CONNTRACK = (
    b"entries  clashres found new invalid ignore delete chainlength insert insert_failed drop "
    b"early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
    b"0000002a  00000000 00000000 00000000 00000003 00000000 00000000 00000000 00000000 00000001 "
    b"0000000c 00000000 00000000  00000000 00000000 00000000 00000000\n"
    b"0000002a  00000000 00000000 00000000 00000010 00000000 00000000 00000000 00000000 00000000 "
    b"00000004 00000002 00000000  00000000 00000000 00000000 00000000\n"
)
ARP = (
    b"entries  allocs   destroys hash_grows lookups  hits     res_failed rcv_probes_mcast "
    b"rcv_probes_ucast periodic_gc_runs forced_gc_runs unresolved_discards table_fulls\n"
    b"00000400  00000001 00000002 00000003   00000004 00000005 00000006   00000007 00000008 "
    b"00000009 0000000a 0000000b 0000000c\n"
    b"00000400  00000001 00000002 00000003   00000004 00000005 00000000   00000007 00000008 "
    b"00000009 00000000 00000000 00000004\n"
)


def test_connections_that_are_followed() -> None:
    assert tables.parse_conntrack(CONNTRACK, 64) == {
        "entries": 42, "entries_most": 64, "drop": 16, "early_drop": 2, "insert_failed": 1,
        "invalid": 19,
    }  # fmt: skip
    assert "entries_most" not in tables.parse_conntrack(CONNTRACK, None)


@pytest.mark.parametrize("raw", [b"", b"entries drop\n", b"entries drop\n0 0\n", b"x\ny z\n\xff\n"])
def test_a_namespace_that_follows_none_says_nothing(raw: bytes) -> None:
    assert tables.parse_conntrack(raw, 64) == {}


def test_older_kernels_have_fewer_columns() -> None:
    raw = b"entries searched drop\n5 6 7\n5 6\n"
    assert tables.parse_conntrack(raw, None) == {"entries": 5, "drop": 7}


def test_neighbours(tmp_path: Path) -> None:
    for place, text in {
        "net/stat/arp_cache": ARP, "1/net/stat/ndisc_cache": ARP,
        "sys/net/ipv4/neigh/default/gc_thresh3": b"1024\n",
    }.items():  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(text)
    found = tables.read_neighbours(tmp_path)
    assert found["arp"] == {
        "entries": 1024, "entries_most": 1024, "table_fulls": 16, "unresolved_discards": 11,
        "res_failed": 6, "forced_gc_runs": 10,
    }  # fmt: skip
    # From another namespace the limit is not seen.
    assert found["ndisc"] == {k: n for k, n in found["arp"].items() if k != "entries_most"}
    assert tables.read_neighbours(tmp_path / "none") == {}


ENA = [
    "tx_timeout", "suspend", "resume", "bw_in_allowance_exceeded", "bw_out_allowance_exceeded",
    "pps_allowance_exceeded", "conntrack_allowance_exceeded", "conntrack_allowance_available",
    "linklocal_allowance_exceeded", "queue_0_tx_cnt", "queue_0_tx_queue_stop", "queue_1_tx_cnt",
    "queue_1_tx_queue_stop",
]  # fmt: skip
VIRTIO = ["rx_drops", "rx_xdp_drops", "rx0_drops", "rx0_xdp_drops", "tx0_kicks", "rx1_drops"]
OLD_VIRTIO = ["rx_queue_0_packets", "rx_queue_0_drops", "rx_queue_0_xdp_drops", "rx_queue_1_drops"]
GVE = ["rx_queue_drop_cnt[0]", "rx_no_buffers_posted[0]", "rx_no_buffers_posted[1]", "tx_stop[0]"]
MLX5 = ["rx_packets", "rx_out_of_buffer", "rx_discards_phy", "rx_pause_ctrl_phy", "rx0_packets"]
IXGBE = [
    "rx_missed_errors", "tx_restart_queue", "tx_flow_control_xoff", "rx_flow_control_xoff",
    "rx_no_dma_resources", "tx_hwtstamp_timeouts", "tx_hwtstamp_skipped",
]  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "names", "wanted"),
    [
        ("ena", ENA, {
            "allowance_bandwidth_in": 3, "allowance_bandwidth_out": 4, "allowance_packets": 5,
            "allowance_connections": 6, "allowance_link_local": 8, "tx_ring_full": 10 + 12,
        }),
        # The total and that of each queue are not added up.
        ("virtio_net", VIRTIO, {"rx_driver_drops": 2 + 5}),
        ("virtio_net", OLD_VIRTIO, {"rx_driver_drops": 1 + 3}),
        ("gve", GVE, {"rx_ring_full": 1 + 2, "tx_ring_full": 3}),
        ("mlx5_core", MLX5, {"rx_ring_full": 1, "rx_port_discards": 2, "rx_pauses": 3}),
        ("ixgbe", IXGBE, {
            "tx_ring_full": 1, "tx_pauses": 2, "rx_pauses": 3, "rx_ring_full": 4,
            "tx_stamps_lost": 5, "tx_stamps_skipped": 6,
        }),
        ("veth", ["peer_ifindex", "rx_queue_0_drops"], {}),
        ("ena", [], {}),
    ],
)  # fmt: skip
def test_drivers_names_are_one_vocabulary(
    driver: str, names: list[str], wanted: dict[str, int]
) -> None:
    """Each number is its own place in the list."""
    assert Named(driver, names).numbers(range(len(names))) == wanted
    assert Named(driver, names).numbers([0] * len(names)) == {}


def test_names_are_asked_once_until_there_are_more(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = {"rx0_drops": 4}
    asked: list[str] = []

    def names_of(fd: int, name: str, total: int) -> list[str]:
        asked.append(name)
        return list(stats)

    monkeypatch.setattr(drivers, "driver_of", lambda fd, name: {"eth0": "virtio_net"}[name])
    monkeypatch.setattr(drivers, "stats_of", lambda fd, name: len(stats))
    monkeypatch.setattr(drivers, "names_of", names_of)
    monkeypatch.setattr(drivers, "values_of", lambda fd, name, total: tuple(stats.values()))
    made = Drivers()
    there = {1: Device("eth0")}
    for _ in range(2):
        found, left_out = made.read(7, 3, there)
    assert (found, left_out) == ({1: Device("eth0", {"rx_driver_drops": 4})}, 0)
    assert asked == ["eth0"]
    stats["rx1_drops"] = 6
    assert made.read(7, 3, there)[0][1].numbers == {"rx_driver_drops": 10}
    assert len(asked) == 2
    made.forget({})
    made.read(7, 3, there)
    assert len(asked) == 3


def test_devices_that_say_nothing_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def driver_of(fd: int, name: str) -> str:
        calls.append(name)
        if name == "lo":
            raise OSError(95, "Operation not supported")
        return "veth"

    monkeypatch.setattr(drivers, "driver_of", driver_of)
    made = Drivers()
    for _ in range(2):
        assert made.read(7, 3, {1: Device("lo"), 2: Device("v0")}) == ({}, 0)
    assert calls == ["lo", "v0"]
    many = {n: Device(f"v{n}") for n in range(70)}
    assert made.read(7, 3, many) == ({}, 6)


def test_the_loopback_device_of_this_host_has_no_driver() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        assert Drivers().read(1, route.fileno(), {1: Device("lo"), 2: Device("nosuch")}) == ({}, 0)
