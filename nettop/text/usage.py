"""The usage text and the help of each command, made from one table of options."""

from __future__ import annotations

import textwrap

from msgspec import Struct

from nettop.text.variables import VARIABLES

WIDTH = 80
TITLE = "nettop - top for the kernel's network path: TCP_INFO health of every socket"


class Command(Struct, frozen=True):
    """synopsis: without `nettop`; about: a sentence, for the usage text and the command's own."""

    synopsis: str
    about: str
    more: str = ""  # in the command's own help alone
    last: str = ""  # as it is, behind its options


_WATCH_THEN = """\
CMD is run by /bin/sh without any capability (with no_new_privs, so that sudo
does not work in it: for more write nettop watch ... && CMD). It reads nothing
and is ended after 10 minutes, or together with nettop, which says its exit
code. Values are in its environment alone, never in its text:
""" + "".join(f"  {name:<18}{what}\n" for name, what in VARIABLES.items())

_SERVE_PROXY = """\
There is no password and no TLS: it listens on loopback, where only names that
are addresses, or localhost, are answered. From outside let a proxy ask for a
password, such as nginx:
  location /metrics { auth_basic nettop; auth_basic_user_file /etc/nginx/nettop;
                      proxy_pass http://127.0.0.1:9478; }
"""

COMMANDS: dict[str, Command] = {
    "live": Command(
        "[OPTIONS] [FILTER ...]",
        "live screen; without a terminal, or with TERM=dumb: like --once",
    ),
    "snapshot": Command(
        "snapshot [-o FILE] [--for SECS] [FILTER ...]",
        "write a snapshot and print its name; the file's ending chooses .json .csv .txt .svg",
        "Takes every option that chooses sockets and planes.",
    ),
    "open": Command("open FILE", "browse a snapshot, or a recording from its end, read only"),
    "record": Command(
        "record [-o FILE] [--for TIME] [--keep TIME] [--max-size SIZE] [FILTER]",
        "record the kernel's raw data into one file, with tables for SQL; FILTER applies to the "
        "tables and --ndjson",
        "TIME is 90s, 15m, 2h or 7d, SIZE 64M or 2G. Without -o the file is "
        "nettop-HOST-DATE-TIME.nettop. nettop help files: the tables, and a systemd unit.",
    ),
    "replay": Command(
        "replay FILE [--at TIME | --from TIME --to TIME] [FILTER ...]",
        "a recording on the live screen, or in every format of live ticks; TIME: 14:02, "
        "14:02:30, -10m before its end",
        "The screen plays it from its beginning, or stands at --at TIME: ? lists the keys.",
    ),
    "watch": Command(
        "watch EXPR [--for TIME] [--within TIME] [--then CMD] [-o FILE]",
        "wait until a socket has matched for TIME; exit 0 it has, 1 --within ended, 3 not known",
        "EXPR is a FILTER, looked at in each tick from the end of the first interval on. With "
        "--for one and the same socket has to match in every tick for so long; with --any "
        "another may take its place, for connections that are short. `level` is here that of "
        "the tick, which the screen keeps for 10 s longer. When it has held, one line says "
        "which socket, WHO, WHY and since when, and all sockets of that tick are written: into "
        "nettop-HOST-DATE-TIME.json, or -o FILE; with -o FILE.nettop as a recording of the "
        "minute before and the 10 seconds after. Exit 3: what EXPR needs cannot be read. TIME "
        "is 90s, 15m or 2h.",
        _WATCH_THEN,
    ),
    "why": Command(
        "why [FILE[@FROM..TO]] [--for TIME] [--json] [-o FILE] [FILTER ...]",
        "look for 10 s, or at a recording: what is wrong, whose fault, on what evidence, what to "
        "do next; exit 0 nothing, 1 findings",
        "FILE is a recording, a stretch of one, or a snapshot; without it this host is looked at. "
        "The file's ending chooses .html, a report to be read without nettop, .json or .txt. The "
        "sends of at most 16 unwell sockets are timestamped for the TX stages while it looks. Exit "
        "code 3: nothing could be looked at.",
    ),
    "diff": Command(
        "diff A B | -H A,B [--by GROUPING] [--fail EXPR]... [FILTER ...]",
        "what got worse from A to B, two snapshots or recordings (FILE@FROM..TO), or hosts",
        "Exit codes: 0 nothing worse, or no --fail holds; 1 something is, or one does; 2 wrong "
        "command line or unreadable file; 3 cannot tell. With -H it also takes what chooses "
        "sockets and planes, as why does. nettop help comparing: stretches, "
        "groups, what is compared and when a change counts, EXPR.",
    ),
    "serve": Command(
        "serve [ADDR:PORT] [FILTER ...]",
        "metrics of groups of sockets for Prometheus, at http://127.0.0.1:9478/metrics or there",
        "What the sockets do is added up in groups: by program and port of the service, or --by. "
        "The port is that of the service, never of a client. The groups that move most have "
        "series of their own, those with unwell sockets first; all others are counted together "
        "as `other`, and how many they are. nettop help metrics says what is counted; the [peers] "
        "of config.toml name networks for --by peer. nettop help systemd-serve prints a unit, "
        "nettop help dashboard and nettop help rules files for Grafana and Prometheus.",
        _SERVE_PROXY,
    ),
    "doctor": Command(
        "doctor [--json] [--require PLANES] [--verbose] [--clear-tx-flags]",
        "what works here, what does not and why; exit 0 nothing could be fixed here, 1 something",
    ),
    "probe": Command(
        "probe tcp|udp HOST:PORT",
        "measure one-way and round-trip latency with SO_TIMESTAMPING",
        "Against nettop reflect all parts are measured; a UDP echo or any TCP service gives "
        "the round trip.",
    ),
    "reflect": Command(
        "reflect [tcp|udp] ADDR:PORT",
        "the far end of probe; prints its own queue wait",
        "Without ADDR it listens on loopback only. An interval in which nothing came prints no "
        "line.",
    ),
    "clocks": Command(
        "clocks [--json] [-d SECS] [INTERFACE|/dev/ptpN ...]",
        "what the NICs can timestamp; their clocks against the system clock, watched for SECS",
    ),
    "stream": Command(
        "stream [-d SECS] [-n N] [--top N] [-s KEY] [FILTER ...]",
        "this host's ticks as frames on standard output, for nettop -H elsewhere",
        "A slow reader misses ticks, which are counted. It ends when its reader does.",
    ),
    "completion": Command(
        "completion bash|zsh|fish",
        "that shell's completion of commands, options, fields and verdicts",
        'A wheel brings these scripts to where shells look for them. Elsewhere: eval "$(nettop '
        'completion bash)" in ~/.bashrc, the same for zsh in ~/.zshrc, or nettop completion fish '
        "| source. With -- WORD... it lists what the last WORD of a command line may become.",
    ),
    "help": Command("help [TOPIC|COMMAND]", "reference: nettop help lists the topics"),
    "version": Command("version", "the version, as --version"),
}


