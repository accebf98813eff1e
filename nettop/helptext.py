"""What --help, -s help, --columns help and --help-json print."""

from __future__ import annotations

import textwrap

from nettop.model.fields import FIELDS, Field, Kind

USAGE = """\
nettop - top for the kernel's network path: TCP_INFO health of every socket

  nettop [OPTIONS] [FILTER ...]       live screen; without a terminal, or with
                                      TERM=dumb: like --once
  nettop snapshot [-o FILE] [--for SECS] [FILTER ...]
                                      write a snapshot and say where; the file's
                                      ending chooses .json .csv .txt .svg
  nettop open FILE                    browse a snapshot, read only
  nettop record [-o FILE] [--for TIME] [--ndjson] [FILTER ...]
                                      record what the kernel says into one file;
                                      FILTER is of --ndjson alone
  nettop replay FILE [--at TIME | --from TIME --to TIME] [FILTER ...]
                                      a recording in every format of live ticks;
                                      TIME: 14:02, 14:02:30, -10m before its end
  nettop doctor [--json] [--verbose] [--clear-tx-flags]
                                      what works here, what does not and why;
                                      exit 0 all, 1 some
  nettop probe tcp|udp HOST:PORT      measure the way there and back from a
                                      stamped socket of its own
  nettop reflect [tcp|udp] ADDR:PORT  the far end of probe; tells its queue wait
  nettop clocks [--json] [-d SECS] [INTERFACE|/dev/ptpN ...]
                                      what the NICs can stamp; their clocks
                                      against the system's, watched SECS long

When and how often
  -d, --delay SECS          interval in seconds, default 1
  -n, --iterations N        stop after N ticks
  -1, --once                one tick and exit; with -d: observe that long first,
                            in three intervals for the verdicts, and show the
                            rates of the last (without: none, and few verdicts)

What is written
  -b, --batch               plain text tables, one per tick
      --json                one object; keys: nettop --help-json
      --ndjson              one such object per tick and line
      --csv                 one row per socket per tick; names end in the unit
  -o, --output FILE         write there, mode 0600: one object atomically, many
                            ticks as they come; - is standard output; without
                            a format the ending chooses it
  -s, --sort KEY[:asc|desc] -s help lists the keys; default: unwell first
      --columns LIST        columns of text and CSV; --columns help lists them

Which sockets (default: connected TCP, UDP with unread data or drops, and
listeners whose queue is nearly full)
  -t, --tcp   -u, --udp   -4   -6
  -l, --listen              listeners only
  -a, --all                 listeners and all states too
  -p, --pid PID             sockets of a process; PID,PID for several
  -U, --user USER           sockets of a user, by name or uid
  -N, --netns NAME|PID|all  network namespaces, default own; may be repeated

FILTER is the grammar of ss and comparisons on every field with units, anywhere
after the options (quote what the shell would take):
  nettop state established and dport = :443 and 'srtt > 50ms'
  nettop 'comm = nginx and (retr/s > 1 or unread > 200ms)'
  nettop 'src 10.0.0.0/8 and level >= watch and srtt > 2*minrtt'

BPF planes
      --no-bpf              none of them
      --rx-method M         exact; before Linux 6.3 fentry or tcp_probe
      --tx-sample N         stamp one send in N of all TCP sockets
      --bpf-budget PCT      of one CPU, for the RX wait; default 5
      --path                time received packets on their way to the sockets
                            (fentry), which has all packets of the host stamped

probe
  -c, --count N             stop after N probes (then no screen)
  -i, --interval SECS       default 0.2;  --rate N  so many per second
  -s, --size BYTES          of a probe, default 128
  -W, --timeout SECS        lost after so long, default 2
  -I, --interface NAME      leave through it;  -4  -6
      --hw                  the NIC's stamps too: switches them on for the run
                            (CAP_NET_ADMIN) and puts back what was there
      --json                one object at the end;  -o FILE  as e writes it
reflect
      without ADDR on loopback only
  -d, --delay SECS          a line of each protocol so often;  -n N  so many
                            times, then stop;  --json

Screen
      --ascii               no character beyond ASCII (also when the locale is
                            not UTF-8)
      --no-color            no colour (also when NO_COLOR is not empty)
      --no-mouse   --theme T   --readonly

  -h, --help   -V, --version   --help-json
      --debug FILE          what each source did and how long it took

Exit codes: 0 ok; 1 failure; 2 wrong command line or filter; 130 on SIGINT.
A screen ends with 128 + the number of the signal.
A closed pipe is no error.
"""

_UNITS = {
    Kind.TIME: "time: 5ms",
    Kind.SIZE: "bytes: 64K",
    Kind.BITRATE: "bit/s: 10M",
    Kind.RATE: "per second",
    Kind.PERCENT: "percent",
}


def sort_help() -> str:
    """The sort keys, one a line."""
    head = "unwell         the default: loudest verdicts first, then the busiest\n"
    return head + "".join(_line(f, _UNITS.get(f.kind)) for f in FIELDS.values() if f.sortable)


def columns_help() -> str:
    """The columns of text and CSV with the names that CSV has for them."""
    return "".join(
        _line(f, None if f.csv_name == f.id else f"CSV: {f.csv_name}") for f in FIELDS.values()
    )


def _line(field: Field, unit: str | None) -> str:
    also = f" (also {', '.join(field.aliases)})" if field.aliases else ""
    text = f"{field.help}{f' [{unit}]' if unit else ''}{also}"
    name = field.id.ljust(15) if len(field.id) < 15 else f"{field.id} "
    return textwrap.fill(text, 100, initial_indent=name, subsequent_indent=" " * 15) + "\n"


def json_help() -> str:
    """Every key of the JSON, with its unit and meaning."""
    from nettop.clocks.keys import KEYS as CLOCKS
    from nettop.export.keys import KEYS

    lines = [
        "nettop.snapshot/1: one object per snapshot. A key that is left out is unknown or does",
        "not apply; nothing unknown is null or 0. Counts and sums are of the interval unless a",
        "text says otherwise. Readers must ignore keys that they do not know.",
        "",
    ]
    lines += _keys(KEYS)
    lines += ["", "nettop.clocks/1: what nettop clocks --json writes.", "", *_keys(CLOCKS)]
    return "\n".join(lines) + "\n"


def _keys(keys: dict[str, str]) -> list[str]:
    width = 34
    names = {key: key.ljust(width) if len(key) < width else f"{key} " for key in keys}
    return [
        textwrap.fill(text, 100, initial_indent=names[key], subsequent_indent=" " * width)
        for key, text in keys.items()
    ]
