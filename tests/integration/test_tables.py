"""Tables of connections and neighbours, and drivers' counters, against other readers of them."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.engine import wire
from nettop.model.causes import Candidate
from nettop.model.types import Verdict
from nettop.sources.drivers import NICS, Drivers, Named, driver_of, names_of, stats_of
from nettop.sources.evidence import HostEvidence
from nettop.sources.links import Links
from nettop.sources.routes import NextHops, RouteCache
from tests.integration.namespaces import inside, needs_root, run
from tests.integration.test_evidence import files_of, in_space

pytestmark = needs_root


def sent(space: str, ports: range) -> None:
    """A datagram to each port, from one socket."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for port in ports:
                s.sendto(b"x", ("127.0.0.1", port))

    inside(space, work)


@pytest.mark.needs_tools("iptables")
def test_a_namespace_that_follows_connections_says_how_many(space: str) -> None:
    if not Path("/proc/sys/net/netfilter/nf_conntrack_max").exists():
        pytest.skip("this kernel has no nf_conntrack")
    with files_of(space) as (inode, fds):
        made = HostEvidence()
        sent(space, range(9000, 9010))
        assert made.read({}, 1, {inode: fds}, ()).conntrack == {}
        rule = "iptables -A OUTPUT -p udp --dport 9100:9999 -m conntrack --ctstate NEW -j ACCEPT"
        in_space(space, *rule.split())
        sent(space, range(9100, 9130))
        got = HostEvidence().read({}, 1, {inode: fds}, ()).conntrack[inode]
        count = in_space(space, "sysctl", "-n", "net.netfilter.nf_conntrack_count")
    assert got["entries"] == int(count) >= 30
    assert got["entries_most"] == int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    assert got.get("drop", 0) == 0


def test_neighbours_are_those_of_ip(veth: tuple[str, str]) -> None:
    """The table is one for all namespaces; what comes in here is what it grows by."""
    before = HostEvidence().read({}, 1, {}, ()).neighbours
    if not before:
        pytest.skip("the machine's first network namespace is not seen from here")
    n = 40
    for last in range(n):
        run("ip", "-n", veth[0], "neigh", "add", f"10.9.0.{100 + last}", "lladdr",
            f"02:00:00:00:00:{last:02x}", "dev", "v0")  # fmt: skip
    listed = json.loads(in_space(veth[0], "ip", "-j", "neigh", "show", "nud", "permanent"))
    after = HostEvidence().read({}, 1, {}, ()).neighbours
    assert len(listed) == n
    # Others' entries come and go meanwhile.
    assert n - 10 <= after["arp"]["entries"] - before["arp"]["entries"] <= n + 10


@pytest.mark.needs_tools("ethtool")
def test_drivers_counters_are_those_of_ethtool() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        fd = route.fileno()
        devices, _ = Links().devices(fd)
        found, _ = Drivers().read(1, fd, devices)
        asked = 0
        for device in devices.values():
            try:
                driver = driver_of(fd, device.name)
                names = names_of(fd, device.name, stats_of(fd, device.name))
            except OSError:
                continue
            if not names:
                continue
            said = run("ethtool", "-S", device.name)
            pairs = re.findall(r"^ +(.+): (\d+)$", said, re.MULTILINE)
            assert names == [name for name, _ in pairs]
            asked += 1
            if driver in NICS:
                named = Named(driver, names).numbers([int(n) for _, n in pairs])
                mine = next(d for d in found.values() if d.name == device.name)
                assert named.keys() >= mine.numbers.keys()
                assert all(named[name] >= n for name, n in mine.numbers.items())
    if not asked:
        pytest.skip("no device here has a driver with counters")


def unanswered(netns: int, here: str, to: str) -> Candidate:
    """A socket of which nothing is acknowledged."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    none = Candidate._make(wire.CANDIDATE.unpack(bytes(wire.CANDIDATE.size)))
    src, dst = (socket.inet_pton(family, a).ljust(16, b"\0") for a in (here, to))
    return none._replace(
        cookie=1, src=src, dst=dst, dport=80, netns=netns, family=family, held=1 << Verdict.RTO
    )


@pytest.mark.parametrize("kind", ["none", "unreachable", "blackhole", "prohibit", "unicast"])
@pytest.mark.parametrize("far", ["192.0.2.7", "2001:db8::7"])
def test_a_route_that_refuses_is_none(veth: tuple[str, str], far: str, kind: str) -> None:
    here, hop = ("fd09::1", "fd09::2") if ":" in far else ("10.9.0.1", "10.9.0.2")
    if ":" in far:
        run("ip", "-n", veth[0], "addr", "replace", f"{here}/64", "dev", "v0", "nodad")
    route = (kind, far, *(("via", hop) if kind == "unicast" else ()))
    if kind != "none":
        run("ip", "-n", veth[0], "route", "add", *route)
    cache = RouteCache()
    with files_of(veth[0]) as (inode, fds):
        found = cache.read([unanswered(inode, here, far)], {inode: fds.route_fd})
    if kind != "none":
        run("ip", "-n", veth[0], "route", "del", *route)
    assert cache.reason is None
    leads = found[inode][f"{here} {far}"]
    assert (leads > 0) == (kind == "unicast")


@pytest.mark.parametrize("dead", ["10.9.0.9", "fd09::9"])
def test_the_next_hop_is_that_of_ip_and_stays_known_between_two_tries(
    veth: tuple[str, str], dead: str
) -> None:
    """A gateway that is not there, one that is, and a peer on the link; known answers."""
    family = socket.AF_INET6 if ":" in dead else socket.AF_INET
    here, far, near = ("fd09::1", "2001:db8::7", "fd09::2") if ":" in dead else (
        "10.9.0.1", "192.0.2.7", "10.9.0.2",
    )  # fmt: skip
    if family == socket.AF_INET6:
        for name, end, address in ((veth[0], "v0", here), (veth[1], "v0", near)):
            run("ip", "-n", name, "addr", "replace", f"{address}/64", "dev", end, "nodad")
    run("ip", "-n", veth[0], "route", "add", far, "via", dead)
    cache = RouteCache()

    def hops() -> NextHops:
        wanted = [unanswered(inode, here, to) for to in (far, near)]
        cache.read(wanted, {inode: fds.route_fd})
        return cache.next_hops(wanted, {inode: fds.route_fd})

    with files_of(veth[0]) as (inode, fds):
        assert f"{here} {far}" not in hops().get(inode, {}), "nobody was asked yet"

        def send() -> None:
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                for to in (far, near):
                    s.sendto(b"x", (to, 9))

        inside(veth[0], send)
        known = hops()[inode]
        gone, there = known[f"{here} {far}"], known[f"{here} {near}"]
        assert (gone.gateway, there.gateway) == (dead, None)
        assert gone.state in ("INCOMPLETE", "FAILED")
        assert there.state not in ("INCOMPLETE", "FAILED")
        listed = json.loads(in_space(veth[0], "ip", "-j", "neigh", "show", dead))
        assert gone.state in listed[0]["state"]
        run("ip", "-n", veth[0], "neigh", "del", dead, "dev", "v0")
        assert hops()[inode][f"{here} {far}"] == gone
