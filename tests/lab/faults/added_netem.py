"""Faults that sch_netem makes at the router; many machines lack it, guests have it.

Each with a stream and with small requests. Packets pass one by one: of GSO's large ones netem would
lose and delay many at once.
"""

from __future__ import annotations

from tests.lab.faults import work
from tests.lab.faults.bed import VB, Bed
from tests.lab.faults.registry import Steps, client, scenario, server

STREAM, ASKS = 42170, 42171
DELAY = "delay 5ms"  # each way, before and after
TIMING = {"hold": 16.0, "tail": 1.0}


def _through(bed: Bed, fault: str) -> Steps:
    """What goes from A to B meets the fault."""
    for name, device in (("A", "vA"), ("B", "vB"), ("M", "mA"), ("M", "mB")):
        bed.ip(name, f"link set {device} gso_max_segs 1")
    for device in ("mA", "mB"):
        _netem(bed, "add", device, DELAY)
    bed.spawn("B", work.drain, STREAM)
    bed.spawn("B", work.answer, ASKS)
    bed.spawn("A", work.pour, VB, STREAM, 20_000, 0.05)
    bed.spawn("A", work.ask, VB, ASKS, 0.04)
    yield
    _netem(bed, "change", "mB", fault)
    yield
    _netem(bed, "change", "mB", DELAY)


def _netem(bed: Bed, how: str, device: str, what: str) -> None:
    bed.run("M", *f"tc qdisc {how} dev {device} root netem limit 10000 {what}".split())


@scenario("netem", "50 ms more on the way there",
          client(STREAM, "net", "sender", "rtt"),
          server(STREAM, "net", "receiver", blank_ok=True),
          client(ASKS, "net", "client", "rtt"), server(ASKS, "net", "server", "rtt"),
          **TIMING)  # fmt: skip
def netem_delay(bed: Bed) -> Steps:
    return _through(bed, "delay 55ms")


@scenario("netem", "2 % of the packets are lost on the way there",
          client(STREAM, "net", "sender", "loss", "rto"),
          server(STREAM, "net", "receiver"),
          client(ASKS, "net", "client", "loss", "rto", blank_ok=True),
          server(ASKS, "net", "server", blank_ok=True),
          **TIMING)  # fmt: skip
def netem_loss(bed: Bed) -> Steps:
    return _through(bed, f"{DELAY} loss 2%")


@scenario("netem", "25 % of the packets overtake the others by 5 ms",
          client(STREAM, "net", "sender"), server(STREAM, "net", "receiver", blank_ok=True),
          client(ASKS, "none", "client"), server(ASKS, "none", "server"),
          **TIMING)  # fmt: skip
def netem_reorder(bed: Bed) -> Steps:
    return _through(bed, f"{DELAY} reorder 25%")


@scenario("netem", "5 % of the packets come twice (harmless)",
          client(STREAM, "none", "sender"), server(STREAM, "none", "receiver"),
          client(ASKS, "none", "client"), server(ASKS, "none", "server"),
          **TIMING)  # fmt: skip
def netem_duplicate(bed: Bed) -> Steps:
    return _through(bed, f"{DELAY} duplicate 5%")
