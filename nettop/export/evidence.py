"""What a host says beside its sockets, as keys host_* of the snapshot, and back.

A list for each source; `increase` holds what moved since the read before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from nettop.export.values import integer, mapping, objects, optional_integer, optional_text, text
from nettop.model.evidence import (
    SOURCES,
    Device,
    Evidence,
    HostTick,
    Key,
    Moved,
    NextHop,
    Numbers,
    Process,
    Qdisc,
)
from nettop.text.evidence import (
    CGROUP,
    CONNTRACK,
    COUNTERS,
    DEVICE,
    DRIVER,
    NEIGHBOURS,
    PRESSURE,
    PROCESS,
    QDISC,
    QUEUE,
    RECEIVER,
    SOFTNET,
    SYSCTL,
    Meaning,
)

_DELTA = "what moved since the read before, by the same names; left out if nothing did"
_ZERO = "; left out if 0"


def _numbers(key: str, of: Mapping[str, Meaning], about: str, zero: str = "") -> dict[str, str]:
    """Keys of a list's numbers and of their increases."""
    out = {f"{key}[].values": about}
    out |= {f"{key}[].values.{n}": f"{m.unit} {m.says}{zero}" for n, m in of.items()}
    return out | {f"{key}[].increase": _DELTA, f"{key}[].increase.*": "of the name, in its unit"}


KEYS: dict[str, str] = {
    "host_counters": "the kernel's own counters of each polled namespace, whatever the filter",
    "host_counters[].netns": "inode of the network namespace",
    **_numbers("host_counters", COUNTERS, "since it was made, as far as the kernel has them; "
               "named as nstat does"),
    "host_softnet": "CPUs that have anything to say of packets coming in (/proc/net/softnet_stat)",
    "host_softnet[].cpu_number": "number of the CPU",
    **_numbers("host_softnet", SOFTNET, "since boot", _ZERO),
    "host_pressure": "stall times of /proc/pressure; left out where the kernel keeps none",
    "host_pressure[].name": "cpu, memory or io",
    **_numbers("host_pressure", PRESSURE, "since boot"),
    "host_devices": "network devices of the polled namespaces (`ip -s link`)",
    "host_devices[].netns": "inode of the network namespace",
    "host_devices[].ifindex": "number of the device",
    "host_devices[].name": "its name",
    **_numbers("host_devices", DEVICE, "since it was made", _ZERO),
    "host_qdiscs": "their queueing disciplines but those without a queue (`tc -s qdisc`)",
    "host_qdiscs[].netns": "inode of the network namespace",
    "host_qdiscs[].ifindex": "number of the device",
    "host_qdiscs[].kind": "fq, fq_codel, tbf …",
    "host_qdiscs[].handle": "as tc writes it",
    "host_qdiscs[].parent": "root, ingress, or a class",
    **_numbers("host_qdiscs", QDISC, "since it was made", _ZERO),
    "host_processes": "those that hold a socket with a verdict, or that may have one soon: whether "
    "the CPU was given to their threads; times since the read before, left out in the first",
    "host_processes[].pid": "process id",
    "host_processes[].cgroup": "path of the cgroup that limits its CPU",
    "host_processes[].frozen": "path of its cgroup, if that is frozen: paused",
    "host_processes[].states": "threads by the letter of their state (proc_pid_stat(5))",
    "host_processes[].states.*": "how many",
    "host_processes[].names": "of threads that are known to read sockets with a verdict",
    "host_processes[].names.*": "the name, by thread id",
    **{f"host_processes[].{n}": f"{m.unit} {m.says}" for n, m in PROCESS.items()},
    "host_cgroups": "cgroups of these processes, and those above that have a quota",
    "host_cgroups[].path": "below the mount",
    **_numbers("host_cgroups", CGROUP, "since it was made"),
    "host_conntrack": "namespaces that follow connections: the table of nf_conntrack",
    "host_conntrack[].netns": "inode of the network namespace",
    **_numbers("host_conntrack", CONNTRACK, "since boot", _ZERO),
    "host_neighbours": "the host's tables of neighbours; left out where they cannot be seen",
    "host_neighbours[].name": "arp (IPv4), ndisc (IPv6)",
    **_numbers("host_neighbours", NEIGHBOURS, "since boot", _ZERO),
    "host_drivers": "NICs whose drivers' own counters are known here (`ethtool -S`), by one "
    "vocabulary",
    "host_drivers[].netns": "inode of the network namespace",
    "host_drivers[].ifindex": "number of the device",
    "host_drivers[].name": "its name",
    **_numbers("host_drivers", DRIVER, "since the driver was loaded", _ZERO),
    "host_receivers": "kernel threads that take packets in (ksoftirqd, NAPI), while a socket has a "
    "verdict",
    "host_receivers[].name": "of the thread",
    **_numbers("host_receivers", RECEIVER, "since it began"),
    "host_routes": "by which device sockets with a verdict send (`ip route get`)",
    "host_routes[].netns": "inode of the network namespace",
    "host_routes[].ends": "their two addresses",
    "host_routes[].ifindex": "number of the device; 0: there is no route",
    "host_next_hops": "the neighbour that sockets without an answer send to (`ip neigh`), read "
    "with host_routes",
    "host_next_hops[].netns": "inode of the network namespace",
    "host_next_hops[].ends": "the two addresses of such a socket",
    "host_next_hops[].gateway": "its address; left out where it is the peer itself",
    "host_next_hops[].state": "INCOMPLETE or FAILED: it does not answer ARP, or neighbour "
    "discovery; else as ip neigh writes it",
    "host_sysctls": "limits of the kernel's own, of namespaces where a socket has a verdict",
    "host_sysctls[].netns": "inode of the network namespace",
    "host_sysctls[].values": "as they are set",
    **{f"host_sysctls[].values.{n}": f"{m.unit} {m.says}" for n, m in SYSCTL.items()},
    "host_queues": "root qdiscs that were looked at more often, while a round trip is long",
    "host_queues[].netns": "inode of the network namespace",
    "host_queues[].ifindex": "number of the device",
    "host_queues[].values": "since the read before of host_qdiscs",
    **{f"host_queues[].values.{n}": f"{m.unit} {m.says}" for n, m in QUEUE.items()},
    "host_reads": "when each of these was read: what is dear is not read in every poll",
    "host_reads[].name": ", ".join(SOURCES),
    "host_reads[].at_ns": "CLOCK_MONOTONIC of its last read; left out if it was not read",
    "host_reads[].since_s": "seconds between its last two reads: the time of its increases",
    "host_reads[].reason": "what it lacks, and why",
    "host_reads[].left_out": "how many did not fit; left out if 0",
}  # fmt: skip
# Of keys that no name says it of, whose values are texts, for the shape of the snapshot.
TEXTS = frozenset({
    "host_processes[].frozen", "host_processes[].names.*", "host_routes[].ends",
    "host_next_hops[].ends", "host_next_hops[].gateway",
})  # fmt: skip
# Keys whose values are counts or numbers.
COUNTS = (
    "host_processes[].",
    "host_queues[].values.",
    *(f"host_{source}[].{part}" for source in SOURCES for part in ("values.", "increase.")),
)


