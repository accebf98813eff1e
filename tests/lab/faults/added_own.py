"""Faults of the own kernel that look like the network's: shapers, and rules that drop early."""

from __future__ import annotations

from tests.lab.faults import work
from tests.lab.faults.bed import VA, VB, Bed
from tests.lab.faults.registry import Steps, client, scenario, server

SHAPED = "rate 8mbit burst 16kb latency 60ms"


def _tc(bed: Bed, rest: str) -> None:
    bed.run("A", "tc", *rest.split())


@scenario("kern", "the client's own firewall drops 3 packets of 10 before it knows their socket",
          client(42130, "kern", "client"),
          server(42130, "net", "server", also=("kern",), blank_ok=True))  # fmt: skip
def firewall_before_socket(bed: Bed) -> Steps:
    bed.spawn("B", work.answer, 42130)
    bed.spawn("A", work.ask, VB, 42130, 0.02)
    yield
    rule = "-p tcp -s 10.42.2.0/24 -m statistic --mode random --probability 0.3 -j DROP"
    bed.iptables("A", f"-t raw -A PREROUTING {rule}")
    yield
    bed.iptables("A", "-t raw -F PREROUTING")


@scenario("kern", "a bulk flow fills the own tbf of 8 Mbit/s, and small requests wait behind it",
          client(42131, "kern", "requests", "qdisc"),
          client(42132, "kern", "bulk"))  # fmt: skip
def requests_behind_bulk(bed: Bed) -> Steps:
    _tc(bed, f"qdisc add dev vA root tbf {SHAPED}")
    bed.spawn("B", work.answer, 42131)
    bed.spawn("A", work.ask, VB, 42131, 0.05)
    bed.spawn("B", work.drain, 42132)
    bed.spawn("A", work.pour, VB, 42132, 65536, 0.0, under_fault=True)
    yield
    yield


@scenario("kern", "what comes in passes a shaper of the own host (ifb, tbf), which a bulk fills",
          client(42133, "kern", "requests", "qdisc", blank_ok=True),  # it is kern?, not certain
          server(42134, "kern", "receiver", "drops", end="A", blank_ok=True))  # fmt: skip
def shaped_on_the_way_in(bed: Bed) -> Steps:
    bed.ip("A", "link add ifb0 type ifb")
    bed.ip("A", "link set ifb0 up")
    _tc(bed, f"qdisc add dev ifb0 root tbf {SHAPED}")
    _tc(bed, "qdisc add dev vA ingress")
    all_of_it = "protocol ip u32 match u32 0 0"
    _tc(bed, f"filter add dev vA parent ffff: {all_of_it} action mirred egress redirect dev ifb0")
    bed.spawn("B", work.answer, 42133)
    bed.spawn("A", work.ask, VB, 42133, 0.02)
    bed.spawn("A", work.drain, 42134)
    bed.spawn("B", work.pour, VA, 42134, 65536, 0.0, under_fault=True)
    yield
    yield
