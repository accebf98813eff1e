"""What `nettop help TOPIC` prints: reference made from the registries."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from nettop.commands import unit
from nettop.model.types import Verdict
from nettop.text.fields import FIELDS, Field, Kind
from nettop.text.themes import THEMES
from nettop.text.verdicts import VERDICTS, named
from nettop.text.words import who_name

WIDTH = 100

WHO_WORDS = (
    ("app", "our program: reads or accepts late, too small a buffer, leaks"),
    ("cpu", "no CPU was given to our program: others run, its quota or priority"),
    ("kern", "this kernel: qdisc, memory"),
    ("nic", "this card"),
    ("net", "the path: loss, round-trip time, congestion window"),
    ("peer", "the other end: its window is shut or small, or it never answered"),
    ("net?", "likely but not certain; ? alone: not known from this host"),
)

_UNITS = {
    Kind.TIME: "time: 5ms",
    Kind.SIZE: "bytes: 64K",
    Kind.BITRATE: "bit/s: 10M",
    Kind.RATE: "per second",
    Kind.PERCENT: "percent",
}

_RULES = """\
A verdict needs its condition in 2 of the last 3 intervals; unread data (2 s), an unnoticed close
(60 s) and several time-outs in a row hold at once. The mark in front of a row (watch, unwell)
stays for 10 s after the cause has gone. Two causes that alternate each keep the blame for 5 s.
Shares and rates are of the last interval; retr% is of the last 5 to 10 s. `nettop -1` without
`-d` polls once: few verdicts hold in one poll.

WHO and WHY are blank for a healthy socket. WHY is `was loss` while the level sinks; `not traced`,
with – as WHO, where the RX queue wait leaves a socket out to save CPU.
"""

# What the thresholds leave out.
_NOTES = {
    Verdict.UNREAD: "Readable as poll() has it: neither urgent data nor fewer bytes than "
    "SO_RCVLOWAT. Without the RX queue wait that is certain only where the queue takes half of its "
    "buffer, or where no program has accepted the connection; otherwise WHO is app? and the level "
    "at most watch. cpu and peer as for reads.",
    Verdict.READS: "cpu where a thread of the program waited for a CPU longer than it ran, and for "
    "half of the time that the data waited or more (/proc/PID/task/*/schedstat, over 5 intervals); "
    "cpu? if others of its threads ran without such waits and no quota of its cgroup stopped them "
    "all: one of those may be the reader. peer where the windows of other peers hold as many "
    "sockets of the program back, and one of them sends as much as comes here: a proxy reads no "
    "more than it can pass on; peer? where neither moves, or the two differ.",
    Verdict.DROPS: "WHO follows the reason: app a full queue, net wrong checksums, kern no memory "
    "for the protocol. The reasons come from the events (root, Linux 6.11); without them only a "
    "queue that is full now is app, anything else ?. A listener whose drops have no known reason "
    "is never unwell.",
    Verdict.LOSS: "kern where the events saw most of it dropped on this host (firewall, qdisc, "
    "device).",
    Verdict.RTO: "Shown as RTO, SYN, probe or keepal. It holds until something is acknowledged. "
    "This end cannot distinguish a cut path from a dead peer: peer only where nothing was "
    "acknowledged since the handshake; kern as for loss. Where the next hop does not answer "
    "ARP or neighbour discovery (by its entry of `ip neigh`) that is said, and which gateway it "
    "is.",
    Verdict.RTT: "More than a delayed ACK explains; ? between two programs of one host, where no "
    "path is. What is unusual, for the flow or beside its siblings, is below.",
    Verdict.CWND: "Informational: normal for a bulk transfer.",
    Verdict.UNCLOSED: "The peer closed, the program has not.",
}

_UNUSUAL = """\
UNUSUAL FOR THIS FLOW
Of each flow nettop keeps the running median of the logarithm of its srtt, of its RX queue wait and
of the stages qdisc and nic (the p50 of an interval), and how far intervals stray from it (the
median distance). What is 4 times the median or more, 6 times as far off as it strays, and 3 ms
longer (a wait 5 ms, a stage 2 ms) is unusual: RTT, reads, qdisc or nic, with the usual number in
the evidence. It needs 5 intervals before, and of less than 32 a larger step; after some two minutes
the new level is what is usual, and a connection that was idle for 40 s begins anew. RTT is ? where
the peer's delayed ACK may be all of it (a program that answers later looks like that), net? where
not, and net where another connection to the same host shows it and waits for no ACKs. Within this
host there is no path, and nothing is said.