def evidence_object(tick: HostTick) -> dict[str, Any]:
    """The keys host_*; empty if nothing was read."""
    now, moved = tick.now, tick.moved
    if not now.read_ns and not now.reasons:
        return {}
    # A recording keeps no order.
    lists: dict[str, list[dict[str, Any]]] = {
        "host_counters": [
            _with({"netns": netns}, numbers, moved.counters.get(netns))
            for netns, numbers in sorted(now.counters.items(), key=_KEY)
        ],
        "host_softnet": [
            _with({"cpu_number": cpu}, numbers, moved.softnet.get(cpu))
            for cpu, numbers in sorted(now.softnet.items(), key=_KEY)
        ],
        "host_pressure": [
            _with({"name": name}, numbers, moved.pressure.get(name))
            for name, numbers in sorted(now.pressure.items(), key=_KEY)
        ],
        "host_devices": _devices_objects(now.devices, moved.devices),
        "host_qdiscs": [
            _with({"netns": netns, "ifindex": q.ifindex, "kind": q.kind, "handle": q.handle,
                   "parent": q.parent}, q.numbers, moved.qdiscs.get(netns, {}).get(key))
            for netns, qdiscs in sorted(now.qdiscs.items(), key=_KEY)
            for key, q in sorted(qdiscs.items(), key=_KEY)
        ],
        "host_processes": [
            _process_object(pid, process)
            for pid, process in sorted(now.processes.items(), key=_KEY)
        ],
        "host_cgroups": [
            _with({"path": path}, numbers, moved.cgroups.get(path))
            for path, numbers in sorted(now.cgroups.items(), key=_KEY)
        ],
        "host_conntrack": [
            _with({"netns": netns}, numbers, moved.conntrack.get(netns))
            for netns, numbers in sorted(now.conntrack.items(), key=_KEY)
        ],
        "host_neighbours": [
            _with({"name": name}, numbers, moved.neighbours.get(name))
            for name, numbers in sorted(now.neighbours.items(), key=_KEY)
        ],
        "host_drivers": _devices_objects(now.drivers, moved.drivers),
        "host_receivers": [
            _with({"name": name}, numbers, moved.receivers.get(name))
            for name, numbers in sorted(now.receivers.items(), key=_KEY)
        ],
        "host_routes": [
            {"netns": netns, "ends": ends, "ifindex": ifindex}
            for netns, routes in sorted(now.routes.items(), key=_KEY)
            for ends, ifindex in sorted(routes.items(), key=_KEY)
        ],
        "host_next_hops": [
            {"netns": netns, "ends": ends, "state": hop.state}
            | ({"gateway": hop.gateway} if hop.gateway else {})
            for netns, hops in sorted(now.next_hops.items(), key=_KEY)
            for ends, hop in sorted(hops.items(), key=_KEY)
        ],
        "host_sysctls": [
            _with({"netns": netns}, numbers, None)
            for netns, numbers in sorted(now.sysctls.items(), key=_KEY)
        ],
        "host_queues": [
            _with({"netns": netns, "ifindex": ifindex}, numbers, None)
            for netns, queues in sorted(now.queues.items(), key=_KEY)
            for ifindex, numbers in sorted(queues.items(), key=_KEY)
        ],
        "host_reads": [_read_object(tick, source) for source in SOURCES],
    }  # fmt: skip
    return {key: items for key, items in lists.items() if items}


