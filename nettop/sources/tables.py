"""How full this host's own tables are: of connections (nf_conntrack), and of neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from nettop.model.evidence import Numbers
from nettop.sources.hostcpu import read_small, read_whole
from nettop.text.evidence import CONNTRACK, NEIGHBOURS

PROC = Path("/proc")
# By the table's name; the kernel's file, and where its limit stands.
TABLES = {"arp": ("arp_cache", "ipv4"), "ndisc": ("ndisc_cache", "ipv6")}
NO_NEIGHBOURS = (
    "tables of neighbours are counted in the machine's first network namespace, which cannot be "
    "seen from here"
)
ENTRIES, MOST = "entries", "entries_most"


def parse_stat(raw: bytes, wanted: Iterable[str]) -> dict[str, int]:
    """A file of /proc/net/stat: a line of titles, then numbers in hexadecimal, a line a CPU.

    Each CPU repeats the entries; the others are added up. What is 0 is left out.
    """
    lines = [line.split() for line in raw.decode("ascii", "replace").splitlines()]
    titles = lines[0] if lines else []
    found: dict[str, int] = {}
    for words in lines[1:]:
        of = dict(zip(titles, words, strict=False))
        try:
            numbers = {name: int(of[name], 16) for name in wanted if name in of}
        except ValueError:  # no line of numbers
            continue
        for name, number in numbers.items():
            before = 0 if name == ENTRIES else found.get(name, 0)
            found[name] = before + number
    return {name: n for name, n in found.items() if n}


def parse_conntrack(raw: bytes, limit: int | None) -> Numbers:
    """Of a namespace; empty if it follows no connections."""
    found = parse_stat(raw, CONNTRACK)
    if found and limit:
        found[MOST] = limit
    return found


def conntrack_limit(proc: Path = PROC) -> int | None:
    """Entries that each namespace may have; None: the kernel follows no connections."""
    return _number(f"{proc}/sys/net/netfilter/nf_conntrack_max")


def read_neighbours(proc: Path = PROC) -> Mapping[str, Numbers]:
    """By table, of the whole host; empty where they cannot be seen."""
    found: dict[str, Numbers] = {}
    for table, (file, family) in TABLES.items():
        for place in ("net/stat", "1/net/stat"):  # the second: nettop is in another namespace
            try:
                raw = read_whole(f"{proc}/{place}/{file}")
            except OSError:  # it is not there: the caller says so
                continue
            numbers = parse_stat(raw, NEIGHBOURS)
            limit = _number(f"{proc}/sys/net/{family}/neigh/default/gc_thresh3")
            found[table] = numbers | ({MOST: limit} if limit else {})
            break
    return found


def _number(path: str) -> int | None:
    try:
        return int(read_small(path))
    except (OSError, ValueError):
        return None