SIBLINGS
Of the peers that this host calls at one port (which is any port, where nothing listens at this end
of the connection), 5 or more, each in the geometric mean of its connections: one whose srtt is over
its own minimum by 4 times what it is at the middle one, by 6 times as far as they stray, and by 5
ms more, in 3 intervals in a row, is RTT peer?. Most of its round trip must be over its minimum, so
a peer far away is not slow for that.
"""


def verdicts() -> str:
    """Each verdict: its word, whose fault, when it holds, what it is called in filters."""
    parts = [_RULES, "WHO\n" + "".join(_row(who, text, 10) for who, text in WHO_WORDS)]
    rows = []
    for verdict, spec in VERDICTS.items():
        watch, unwell = spec.conditions
        whos = ", ".join(who_name(who) for who in spec.whos)
        text = f"{whos}: {spec.sentence}. watch: {watch}; unwell: {unwell}."
        note = " ".join(filter(None, (_NOTES.get(verdict), f"Next: {spec.step()}.")))
        word = spec.words[0].lower()
        name = f"In filters: verdict = {word}"
        if word != spec.name:
            name += f", in JSON {spec.name}"
            name += " (which in filters is either)" if len(named(spec.name)) > 1 else ""
        name += "."
        rows.append(_row(spec.words[0], f"{text} {note} {name}", 10))
    return "\n".join([*parts, "WHY\n" + "".join(rows), _UNUSUAL])


def filters() -> str:
    """The grammar, units, and names of fields."""
    from nettop.query.values import STATE_NAMES

    names = [f.id for f in FIELDS.values() if f.kind is not Kind.ADDRESS]
    states = _filled(f"States: {', '.join(STATE_NAMES)}.")
    return "\n".join([_FILTER, states, _filled(f"Fields (nettop help fields): {' '.join(names)}")])


_FILTER = """\
Plain words match what a row says of itself, and several narrow:

  nginx            part of the name of a program, a container or a network namespace; * is a pattern
  10.41.2.2        an address of either end; so are 10.41. or 10.41.0.0/16, and 10.41.2.2:443
  :443   443       a port of either end (443 is a process id too)
  udp   listen     a protocol, a state; nginx/812 a process, loss a verdict, unwell a level
  nginx 443 not 10.41.2.2

Words of tcpdump: host 10.0.0.1, net 10.0.0.0/8, port 443, src host …, dst port …. The grammar of ss
(state, exclude, src, dst, sport, dport, dev, and, or, not, parentheses), and comparisons (= != < <=
> >=) of any field with a value, with another field, or with a multiple of one:

  state established and ( dport = :443 or dst 10.0.0.0/8 ) and not comm = sshd
  srtt > 2*minrtt        retr% >= 1        limited.rwnd > 20        sndq > 64K        rx > 10M
  comm = ngin*           pid = 812         user = www-data          level >= watch    verdict = loss
  dev = eth0             dst = [fe80::2%eth0]:8080                  netns = web       proto = mptcp