_KEY = itemgetter(0)


def _devices_objects(
    now: Mapping[int, Mapping[int, Device]], moved: Mapping[int, Mapping[int, Numbers]]
) -> list[dict[str, Any]]:
    return [
        _with({"netns": netns, "ifindex": ifindex, "name": device.name}, device.numbers,
              moved.get(netns, {}).get(ifindex))
        for netns, devices in sorted(now.items(), key=_KEY)
        for ifindex, device in sorted(devices.items(), key=_KEY)
    ]  # fmt: skip


def _with(head: dict[str, Any], numbers: Numbers, up: Numbers | None) -> dict[str, Any]:
    head["values"] = dict(numbers)
    if up:
        head["increase"] = dict(up)
    return head


def _process_object(pid: int, process: Process) -> dict[str, Any]:
    out: dict[str, Any] = {"pid": pid}
    for name in process.__struct_fields__:
        value = getattr(process, name)
        if name in ("states", "names") and value is not None:
            out[name] = dict(value)
        elif value is not None:
            out[name] = value
    return out


def _read_object(tick: HostTick, source: str) -> dict[str, Any]:
    now = tick.now
    known = {
        "at_ns": now.read_ns.get(source),
        "since_s": tick.moved.since_s.get(source),
        "reason": now.reasons.get(source),
        "left_out": now.left_out.get(source),
    }
    return {"name": source, **{key: value for key, value in known.items() if value is not None}}