class Option(Struct, frozen=True):
    """spelled: as the help shows it; text: what it does; only: the commands it belongs to alone."""

    section: str
    spelled: str
    text: str
    only: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        words = self.spelled.replace(",", " ").split()
        return tuple(w.partition("[")[0] for w in words if w.startswith("-"))

    @property
    def value(self) -> str | None:
        """What stands for its value, as FILE; None: it takes none."""
        last = self.spelled.split()[-1]
        return None if last.startswith("-") else last


_WHEN, _WRITTEN, _WHICH = "When and how often", "What is written", "Which sockets"
_HOSTS = "Other hosts"
_BPF, _SCREEN, _DEBUGGING = "BPF planes", "Screen", "When nettop itself is at fault"
_POLLING = ("live", "record", "watch", "serve", "stream")
_SOURCES = ("live", "snapshot", "record", "watch", "why", "serve", "stream")
_OTHERS = ("live", "snapshot", "record", "watch", "why", "diff")
_OPTIONS: tuple[Option, ...] = (
    Option(_WHEN, "-d, --delay SECS", "interval in seconds, default 1", _POLLING),
    Option(_WHEN, "-n, --iterations N", "stop after N ticks", ("live", "record")),
    Option(
        _WHEN, "-1, --once", "one tick and exit; with -d: observe that long first, in three "
        "intervals for the verdicts, and show the rates of the last (without: none, and few "
        "verdicts)",
        ("live", "open", "replay"),
    ),
    Option(
        "", "    --for, -d, --delay SECS",
        "observe that long, in intervals of about 1 s; default 2", ("snapshot",),
    ),
    Option("", "    --for TIME", "stop after that time: 90s, 15m, 2h", ("record",)),
    Option(
        "", "    --keep TIME", "delete what is older, at every tick: 48h, 7d", ("record",)
    ),
    Option(
        "", "    --max-size SIZE", "delete the oldest so that the file stays below it: 64M, 2G",
        ("record",),
    ),
    Option(
        "", "    --ndjson", "each tick on standard output too, as JSON: nettop help json",
        ("record",),
    ),
    Option("", "-o, --output FILE", "the recording, mode 0600", ("record",)),
    Option("", "-n, --iterations N", "stop after N ticks", ("stream",)),
    Option("", "    --top N", "only the first N rows of what FILTER lets through, and sockets with "
           "verdicts; totals are of all", ("stream",)),
    Option("", "    --control", "settings as lines of JSON on standard input, whose end ends it: "
           "as nettop -H sends them", ("stream",)),
    Option("", "    --for TIME", "so long it has to match, in every tick", ("watch",)),
    Option("", "    --within TIME", "wait no longer: exit 1", ("watch",)),
    Option("", "    --any", "not the same socket all the time", ("watch",)),
    Option("", "    --then CMD", "run CMD, with what held in NETTOP_ variables", ("watch",)),
    Option(
        "", "-o, --output FILE", "the snapshot (.json .csv .txt .svg), or a recording (.nettop)",
        ("watch",),
    ),
    Option("", "    --at TIME", "one tick: the last at or before TIME", ("replay",)),
    Option("", "    --from TIME", "from this moment", ("replay",)),
    Option("", "    --to TIME", "up to this moment", ("replay",)),
    Option(
        "", "    --by GROUPING", "process (with the port of the service; default), remote, local, "
        "cgroup, netns, all", ("diff",),
    ),
    Option("", "    --fail EXPR", "exit 1 where this holds; may be repeated", ("diff",)),
    Option("", "    --json", "one object; keys: nettop help json", ("diff",)),
    Option("", "    --for TIME", "look that long; default 10s", ("why",)),
    Option("", "    --json", "one object, nettop.why/1; keys: nettop help json", ("why",)),
    Option("", "-o, --output FILE", "write there, mode 0600: .html, .json or .txt", ("why",)),
    Option(
        "", "    --by LIST", "what groups sockets: some of process, service, peer, container, "
        "netns, joined by commas; default process,service", ("serve",),
    ),
    Option("", "    --top N", "most groups with series of their own; default 100", ("serve",)),
    Option(
        "", "    --series-max N", "most series of a scrape, 1000 to 1000000; default 10000",
        ("serve",),
    ),
    Option(
        "", "    --expire TIME", "how long a group is kept after its last socket; default 10m",
        ("serve",),
    ),
    Option("", "    --json", "the same as one JSON object", ("doctor",)),
    Option(
        "", "    --require PLANES", "exit 1 if one of these is off, else 0: wait,stages",
        ("doctor",),
    ),
    Option("", "    --verbose", "what libbpf prints where a plane does not load", ("doctor",)),
    Option(
        "", "    --clear-tx-flags", "clear the BPF timestamping flag that a nettop killed with "
        "SIGKILL left on sockets", ("doctor",),
    ),
    Option("", "    --json", "one object; keys: nettop help json", ("clocks",)),
    Option("", "-d, --delay SECS", "watch the clocks that long", ("clocks",)),
    Option(_WRITTEN, "-b, --batch", "plain text tables, one per tick", ("live", "open", "replay")),
    Option(
        _WRITTEN, "    --json", "one object; keys: nettop help json", ("live", "open", "replay")
    ),
    Option(
        _WRITTEN, "    --ndjson", "one such object per tick and line",
        ("live", "open", "replay"),
    ),
    Option(
        _WRITTEN, "    --csv", "one row per socket per tick; names end in the unit",
        ("live", "open", "replay"),
    ),
    Option(
        _WRITTEN, "    --no-header", "tables and CSV without titles; in tables the level and each "
        "column are one word (. blank, _ within), for awk: give --columns too; -H with no host "
        "behind it is the same",
        ("live", "open", "replay"),
    ),
    Option(
        _WRITTEN, "-o, --output FILE", "write there, mode 0600: one object atomically, many ticks "
        "as they come; - is standard output; without a format the ending chooses it: .txt .json "
        ".ndjson .csv .parquet .svg",
        ("live", "snapshot", "open", "replay"),
    ),
    Option(
        _WRITTEN, "-s, --sort KEY[:asc|desc]", "-s help lists the keys; default: unwell first",
        ("live", "snapshot", "open", "record", "replay", "stream"),
    ),
    Option(
        _WRITTEN, "    --columns LIST", "columns of text and CSV; --columns help lists them",
        ("live", "snapshot", "open", "record", "replay"),
    ),
    Option(
        _HOSTS, "-H, --hosts LIST", "web-1,web-2 or @FILE, a host a line: their sockets in one "
        "table, by ssh -T -o BatchMode=yes with your configuration; nettop has to be there",
        ("live", "snapshot"),
    ),
    Option(
        "", "-H, --hosts LIST", "web-1,web-2 or @FILE, a host a line, by ssh: nettop help "
        "hosts; each has a file of its own, as rec-HOST.nettop", ("record",),
    ),
    Option(
        "", "-H, --hosts LIST", "web-1,web-2 or @FILE, a host a line, by ssh: nettop help "
        "hosts; it ends with the first host on which it held", ("watch",),
    ),
    Option(
        "", "-H, --hosts LIST", "web-1,web-2 or @FILE, a host a line, by ssh: nettop help "
        "hosts; each has a report of its own", ("why",),
    ),
    Option(
        "", "-H, --hosts A,B", "instead of files: what two hosts do now, by ssh: nettop help "
        "hosts", ("diff",),
    ),
    Option("", "    --for TIME", "with -H: look that long; default 10s", ("diff",)),
    Option(
        _HOSTS, "    --ssh CMD", "instead of ssh: 'ip netns exec', 'docker exec -i'; the host "
        "stands behind it, or where it has {}", _OTHERS,
    ),
    Option(_HOSTS, "    --remote CMD", "what nettop is there: 'sudo -n nettop'", _OTHERS),
    Option(
        _HOSTS, "    --top N", "rows that a host sends, beside sockets with verdicts; default: all "
        "that match, to a screen 500", _OTHERS,
    ),
    Option(_WHICH, "-t, --tcp   -u, --udp   -4   -6", "", _SOURCES),
    Option(_WHICH, "-l, --listen", "listeners only", _SOURCES),
    Option(_WHICH, "-a, --all", "listeners and all states too", _SOURCES),
    Option(
        _WHICH, "-p, --pid PID", "sockets of a process; PID,PID for several",
        ("live", "snapshot", "record", "watch", "why", "serve", "stream", "replay"),
    ),
    Option(
        _WHICH, "-U, --user USER", "sockets of a user, by name or uid",
        _SOURCES,
    ),
    Option(
        _WHICH, "-N, --netns NAME|PID|all", "network namespaces, default own; may be repeated",
        _SOURCES,
    ),
    Option(_BPF, "    --no-bpf", "none of them", _SOURCES),
    Option(
        _BPF, "    --rx-method M", "exact; before Linux 6.3 fentry or tcp_probe",
        _SOURCES,
    ),
    Option(
        _BPF, "    --tx-sample N", "timestamp one send in N of all TCP sockets; 0: none by itself",
        _SOURCES,
    ),
    Option(
        _BPF, "    --bpf-budget PCT", "of one CPU, for the RX queue wait; default 5",
        _SOURCES,
    ),
    Option(
        _BPF, "    --path", "time received packets from the NIC to the socket (fentry); the "
        "kernel then timestamps every packet of the host",
        _SOURCES,
    ),
    Option("", "-c, --count N", "stop after N probes (then no screen)", ("probe",)),
    Option("", "-i, --interval SECS", "default 0.2", ("probe",)),
    Option("", "    --rate N", "probes per second, instead of -i", ("probe",)),
    Option("", "-s, --size BYTES", "of a probe, default 128", ("probe",)),
    Option("", "-W, --timeout SECS", "lost when unanswered for that long; default 2",
           ("probe",)),
    Option("", "-I, --interface NAME", "send through this interface", ("probe",)),
    Option("", "-4   -6", "IPv4 or IPv6 only", ("probe",)),
    Option(
        "", "    --hw", "hardware timestamps of the NIC too: enabled for the run "
        "(CAP_NET_ADMIN) and then restored", ("probe",),
    ),
    Option("", "    --json", "one object at the end", ("probe",)),
    Option("", "-o, --output FILE", "that object into FILE", ("probe",)),
    Option("", "-d, --delay SECS", "between two reports; default 1", ("reflect",)),
    Option("", "-n, --iterations N", "stop after N reports", ("reflect",)),
    Option("", "    --json", "reports as JSON, one per line", ("reflect",)),
    Option(
        _SCREEN, "    --ascii", "no character beyond ASCII (also when the locale is not UTF-8)",
        ("live", "snapshot", "open", "record", "replay", "watch", "why", "diff", "clocks",
         "probe", "reflect"),
    ),
    Option(
        _SCREEN, "    --no-color",
        "no colour (also if NO_COLOR is not empty or the terminal has none)",
        ("live", "snapshot", "open", "record", "replay", "probe"),
    ),
    Option(
        _SCREEN, "    --theme T", "terminal (its own colours), light or dark; --theme help",
        ("live", "open", "replay"),
    ),
    Option(
        _SCREEN, "    --mouse   --no-mouse", "the mouse: by itself not over SSH",
        ("live", "open", "replay"),
    ),
    Option(_SCREEN, "    --readonly", "write no file", ("live", "open", "replay")),
    Option(
        _SCREEN, "    --lookback TIME", "keep the last ticks in memory, to look back on, at most "
        "64 MB, of all hosts together; default 15m; 0: none", ("live",),
    ),
    Option(
        _DEBUGGING, "    --debug FILE", "append what each source did and how long it took",
        ("live", "snapshot", "open", "record", "replay", "watch", "why", "serve", "clocks",
         "doctor", "stream"),
    ),
)  # fmt: skip