Times need a unit: ns, us, ms, s, m, h. Sizes take K, M, G (of 1024 bytes); rates take K, M, G
bit/s, or bytes where B/s is written. An unknown value matches no comparison. `rxwait.*` and
`tx.*` need the BPF planes. An error names its column. A word that a field is called by is a
part of a name in quotes: 'user'. `/` on the screen completes with Tab, values of these sockets too,
and keeps a history.
"""


def fields() -> str:
    """Every field: a column, a sort key, a name in filters."""
    head = (
        "Every field is a name in filters; [TITLE] marks a usual column, and all can be one "
        "(--columns); (no sort) marks those that are no sort key. Every member of the kernel's "
        "tcp_info is a field. – means unknown, >= (≥) a lower bound, ~ an approximation."
    )
    return "\n".join([_filled(head), "".join(_field(f) for f in FIELDS.values())])


def _field(field: Field) -> str:
    title = f"[{field.title}] " if field.title else ""
    facts = [_UNITS[field.kind]] if field.kind in _UNITS else []
    facts += [f"also {', '.join(field.aliases)}"] if field.aliases else []
    facts += [] if field.source == "diag" else [f"plane {field.source}"]
    facts += [] if field.sortable else ["no sort"]
    extra = f" ({'; '.join(facts)})" if facts else ""
    return _row(field.id, f"{title}{field.help}{extra}", 20)


def sort_keys() -> str:
    """The sort keys, one a line."""
    head = "unwell         the default: loudest verdicts first, then the busiest\n"
    return head + "".join(_listed(f, _UNITS.get(f.kind)) for f in FIELDS.values() if f.sortable)


def columns() -> str:
    """The columns of text and CSV with the names that CSV has for them."""
    return "".join(
        _listed(f, None if f.csv_name == f.id else f"CSV: {f.csv_name}") for f in FIELDS.values()
    )


def themes() -> str:
    """The themes, one a line."""
    return "".join(_row(name, about, 15) for name, about in THEMES.items())


def config() -> str:
    """Also what --print-config writes."""
    from nettop.config import template

    return template()


def man() -> str:
    """The source of nettop(1)."""
    from nettop.commands.manpage import page

    return page()


def _listed(field: Field, unit: str | None) -> str:
    also = f" (also {', '.join(field.aliases)})" if field.aliases else ""
    return _row(field.id, f"{field.help}{f' [{unit}]' if unit else ''}{also}", 15)


def keys() -> str:
    """The keys of the screen."""
    from nettop.text.keys import GROUPS, KEYS, MOUSE, MOUSE_ASIDE

    groups = [
        f"{group}\n"
        + "".join(_row(f"{k.shown:<12} {k.action}", k.help, 28) for k in KEYS if k.group == group)
        for group in GROUPS
    ]
    head = "Key, action and what it does. Dialogs name their own keys at their lower edge.\n"
    mouse = "".join(_row(where, does, 28) for where, does in MOUSE)
    return "\n".join([head, *groups, f"MOUSE ({MOUSE_ASIDE})\n{mouse}"])


def json_keys() -> str:
    """Every key of the JSON, with its unit and meaning."""
    from nettop.clocks.keys import KEYS as CLOCKS
    from nettop.compare.keys import KEYS as DIFF
    from nettop.export.keys import KEYS
    from nettop.findings.keys import HOSTS_KEYS as HOSTS
    from nettop.findings.keys import KEYS as WHY

    head = (
        "nettop.snapshot/1: one object per snapshot. A key that is left out is unknown or does\n"
        "not apply; nothing unknown is null or 0. Counts and sums are of the interval unless a\n"
        "text says otherwise. Readers must ignore keys that they do not know.\n"
    )
    clocks = "nettop.clocks/1: what nettop clocks --json writes.\n"
    diff = "nettop.diff/1: what nettop diff --json writes.\n"
    why = "nettop.why/1: what nettop why --json writes.\n"
    hosts = "nettop.why-hosts/1: the same with -H.\n"
    registries = [clocks, _keys(CLOCKS), diff, _keys(DIFF), why, _keys(WHY), hosts, _keys(HOSTS)]
    return "\n".join([head, _keys(KEYS), *registries])


def _keys(registry: dict[str, str]) -> str:
    return "".join(_row(key, text, 34) for key, text in registry.items())


def planes() -> str:
    return _PLANES


_PLANES = """\
A plane is one way of reading the kernel. P on the screen, `nettop doctor` and `sources` in JSON
say which are on, how they read, why one is off and which command would enable it.

