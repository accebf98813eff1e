"""nettop on real kernels: every plane gives the known answer there, or the right reason why not.

NETTOP_VM=0 leaves the guests out; NETTOP_VM_KERNELS=6.1,newest boots these alone. Those that are
asked for one answer only (6.16) are booted when they are named.
"""

from __future__ import annotations

import os
import platform
from typing import Any

import pytest

from tests.vm.boots import GUEST_S, chosen_for
from tests.vm.expected import BPF_PLANES, EXACT, KERNELS, STAMPS, Expected
from tests.vm.guest import GuestReport
from tests.vm.scenarios import recordings

MS = 1_000_000
pytestmark = [
    pytest.mark.skipif(os.environ.get("NETTOP_VM") == "0", reason="NETTOP_VM=0: no guests"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the guests are x86-64"),
    pytest.mark.timeout(GUEST_S),
]


@pytest.fixture
def wanted(report: GuestReport) -> Expected:
    return KERNELS[report.kernel.name]


def fact(report: GuestReport, name: str) -> Any:
    """What a scenario returned; a scenario that raised fails here."""
    assert name not in report.errors, report.errors[name]
    assert name in report.facts, report.console[-3000:]
    return report.facts[name]


def skip_unless_judged(wanted: Expected, *, brief: bool = False) -> None:
    """brief: kernels that have one known answer of each plane have this one."""
    if wanted.wait is None:
        pytest.skip("no BPF planes on this kernel")
    if wanted.only_sends or (wanted.brief and not brief):
        pytest.skip("judged on the kernels beside it")


def test_planes_work_or_say_why_not(report: GuestReport, wanted: Expected) -> None:
    doctor = fact(report, "planes.doctor")
    assert doctor["kernel"] == report.kernel.release
    assert doctor["tcp_info_bytes"] == wanted.tcp_info_bytes
    sources = {s["name"]: s for s in doctor["sources"]}
    for plane in BPF_PLANES:
        method = getattr(wanted, plane)
        source = sources[plane]
        assert source.get("method") == method, source
        assert (source["state"] == "off") == (method is None), source
        if plane in wanted.reasons:
            assert wanted.reasons[plane] in source["reason"]
        else:
            assert source["state"] == "ok", source
    for plane in ("diag", "stamps", *(["split"] if wanted.wait == EXACT else [])):
        assert sources[plane]["state"] == "ok", sources[plane]


def test_tcp_passes_no_program_of_udp(report: GuestReport, wanted: Expected) -> None:
    """Where functions can be followed, as on all of these. The kernel cuts names at 15 letters."""
    loaded = set(fact(report, "planes.programs"))
    if wanted.wait == EXACT:
        assert {"wait_udp_consum", "wait_udp_sent_4", "wait_udp_sent_6"} <= loaded
        assert not {"wait_udp_taken", "wait_udp_sent"} & loaded


def test_known_answers(report: GuestReport, wanted: Expected) -> None:
    """What of tests/integration holds here, within 10 % or 2 ms."""
    if wanted.only_sends:
        pytest.skip("judged on the kernels beside it")
    ran = fact(report, "suites.chosen")
    failed = {name: ran["why"][name] for name, o in ran["outcomes"].items() if o == "failed"}
    assert not failed, "\n".join(f"{name}: {why}" for name, why in failed.items())
    passed = [name for name, outcome in ran["outcomes"].items() if outcome == "passed"]
    for file in chosen_for(wanted):
        assert any(name.startswith(f"tests/integration/{file}") for name in passed), file


def test_the_ladder_of_privilege(report: GuestReport, wanted: Expected) -> None:
    """Root has all, two capabilities the waits and events, nobody the numbers of every socket."""
    if wanted.wait is not None:
        skip_unless_judged(wanted)
    ladder = fact(report, "privilege.ladder")
    for who in ("root", "two", "nobody"):
        assert ladder[who]["diag"][0] == "ok", ladder[who]
        assert ladder[who]["stamps"][0] == "ok"
    for plane in ("wait", "events"):
        if getattr(wanted, plane) is None:
            continue
        assert ladder["root"][plane][0] in ("ok", "partial")
        assert ladder["two"][plane][0] in ("ok", "partial"), ladder["two"][plane]
        state, _, reason = ladder["nobody"][plane]
        assert (state, reason) == ("off", "needs CAP_BPF and CAP_PERFMON")
    assert ladder["nobody"]["stages"][0] == "off"
    if wanted.stages == "tracepoints":
        missing = "needs CAP_NET_ADMIN and CAP_SYS_ADMIN"
        assert ladder["two"]["stages"][2] == f"TX stages before Linux 6.15: {missing}"


def test_a_recording_says_the_same_there(report: GuestReport, wanted: Expected) -> None:
    """As nobody, on a kernel that has other counters, other drop reasons and no such sockets."""
    skip_unless_judged(wanted)
    assert fact(report, "recordings.replayed") == recordings.replayed()


def test_delay(report: GuestReport, wanted: Expected) -> None:
    """30 ms on the way back: in SRTT and in the ACK stage, not in the wait of who reads at once."""
    skip_unless_judged(wanted, brief=True)
    seen = fact(report, "netem.delay")
    assert 29_000 <= seen["srtt_us"] <= 40_000
    count, p50, _ = seen["wait"]
    assert count == 15
    assert p50 < 5 * MS
    acked, ack = seen["ack"]
    assert acked == 15
    assert 29 * MS <= ack <= 38 * MS


def test_loss(report: GuestReport, wanted: Expected) -> None:
    """2 %: every retransmission that the namespace counted is the connection's."""
    skip_unless_judged(wanted, brief=True)
    seen = fact(report, "netem.loss")
    assert seen["total_retrans"] == seen["retrans_segs"] > 0
    assert seen["bytes_received"] == seen["size"]


def test_reordering(report: GuestReport, wanted: Expected) -> None:
    """Data that waits for what it overtook is not readable yet: no wait of the program."""
    skip_unless_judged(wanted)
    seen = fact(report, "netem.reorder")
    count, p50, p99 = seen["wait"]
    assert count > 0
    assert p50 < 5 * MS
    assert p99 < 15 * MS, "the 20 ms of the network are not the program's"


def test_duplicates(report: GuestReport, wanted: Expected) -> None:
    """What came twice was received once."""
    skip_unless_judged(wanted)
    seen = fact(report, "netem.duplicate")
    assert seen["bytes_received"] == seen["size"]
    assert seen["bytes_acked"] >= seen["size"]


def test_path(report: GuestReport, wanted: Expected) -> None:
    """Readers 50 ms late: the packets reach the sockets at once, and their reads 50 ms later, or
    as much later as the reader itself says."""
    skip_unless_judged(wanted, brief=True)
    seen = dict(fact(report, "path.late_readers"))
    late = seen.pop("late")
    assert seen.pop("status")[:2] == ["ok", "fentry"]
    assert set(seen) == {"IP", "TCP", "UDP", "TCP_QUEUED", "UDP_QUEUED", "TCP_READ", "UDP_READ"}
    for hook in ("TCP_READ", "UDP_READ"):
        count, p50, most, *_ = seen[hook]
        assert count == 5
        assert 50 * MS <= p50 <= late[hook][2] * 1.016 + MS, hook
        assert p50 <= most <= late[hook][-1] + MS, hook
    for hook in ("IP", "TCP", "UDP", "TCP_QUEUED", "UDP_QUEUED"):
        count, p50, *_ = seen[hook]
        assert count >= 5
        assert p50 < 5 * MS, hook
    assert all(impossible == 0 for *_, impossible, _behind in seen.values())


def test_stamping_ends_with_the_path_plane(report: GuestReport, wanted: Expected) -> None:
    skip_unless_judged(wanted)
    seen = fact(report, "path.stamping_ends")
    assert (seen["on"], seen["after"]) == (10, 0)


def test_no_stamped_send_is_lost(report: GuestReport, wanted: Expected) -> None:
    """Writes of 100 B to 4 MB."""
    if wanted.stages != STAMPS:
        pytest.skip("no BPF timestamping on this kernel")
    seen = fact(report, "sends.sizes")
    assert seen.pop("method") == STAMPS
    for size, sends in seen.items():
        assert (sends["sends"], sends["open"], sends["lost"]) == (3, 0, 0), (size, sends)
        for stage in ("TCP", "QDISC", "ACK", "TOTAL"):
            assert sends["stages"][stage] == 3, (size, stage, sends)