_SECTIONS = (_WHEN, _WRITTEN, _WHICH, _HOSTS, _BPF, _SCREEN, _DEBUGGING)
_WHICH_NOTE = (
    "default: connected TCP, UDP with unread data or drops, listeners whose queue is nearly "
    "full, and whatever is not well"
)
FILTER = """\
FILTER is plain words, the grammar of ss, and comparisons on every field with
units, anywhere after the options (quote what the shell would take):
  nettop nginx 443 not 10.41.2.2
  nettop state established and dport = :443 and 'srtt > 50ms'
  nettop 'comm = nginx and (retr/s > 1 or unread > 200ms)'
  nettop 'src 10.0.0.0/8 and level >= watch and srtt > 2*minrtt'
  nettop -tinp dport = :443      letters of ss beside -t, -u, -l, -a, -4, -6
nettop help filter has all of it.
"""
MORE = """\
      --config FILE         instead of ~/.config/nettop/config.toml and
                            /etc/nettop.toml; none: neither
      --print-config        such a file with every setting and its default
  -h, --help   -V, --version   --help-json
nettop COMMAND --help: the options of a command; nettop help: reference by topic
"""
EXITS = """\
Exit codes: 0 ok; 1 failure; 2 wrong command line or filter; 130 on SIGINT.
nettop watch: 0 held, 1 did not within the time, 3 not known.
nettop why: 0 nothing unwell, 1 findings, 3 nothing could be looked at.
A screen ends with 128 + the number of the signal.
A closed pipe is no error.
"""