def evidence_of(head: Mapping[str, Any]) -> HostTick:
    """What evidence_object wrote."""
    counters: dict[int, Numbers] = {}
    up_counters: dict[int, Numbers] = {}
    for item, at in _items(head, "host_counters"):
        _take(item, at, integer(item, "netns", at, 32), counters, up_counters)
    softnet: dict[int, Numbers] = {}
    up_softnet: dict[int, Numbers] = {}
    for item, at in _items(head, "host_softnet"):
        _take(item, at, integer(item, "cpu_number", at, 32), softnet, up_softnet)
    pressure: dict[str, Numbers] = {}
    up_pressure: dict[str, Numbers] = {}
    for item, at in _items(head, "host_pressure"):
        _take(item, at, text(item, "name", at), pressure, up_pressure)
    cgroups: dict[str, Numbers] = {}
    up_cgroups: dict[str, Numbers] = {}
    for item, at in _items(head, "host_cgroups"):
        _take(item, at, text(item, "path", at), cgroups, up_cgroups)
    conntrack: dict[int, Numbers] = {}
    up_conntrack: dict[int, Numbers] = {}
    for item, at in _items(head, "host_conntrack"):
        _take(item, at, integer(item, "netns", at, 32), conntrack, up_conntrack)
    neighbours: dict[str, Numbers] = {}
    up_neighbours: dict[str, Numbers] = {}
    for item, at in _items(head, "host_neighbours"):
        _take(item, at, text(item, "name", at), neighbours, up_neighbours)
    devices, up_devices = _devices_of(head, "host_devices")
    drivers, up_drivers = _devices_of(head, "host_drivers")
    qdiscs: dict[int, dict[str, Qdisc]] = {}
    up_qdiscs: dict[int, dict[str, Numbers]] = {}
    for item, at in _items(head, "host_qdiscs"):
        netns = integer(item, "netns", at, 32)
        qdisc = Qdisc(integer(item, "ifindex", at, 32), text(item, "kind", at),
                      text(item, "handle", at), text(item, "parent", at),
                      _map(item, "values", at))  # fmt: skip
        key = qdisc_key(qdisc)
        qdiscs.setdefault(netns, {})[key] = qdisc
        if "increase" in item:
            up_qdiscs.setdefault(netns, {})[key] = _map(item, "increase", at)
    receivers: dict[str, Numbers] = {}
    up_receivers: dict[str, Numbers] = {}
    for item, at in _items(head, "host_receivers"):
        _take(item, at, text(item, "name", at), receivers, up_receivers)
    routes: dict[int, dict[str, int]] = {}
    for item, at in _items(head, "host_routes"):
        of = routes.setdefault(integer(item, "netns", at, 32), {})
        of[text(item, "ends", at)] = integer(item, "ifindex", at, 32)
    next_hops: dict[int, dict[str, NextHop]] = {}
    for item, at in _items(head, "host_next_hops"):
        hops = next_hops.setdefault(integer(item, "netns", at, 32), {})
        hops[text(item, "ends", at)] = NextHop(
            text(item, "state", at), optional_text(item, "gateway", at)
        )
    sysctls: dict[int, Numbers] = {}
    for item, at in _items(head, "host_sysctls"):
        sysctls[integer(item, "netns", at, 32)] = _map(item, "values", at)
    queues: dict[int, dict[int, Numbers]] = {}
    for item, at in _items(head, "host_queues"):
        netns, ifindex = integer(item, "netns", at, 32), integer(item, "ifindex", at, 32)
        queues.setdefault(netns, {})[ifindex] = _map(item, "values", at)
    reads = {text(item, "name", at): (item, at) for item, at in _items(head, "host_reads")}

    def by_source(get: Callable[[Mapping[str, Any], str], Any]) -> dict[str, Any]:
        found = ((name, get(*reads[name])) for name in SOURCES if name in reads)
        return {name: value for name, value in found if value is not None}

    read_ns = by_source(lambda item, at: optional_integer(item, "at_ns", at))
    return HostTick(
        Evidence(
            counters, softnet, pressure, devices, qdiscs,
            dict(_process(item, at)
                 for item, at in _items(head, "host_processes")),
            cgroups,
            read_ns,
            by_source(lambda item, at: optional_text(item, "reason", at)),
            by_source(lambda item, at: optional_integer(item, "left_out", at)),
            conntrack, neighbours, drivers, receivers, routes, sysctls, queues,
            next_hops,
        ),
        Moved(
            up_counters, up_softnet, up_pressure, up_devices, up_qdiscs, up_cgroups,
            by_source(lambda item, _: _seconds(item)),
            up_conntrack, up_neighbours, up_drivers, up_receivers,
        ),
    )  # fmt: skip


def _devices_of(
    head: Mapping[str, Any], key: str
) -> tuple[dict[int, dict[int, Device]], dict[int, dict[int, Numbers]]]:
    found: dict[int, dict[int, Device]] = {}
    up: dict[int, dict[int, Numbers]] = {}
    for item, at in _items(head, key):
        netns, ifindex = integer(item, "netns", at, 32), integer(item, "ifindex", at, 32)
        device = Device(text(item, "name", at), _map(item, "values", at))
        found.setdefault(netns, {})[ifindex] = device
        if "increase" in item:
            up.setdefault(netns, {})[ifindex] = _map(item, "increase", at)
    return found, up


def qdisc_key(qdisc: Qdisc) -> str:
    """What distinguishes a qdisc from the others of its namespace."""
    return f"{qdisc.ifindex} {qdisc.parent} {qdisc.handle}"


def _items(head: Mapping[str, Any], key: str) -> list[tuple[Mapping[str, Any], str]]:
    return [(item, f"{key}[{at}].") for at, item in enumerate(objects(head, key, ""))]


def _take(
    item: Mapping[str, Any], at: str, key: Key, values: dict[Key, Numbers], ups: dict[Key, Numbers]
) -> None:
    values[key] = _map(item, "values", at)
    if "increase" in item:
        ups[key] = _map(item, "increase", at)


def _map(item: Mapping[str, Any], key: str, at: str) -> Numbers:
    numbers = mapping(item, key, at)
    return {name: integer(numbers, name, f"{at}{key}.", 64) for name in numbers}


def _seconds(item: Mapping[str, Any]) -> float | None:
    value = item.get("since_s")
    return None if value is None else float(value)


def _process(item: Mapping[str, Any], at: str) -> tuple[int, Process]:
    states, names = mapping(item, "states", at), mapping(item, "names", at)
    numbers = {
        name: optional_integer(item, name, at)
        for name in PROCESS
        if name not in ("threads", "read")
    }  # fmt: skip
    return integer(item, "pid", at, 32), Process(
        threads=integer(item, "threads", at, 32),
        read=integer(item, "read", at, 32),
        states={letter: integer(states, letter, f"{at}states.", 32) for letter in states},
        cgroup=optional_text(item, "cgroup", at),
        frozen=optional_text(item, "frozen", at),
        names={tid: text(names, tid, f"{at}names.") for tid in names} or None,
        **numbers,
    )
