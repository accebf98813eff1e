"""Every key of the JSON nettop.why/1, with unit and meaning; `[]` marks elements of a list."""

from __future__ import annotations

from nettop.text.verdicts import NAMES, VERDICTS

SCHEMA = "nettop.why/1"
HOSTS_SCHEMA = "nettop.why-hosts/1"

_SOCKET = {
    "cookie": "SO_COOKIE",
    "netns": "inode of the network namespace",
    "netns_name": "its name",
    "proto": "tcp, udp or mptcp",
    "local": "address:port",
    "remote": "address:port; left out where there is none",
    "owner": "program/pid, or why none is known: (orphan), (not accepted) …",
    "pid": "of the first process that holds it",
    "comm": "its name (the kernel's comm)",
    "cgroup": "cgroup v2 path",
    "container": "container, pod or service of that path",
}

KEYS: dict[str, str] = {
    "schema": f'"{SCHEMA}"',
    "host": "name of the host that was looked at",
    "kernel": "release of its kernel",
    "nettop": "version that looked",
    "file": "name of the recording or snapshot; left out for this host, now",
    "filter": "the filter in force, as it was written",
    "from": "UTC time of the first tick, RFC 3339 with nanoseconds",
    "to": "of the last",
    "seconds": "between them",
    "ticks": "how many were looked at",
    "sockets": "that were listed, the most at once",
    "matched": "of these, that passed the filter, or are rows without one",
    "findings": "what is wrong, worst first; empty: nothing",
    "findings[].level": "watch or unwell",
    "findings[].who": "whose fault: app, cpu, kern, nic, net or peer; with ? likely but not "
    "certain, ? alone: not known from this host",
    "findings[].party": "whom or what it is about: program/pid, `to ADDRESS`; left out: this host",
    "findings[].thread": "id of the thread that its sockets wait for, as far as it is known whom "
    "they wait for; left out: not known, or several",
    "findings[].thread_name": "its name (the kernel's comm), where that was read",
    "findings[].verdict": f"of the worst socket: {', '.join(NAMES)}",
    "findings[].what": "the verdict in words",
    "findings[].summary": "who, party and what in one line",
    "findings[].evidence": "numbers that the verdict rests on, of the worst socket",
    "findings[].ruled_out": "other causes with the numbers that exclude them",
    "findings[].unknown": "what stays open, in words",
    "findings[].next": "a command to run or a place to look",
    "findings[].cost": "share of the flow's time or bytes that it takes, 0 to 1, of the worst "
    "socket; left out where the number does not say",
    "findings[].held_s": "how long it held while one looked, of the socket with the longest",
    "findings[].unwell_s": "how long of this it was unwell, of the socket with the longest",
    "findings[].from": "UTC time of the first tick in which it held",
    "findings[].to": "of the last",
    "findings[].count": "sockets that share it",
    "findings[].sockets": "these, worst first, at most 100",
    **{f"findings[].sockets[].{key}": text for key, text in _SOCKET.items()},
    "findings[].sockets[].level": "watch or unwell",
    "findings[].sockets[].verdict": "as above",
    "findings[].sockets[].value": "the number that it was judged by, in the worst tick",
    "findings[].sockets[].unit": ", ".join(dict.fromkeys(v.unit for v in VERDICTS.values())),
    "findings[].sockets[].why": "the verdict with its number in words",
    "findings[].sockets[].held_s": "how long it held while one looked",
    "findings[].sockets[].unwell_s": "and was unwell of this",
    **{
        f"findings[].{place}[].{key}": text
        for place in ("evidence", "ruled_out")
        for key, text in {
            "source": "the plane that the number is from",
            "value": "the number; left out where it is in the words alone",
            "unit": "its unit",
            "says": "in words",
        }.items()
    },
    "spells": "each verdict of a socket from when it began to hold until it ended, by its begin",
    **{f"spells[].{key}": text for key, text in _SOCKET.items()},
    "spells[].verdict": "as of findings",
    "spells[].level": "the loudest that it was",
    "spells[].who": "whose fault in most of its ticks; left out where it never was one of the "
    "socket's worst two",
    "spells[].why": "the verdict with its worst number in words",
    "spells[].from": "UTC time of the first tick in which it held",
    "spells[].to": "of the tick in which it held no more, or of the last tick",
    "spells[].ticks": "in which it held",
    "spells[].worst": "its worst number; left out where it never was one of the socket's worst two "
    "and no gauge says it",
    "spells[].unit": "unit of it",
    "refused": "connections and datagrams that were refused, by where they went, most first; left "
    "out where none was",
    "refused[].proto": "tcp, udp",
    "refused[].remote": "address:port",
    "refused[].count": "TCP connections; of UDP answers, of which one may stand for several sends",
    "refused[].programs": "that asked, most first; left out where none is known",
    "host_moved": "the host's own numbers that grew; left out where they were not read twice",
    "host_moved[].source": "counters, softnet, pressure, devices, qdiscs, cgroups, "
    "conntrack, neighbours or drivers",
    "host_moved[].place": "device, qdisc, cgroup, or cpu, memory, io, or arp, ndisc; left "
    "out: the host",
    "host_moved[].name": "as host_* of nettop.snapshot/1 have it",
    "host_moved[].grew": "by how much",
    "host_moved[].unit": "its unit",
    "host_moved[].says": "what that means",
    "host_moved[].trouble": "true: it stands still on a healthy host",
    "drop_reasons": "packets dropped on the host by the kernel's name of the reason",
    "drop_reasons.*": "how many",
    "events": "what happened to sockets, by type",
    "events.*": "how many",
    "rx_wait": "RX queue wait of the whole look; of the sockets that match under a filter",
    **{
        f"{place}.{key}": text
        for place in ("rx_wait", "tx.*")
        for key, text in {
            "count": "how many; 0: the others are left out",
            "p50_ns": "median, the upper edge of its bucket",
            "p90_ns": "90th percentile",
            "p99_ns": "99th percentile",
            "max_ns": "the longest",
            "sum_ns": "all together",
        }.items()
    },
    "tx": "where stamped sends spent their time, by stage; left out where none was stamped",
    "tx.*": "one stage",
    "not_known": "what cannot be said, as a source was off or partial",
    "not_known[].source": "the plane",
    "not_known[].state": "off or partial",
    "not_known[].reason": "why",
    "not_known[].fix": "the command that would help",
    "not_known[].ticks": "in how many ticks it was",
    "not_known[].says": "what therefore is not known",
    "own": "what nettop itself left out",
    "own.missed_ticks": "polls left out because the one before took too long",
    "own.lost_events": "records of the planes that were lost",
    "own.unlisted_events": "events counted without a record",
    "own.restarts": "dumps begun again",
    "own.malformed": "messages of the kernel skipped or cut short",
    "own.unlisted_cases": "times that an unwell socket was left out of the findings: too many",
    "own.stamped_sockets": "sockets whose sends were timestamped for the TX stages",
    "own.gaps": "stretches of which nothing is known",
    "own.gaps[].from": "UTC time of the last tick before",
    "own.gaps[].to": "and of the first after",
    "own.clock_steps": "the clock was set, or the host slept",
    "own.clock_steps[].from": "UTC time of the last tick before",
    "own.clock_steps[].to": "and of the first after",
    "own.clock_steps[].passed_s": "seconds between them by CLOCK_MONOTONIC",
}

HOSTS_KEYS: dict[str, str] = {
    "schema": f'"{HOSTS_SCHEMA}"',
    "hosts": "each host that -H names, in that order",
    "hosts[].name": "as -H has it",
    "hosts[].reason": "why there is no report, or why the look ended early; else left out",
    "hosts[].report": f"{SCHEMA}, of that host; left out where it has not answered",
}