def options_of(command: str) -> tuple[Option, ...]:
    """The options of a command, of `live` those without one."""
    return tuple(option for option in _OPTIONS if command in option.only)


def sections() -> tuple[tuple[str, tuple[Option, ...]], ...]:
    """The options as the usage text groups them, behind each group's title."""
    return tuple((s, tuple(o for o in _OPTIONS if o.section == s)) for s in _SECTIONS)


def usage() -> str:
    """What --help prints."""
    parts = [TITLE + "\n", "".join(map(_synopsis, COMMANDS.values()))]
    for section, options in sections():
        title = f"{section} ({_WHICH_NOTE})" if section == _WHICH else section
        parts.append("\n".join(textwrap.wrap(title, WIDTH)) + "\n" + "".join(map(_line, options)))
        if section == _WHICH:
            parts.append(FILTER)
    parts += [MORE, EXITS]
    return "\n".join(parts)


def command_help(name: str) -> str:
    """What `nettop NAME --help` prints."""
    command = COMMANDS[name]
    parts = [f"nettop {command.synopsis}\n", _filled(f"{sentence(command.about)} {command.more}")]
    options = "".join(map(_line, options_of(name)))
    parts += [options] if options else []
    parts += [command.last] if command.last else []
    parts += [FILTER] if "FILTER" in f"{command.synopsis} {command.more}" else []
    parts.append("Everything else: nettop --help, nettop help\n")
    return "\n".join(parts)


def sentence(text: str) -> str:
    """text with a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def _filled(text: str) -> str:
    return textwrap.fill(text.strip(), WIDTH) + "\n"


def _synopsis(command: Command) -> str:
    head = f"  nettop {command.synopsis}"
    return _two_columns(head, command.about, 38)


def _line(option: Option) -> str:
    return _two_columns(f"  {option.spelled}", option.text, 28)


def _two_columns(head: str, text: str, at: int) -> str:
    """text from column `at` on, below head where head is too long."""
    if not text:
        return f"{head}\n"
    body = textwrap.wrap(text, WIDTH - at)
    if len(head) + 1 > at:
        return f"{head}\n" + "".join(f"{'':{at}}{row}\n" for row in body)
    first, *rest = body
    return f"{head:<{at}}{first}\n" + "".join(f"{'':{at}}{row}\n" for row in rest)