diag     Every socket with its tcp_info, by sock_diag, as ss reads it. Any user.

procs    Which process holds a socket, from /proc. Sockets of other users' processes need root, or
         CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH. The holder of a new socket is searched for at
         once. A process that is handed a socket which has a holder already is found within five
         ticks; before Linux 6.2, which does not count descriptors, it may take longer.

wait     RX queue wait: from the moment data is readable as poll() has it to the moment its last
         byte was copied to the program. Root, or CAP_BPF and CAP_PERFMON. Two tracepoints time
         every delivery of every TCP and UDP socket. Blocking and polling readers, MSG_WAITALL,
         splice and in-kernel readers are measured correctly: the timestamp is taken when data is
         copied, not at the system call. Data before accept() counts its time in the accept queue,
         on the connection and on the listener. Percentiles count deliveries: exact to 1.6 % for
         sockets on the screen; of others, and of all that a filter matches, the upper edge of an
         octave, at most twice too high and marked ~. A queue stands (standing) when for 100 ms or
         longer all that was read had waited 5 ms, and it was never empty. From Linux 6.3 on what
         UDP sockets send and read is counted too: tx, rx, tx.dgrams/s, rx.dgrams/s. Where programs
         may follow functions (fentry), UDP's sends and reads are seen in its own, which TCP does
         not pass; what a sockmap hands on to another UDP socket is then not seen. The tracepoints
         came with Linux 6.3. On older kernels, fentry on the surrounding functions gives the same
         numbers (except for sockets of kTLS, sockmap and the kernel's own); where that does not
         load, tcp_probe gives TCP alone, approximately. Cost: 704 bytes of kernel memory per traced
         socket, 0.2 to 0.6 µs per delivery. Above 2 % of a CPU fewer sockets are traced, above
         --bpf-budget none; header, pane and JSON say so.

split    What waits for the reader are spent on: until a thread that slept on the socket is woken
         (wake), ready without a CPU (cpu), running something else (ran), asleep elsewhere (asleep),
         stopped by a signal or debugger (stopped). Of the time in which data is unread, by what the
         thread does that is expected to read: the one that the data woke, else the last reader.
         What another process reads, or a thread that is not known yet, stays unknown. Needs what
         wait needs, and Linux 6.3. It follows every switch of threads on the host, so it is on only
         for at most 64 sockets that are read late, marked or opened, for 10 s longer, and rests for
         a minute above 2 % of a CPU. Half of the time or more decides between app and cpu.

stages   Where a send spends its time: copy (the call, without the wait for buffer space, which is
         sndbuf), tcp (copied, but held by the congestion window, pacing, Nagle or TSQ), qdisc
         (from the stack to the driver), nic (from the driver to the wire; part of ack), ack (last
         departure to ACK: the network and the peer's delayed ACK), total. Root. All stages of TCP
         need Linux 6.15 (BPF timestamping); before, qdisc and ack of TCP come from tracepoints.
         Of UDP qdisc alone, through stacked devices from the first queue to the last driver. Off
         until sockets are selected, because the kernel then timestamps their sends: stay on one,
         open it (Enter), mark some (x), set a filter that matches fewer than 256, or start with
         --tx-sample N. By itself it begins for at most 16 sockets whose verdict it decides (a long
         round trip, a full send buffer), ends 30 s after, and rests for a minute above 2 % of a
         CPU; --tx-sample 0 forbids that. A change takes effect after 1 s; at most one per 10 s, and
         so that finding the sockets takes 1 % of a CPU at most. Programs
         notice nothing: no error queue, no changed keys; sends that a program timestamps itself
         are left alone. One flag is set on the selected sockets and cleared at exit. After kill
         -9 it stays without effect; nettop doctor --clear-tx-flags clears it. nic needs a NIC
         that is set to timestamp what it sends; its times are converted to system time with a ±
         uncertainty. Beside ptp4l and similar daemons nettop requests no hardware timestamps.

path     With --path: how long received packets of the whole host took to IP, to TCP or UDP, to
         the socket's queue and to their read, by fentry (Linux 6.1, no kernel lockdown). It makes
         the kernel timestamp every received packet, so it is off unless requested.

events   Retransmissions with the state they happened in, drops with the kernel's reason, resets,
         socket errors, state changes, and the last numbers of every TCP socket that closes. Root.
         All are counted in the kernel; at most 1000 a second of each type are recorded, and what
         was left out is counted. Of 4096 sockets the last 32 events are kept.

stamps   SO_TIMESTAMPING of nettop probe and reflect. Any user.

clocks   Hardware clocks (PHC) against the system clock: nettop clocks. Reading /dev/ptpN.

         When nettop ends, by whatever signal, the kernel removes its BPF programs.
"""


def comparing() -> str:
    from nettop.compare.topic import comparing

    return comparing()


def metrics() -> str:
    from nettop.metrics.topic import topic

    return topic()


def hosts() -> str:
    from nettop.hosts.topic import HOSTS

    return HOSTS


def files() -> str:
    return _FILES


_FILES = """\
snapshot   e on the screen, `nettop snapshot`, --json. One object, nettop.snapshot/1 (nettop help
           json); --ndjson one per tick. The file's ending chooses: .json .csv .txt .svg. `nettop
           open FILE.json` browses one of a single host; those of -H are for programs.
CSV        --csv: a row per socket and tick, in base units that end the names of the columns
           (tx_bytes_per_s, srtt_ns); codes are words (level, ca_state, fastopen_client_fail), or
           the number where there is none for it. Empty is unknown.
Parquet    -o FILE.parquet: the same table with types; unknown is null, `taken` a time in UTC. Needs
           pyarrow (pip install pyarrow). It cannot be read before its end is
           written: at a signal, but not at kill -9. For long times record, then replay -o.
recording  `nettop record`: the raw bytes that the kernel sent, in SQLite; valid at every instant,
           also after kill -9 or on a full disk. While it is written, FILE-wal and FILE-shm stand
           beside it: copy all three, or what is newest is missing. `nettop replay` runs it
           through the same engine, on any machine and as any user. Every socket that was polled
           is in the frames; a filter of `record` is for its tables and its --ndjson. 10,000
           sockets of which 400 are busy take about 13 KB a tick; an idle socket takes nothing. A
           second recorder of the same file is refused; one that comes later goes on with it.

           --keep and --max-size delete the oldest ticks, up to a key frame (a minute, less in a
           small file), with each tick that is written; FILE-wal counts. A program that keeps a
           transaction of its own open on the file makes FILE-wal grow until it ends.

           Day and night: nettop help systemd | sudo tee /etc/systemd/system/nettop-record.service,
           then sudo systemctl enable --now nettop-record.

Tables     Any SQLite reads them: sqlite3 FILE 'SELECT * FROM spells_local'. Times *_ns are wall
           clock in nanoseconds; NULL is unknown. The views ticks_local, spells_local and
           events_local have local time and fewer columns.

           spells  A row per verdict of a socket, from the tick in which it began: from_ns, to_ns
                   (NULL: it held when last written), cut (1: the recorder ended before it did),
                   level, who, why, what (in words), verdict, worst (its largest number; of
                   peer_window 101 stands for a window that is shut) and unit, ticks, process, pid,
                   local, remote, proto, cgroup, container, netns, host, cookie. While it holds,
                   worst and ticks may be ten ticks old. worst is NULL where the verdict never was
                   one of the socket's worst two.
           events  What happened to sockets: at_ns, type, what (in words), process, pid, local,
                   remote, state, new_state, reason, errno, bytes … At most 128 a tick, states
                   and congestion states last; the frames have all that were recorded.
           ticks   A row per tick: sockets by protocol, matched, unwell and watch (levels, which
                   sink 10 s after a spell ended), unwell_app … by WHO, rates, RX wait, events_*
                   by type (all that were seen), events_listed and events_not_listed (no record
                   or no room), nettop's own cost. mark says what is wrong with the time line: a
                   clock that was set, a host that slept or restarted, a recorder that went on
                   later. elapsed_ns is not touched by that.
           frames, meta  A frame per tick, which only nettop reads; host, kernel and nettop.

report     `nettop why -o FILE.html`: what was wrong, in one file that loads nothing and runs
           nothing; .json is nettop.why/1, .txt what the terminal shows.

Files are written atomically (a recording: appended) with mode 0600, for the user who called sudo.
They hold addresses, process names and users of the machine: look before sharing. A socket's
identity is its cookie (SO_COOKIE), not its addresses.
"""

TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    "verdicts": ("WHO and WHY: what each means and when it holds", verdicts),
    "filter": ("the filter language, its units and names", filters),
    "fields": ("every column, sort key and name in filters", fields),
    "keys": ("the keys of the screen", keys),
    "planes": ("what is measured how, what it needs and costs", planes),
    "files": ("snapshots, CSV, recordings", files),
    "systemd": ("a unit that records day and night, to be put in place", unit.service),
    "systemd-serve": (
        "a unit that serves metrics, to be put in place",
        lambda: unit.service(unit.SERVE),
    ),
    "dashboard": (
        "a dashboard for Grafana, to be imported",
        lambda: unit.packaged(unit.DASHBOARD),
    ),
    "rules": (
        "recording and alerting rules for Prometheus",
        lambda: unit.packaged(unit.RULES),
    ),
    "comparing": ("nettop diff: what is compared, when a change counts, --fail", comparing),
    "metrics": ("nettop serve: groups, and what each metric counts", metrics),
    "hosts": ("nettop -H: the sockets of many hosts", hosts),
    "json": ("every key of the JSON", json_keys),
    "man": ("nettop(1), as man reads it: nettop help man | man -l -", man),
    "config": ("config.toml with every setting, as --print-config writes it", config),
}


def contents() -> str:
    """What `nettop help` prints."""
    from nettop.text.usage import COMMANDS

    topics = "".join(_row(name, about, 12) for name, (about, _) in TOPICS.items())
    commands = "".join(
        _row(name, c.about, 12) for name, c in COMMANDS.items() if name not in ("live", "help")
    )
    return (
        f"nettop help TOPIC\n{topics}\nnettop help COMMAND, nettop COMMAND --help\n{commands}\n"
        "nettop --help lists the options.\n"
    )


def topic(name: str) -> str:
    """The text of a topic, a command, or one of the lists that options ask for.

    Raises:
        UsageError: there is none of that name.
    """
    from nettop.text.usage import COMMANDS, command_help

    if name in TOPICS:
        return TOPICS[name][1]()
    if name in COMMANDS:
        return command_help(name)
    from nettop.errors import UsageError
    from nettop.optionvalues import perhaps
    from nettop.text.fields import nearest

    hint = perhaps(nearest(name, [*TOPICS, *COMMANDS]))
    raise UsageError(f"no help topic '{name}'{hint} (nettop help lists them)")


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH) + "\n"


def _row(name: str, text: str, indent: int) -> str:
    head = name.ljust(indent) if len(name) < indent else f"{name} "
    body = textwrap.fill(text, WIDTH, initial_indent=head, subsequent_indent=" " * indent)
    return body + "\n"
