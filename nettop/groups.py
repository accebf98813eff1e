"""What the engine sums up: a struct nt_group as a Group, the totals of what passes the filter."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from operator import add
from typing import Any, Protocol, Self, overload

from nettop.engine import ffi
from nettop.engine.wire import proc_of
from nettop.feed import Grouping
from nettop.model.buckets import dist_of
from nettop.model.types import (
    AF_INET,
    AF_INET6,
    NO_DIST,
    Because,
    Dist,
    Group,
    Level,
    Proc,
    Proto,
    Verdict,
    address_text,
)
from nettop.text import units
from nettop.text.words import OWNER_WORDS, WHO_NAMES, who_name

_UNKNOWN = units.ABSENT
_ADDRESSES = (Grouping.REMOTE, Grouping.LOCAL, Grouping.REMOTE_PORT)
_SIZE = ffi.sizeof("struct nt_group")
_LETTERS = {"uint8_t": "B", "uint16_t": "H", "uint32_t": "I", "uint64_t": "Q", "float": "f"}


def _members() -> dict[str, tuple[str, int, int]]:
    """Of the members that are numbers, or begin with one: letter, width and place of that."""
    out = {}
    for name, member in ffi.typeof("struct nt_group").fields:
        kind = member.type.item if member.type.kind == "array" else member.type
        if kind.cname in _LETTERS:
            out[name] = _LETTERS[kind.cname], ffi.sizeof(kind), member.offset
    return out


_MEMBERS = _members()


def _span(first: str, width: int) -> tuple[int, int]:
    return _MEMBERS[first][2], _MEMBERS[first][2] + width


_PROC = ffi.offsetof("struct nt_group", "proc")
# From and up to which byte: what groups differ by.
_KEYS = (
    _span("key", 16), (_PROC, _PROC + 4), _span("cgroup_id", 8), _span("netns", 4),
    _span("ifindex", 4), _span("key_port", 4), _span("family", 1),
    *((_PROC + ffi.offsetof("struct nt_proc", name),
       _PROC + ffi.offsetof("struct nt_proc", name) + width)
      for name, width in (("owner", 4), ("comm", 16))),
)  # fmt: skip


class GroupNames(Protocol):
    """Where the names of namespaces and cgroups come from."""

    def netns_name(self, inode: int) -> str | None: ...

    def device(self, netns: int, ifindex: int) -> str | None: ...

    def cgroup(self, cgroup_id: int) -> str | None: ...

    def container(self, path: str) -> str | None: ...


class ManyGroups(Sequence[Group]):
    """There may be tens of thousands: each is made when it is asked for, and `column` has of all of
    them what they are compared by."""

    def __init__(self, order: Sequence[int]) -> None:
        """order: their places in what they are made of."""
        self._order = order
        self._made: dict[int, Group] = {}  # by place
        self._columns: dict[str, list[Any]] = {}  # of all places

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, at: int) -> Group: ...

    @overload
    def __getitem__(self, at: slice) -> list[Group]: ...

    def __getitem__(self, at: int | slice) -> Group | list[Group]:
        if isinstance(at, slice):
            return [self._at(place) for place in self._order[at]]
        return self._at(self._order[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def in_order(self, order: Sequence[int]) -> Self:
        """The same groups in another order, given by their places here."""
        made = copy(self)
        made._order = [self._order[at] for at in order]
        return made

    def key_of(self, at: int) -> bytes:
        """The same for a group in every tick, and for no two of a grouping."""
        return self._key(self._order[at])

    def at_key(self, key: bytes) -> int | None:
        """Where the group of that key stands."""
        place = self._place_of(key)
        if place is None:
            return None
        order = self._order
        return place if isinstance(order, range) else order.index(place)

    def column(self, name: str) -> Sequence[Any]:
        """One of COLUMNS of each group, as Group has it, in their order."""
        found, order = self.column_unordered(name), self._order
        return found if isinstance(order, range) else [found[place] for place in order]

    def column_unordered(self, name: str) -> Sequence[Any]:
        """The same, however they are ordered."""
        known = self._columns.get(name)
        if known is None:
            known = self._columns[name] = self._column_of(name)
        return known

    def _at(self, place: int) -> Group:
        made = self._made.get(place)
        if made is None:
            made = self._made[place] = self._make(place)
        return made

    @abstractmethod
    def _make(self, place: int) -> Group: ...

    @abstractmethod
    def _key(self, place: int) -> bytes: ...

    @abstractmethod
    def _place_of(self, key: bytes) -> int | None: ...

    @abstractmethod
    def _column_of(self, name: str) -> list[Any]:
        """Of all places."""


class Groups(ManyGroups):
    """The groups of nt_groups."""

    def __init__(
        self, raw: tuple[Any, int], grouping: Grouping, names: GroupNames, *, rated: bool = True
    ) -> None:
        """
        Args:
            raw: as Engine.groups gives them.
            rated: the rates of their sockets add up.
        """
        self._raw, count = raw
        super().__init__(range(count))
        self._bytes = memoryview(ffi.buffer(self._raw)).cast("B")[: count * _SIZE]
        self._grouping, self._names, self._rated = grouping, names, rated

    def _key(self, place: int) -> bytes:
        begin = place * _SIZE
        return b"".join([bytes(self._bytes[begin + a : begin + b]) for a, b in _KEYS])

    def loudness(self) -> list[tuple[float, ...]]:
        """Of each what the helper orders them by: the greatest stands first."""
        columns = (self._member(name) for name in ("level", "unwell", "watch"))
        flows = map(add, self._member("tx_bytes_per_s"), self._member("rx_bytes_per_s"))
        return [*zip(*columns, flows, self._member("sockets"), strict=True)]

    def _place_of(self, key: bytes) -> int | None:
        """Member by member, of the groups that have those before: most differ in the first ones."""
        raw, at = self._bytes, 0
        left: Sequence[int] = range(0, len(raw), _SIZE)
        for a, b in _KEYS:
            wanted = key[at : at + b - a]
            left = [begin for begin in left if raw[begin + a : begin + b] == wanted]
            at += b - a
        return left[0] // _SIZE if left else None

    def _column_of(self, name: str) -> list[Any]:
        if name in _RATES and not self._rated:
            return [None] * len(self._order)
        return _READ[name](self)

    def _member(self, name: str) -> list[Any]:
        """A member of all of them."""
        letter, width, begin = _MEMBERS[name]
        numbers: Any = self._bytes.cast(letter)  # type: ignore[call-overload]
        return list(numbers[begin // width :: _SIZE // width].tolist())

    def _dists(self, plane: str) -> list[Dist]:
        out = [NO_DIST] * (len(self._bytes) // _SIZE)
        longest, least = self._member(f"{plane}_max_ns"), self._member(f"{plane}_octaves")
        for i, (max_ns, first) in enumerate(zip(longest, least, strict=True)):
            if max_ns or first:
                out[i] = _dist(self._raw[i], plane)
        return out

    @cached_property
    def _in_spaces(self) -> bool:
        """They are of several namespaces."""
        return len(set(self._member("netns"))) > 1

    @cached_property
    def _places(self) -> Counter[tuple[int, int, int, bytes]]:
        """How many there are of each, whatever the device."""
        size, begin = _SIZE, _MEMBERS["key"][2]
        keys = [
            bytes(self._bytes[at + begin : at + begin + 16])
            for at in range(0, len(self._bytes), size)
        ]
        parts = (self._member(name) for name in ("netns", "family", "key_port"))
        return Counter(zip(*parts, keys, strict=True))

    def _make(self, place: int) -> Group:
        g = self._raw[place]
        on_devices = self._grouping in _ADDRESSES and self._places[_place(g)] > 1
        return _group_of(g, self._grouping, self._names, self._in_spaces, on_devices, self._rated)


def sum_of(g: Any, names: GroupNames, *, rated: bool = True) -> Group:
    """The group of nt_sum; rated: as of Groups."""
    return _group_of(g, Grouping.NONE, names, False, False, rated)


def _place(g: Any) -> tuple[int, int, int, bytes]:
    return g.netns, g.family, g.key_port, bytes(g.key)


def _dist(g: Any, plane: str) -> Dist:
    octaves, sum_ns = getattr(g, f"{plane}_octaves"), getattr(g, f"{plane}_sum_ns")
    return dist_of(octaves, sum_ns, getattr(g, f"{plane}_max_ns"))


_Read = Callable[[Groups], list[Any]]


def _member(name: str) -> _Read:
    return lambda groups: groups._member(name)


def _rtt(name: str) -> _Read:
    return lambda groups: [us * 1000 or None for us in groups._member(name)]


def _where_known(name: str) -> _Read:
    return lambda groups: [x if x >= 0 else None for x in groups._member(name)]


_RATES = frozenset({"tx_bytes_per_s", "rx_bytes_per_s", "retrans_per_s"})
_READ: dict[str, _Read] = {
    **{name: _member(name) for name in ("sockets", "unwell", "level", "rqueue_bytes",
                                        "wqueue_bytes")},
    **{f"{name}_ns": _rtt(f"{name}_us") for name in ("rtt50", "rtt90", "rtt_max")},
    **{name: _where_known(name) for name in (*sorted(_RATES), "retr_pct")},
    "port": lambda groups: [port or None for port in groups._member("port")],
    "waits": lambda groups: groups._dists("wait"),
    "acks": lambda groups: groups._dists("ack"),
}  # fmt: skip
COLUMNS = tuple(_READ)  # what groups are compared by


def _group_of(
    g: Any, grouping: Grouping, names: GroupNames, in_spaces: bool, on_devices: bool, rated: bool
) -> Group:
    """in_spaces, on_devices: others differ from it by no more than that. rated: as of Groups."""
    proc = None
    if grouping in _ADDRESSES:
        word = "src" if grouping == Grouping.LOCAL else "dst"
        title, text = _address(g, word, names, in_spaces, on_devices)
    elif grouping == Grouping.PORT:
        title, text = _port(g, names, in_spaces)
    else:
        proc = proc_of(bytes(ffi.buffer(ffi.addressof(g, "proc"))))
        title, text = _title(g, grouping, proc, names)
    return Group(
        title=title,
        filter_text=text,
        sockets=g.sockets,
        unwell=g.unwell,
        watch=g.watch,
        level=Level(g.level),
        verdict=Verdict(g.verdict) if g.has_verdict else None,
        verdict_value=g.verdict_value,
        who=who_name(g.who) if g.has_verdict else None,
        because=Because(g.because),
        worst_cookie=g.worst_cookie,
        rtt50_ns=g.rtt50_us * 1000 or None,
        rtt90_ns=g.rtt90_us * 1000 or None,
        rtt_max_ns=g.rtt_max_us * 1000 or None,
        rqueue_bytes=g.rqueue_bytes,
        wqueue_bytes=g.wqueue_bytes,
        tx_bytes_per_s=_known(g.tx_bytes_per_s) if rated else None,
        rx_bytes_per_s=_known(g.rx_bytes_per_s) if rated else None,
        retrans_per_s=_known(g.retrans_per_s) if rated else None,
        retr_pct=_known(g.retr_pct),
        proc=proc if proc and proc.pid else None,
        port=g.port or None,
        waits=_dist(g, "wait"),
        acks=_dist(g, "ack"),
    )


def _known(number: float) -> float | None:
    """The engine says –1 of what is not known."""
    return number if number >= 0 else None


def matched_totals(t: Any, has_rates: bool) -> dict[str, Any]:
    """Members of Totals that the filter decides, of struct nt_totals."""
    return {
        "matched": t.matched,
        "unwell": t.unwell,
        "watch": t.watch,
        "who": {name: (t.who[i][0], t.who[i][1]) for i, name in enumerate(WHO_NAMES)},
        "tx_bytes_per_s": t.tx_bytes_per_s if has_rates else None,
        "rx_bytes_per_s": t.rx_bytes_per_s if has_rates else None,
        "matched_retrans_per_s": t.retrans_per_s if has_rates else None,
        "retr_pct": t.flow_retrans_pct if t.flow_retrans_pct >= 0 else None,
    }


def _equal(field: str, name: str) -> str:
    """A filter for a name, in the quotes that it does not hold itself; "": it has both."""
    quote = "'" if '"' in name else '"'
    return "" if quote in name else f"{field} = {quote}{name}{quote}"


def _title(g: Any, grouping: Grouping, proc: Proc, names: GroupNames) -> tuple[str, str]:
    """What the group is called, and the filter that lets just it through."""
    if grouping == Grouping.PROCESS:
        if proc.pid:
            return f"{proc.comm}/{proc.pid}", f"pid = {proc.pid}"
        return OWNER_WORDS.get(proc.owner, _UNKNOWN), ""
    if grouping == Grouping.PROGRAM:
        if proc.comm:
            return proc.comm, _equal("comm", proc.comm)
        return OWNER_WORDS.get(proc.owner, _UNKNOWN), ""
    if grouping == Grouping.CGROUP:
        path = names.cgroup(g.cgroup_id) if g.cgroup_id else None
        if path is None:
            return _UNKNOWN, ""
        return names.container(path) or path, _equal("cgroup", path)
    if grouping == Grouping.NETNS:
        name = names.netns_name(g.netns) or str(g.netns)
        return name, _equal("netns", name)
    return units.counted(g.sockets, "socket"), ""


def _port(g: Any, names: GroupNames, in_spaces: bool) -> tuple[str, str]:
    proto = _proto(g)
    title = f":{g.port}" if proto == "tcp" else f"{proto} :{g.port}"
    text = f"proto = {proto} and sport = :{g.port}"
    return _in_space(g, names, title, text) if in_spaces else (title, text)


def _proto(g: Any) -> str:
    """Of a grouping by port."""
    return Proto(g.key_port >> 16).name.lower()


def _in_space(g: Any, names: GroupNames, title: str, text: str) -> tuple[str, str]:
    space = names.netns_name(g.netns) or str(g.netns)
    return f"{title} in {space}", f"{text} and {_equal('netns', space)}"


def _address(
    g: Any, word: str, names: GroupNames, in_spaces: bool, on_devices: bool
) -> tuple[str, str]:
    if g.family not in (AF_INET, AF_INET6):
        return _UNKNOWN, ""
    addr = address_text(g.family, bytes(ffi.buffer(g.key)))
    dev = (names.device(g.netns, g.ifindex) or str(g.ifindex)) if g.ifindex else ""
    scoped = f"{addr}%{dev}" if dev else addr

    def with_port(text: str) -> str:
        shown = f"[{text}]" if g.family == AF_INET6 else text
        return f"{shown}:{g.port}" if g.port else shown

    title, text = with_port(scoped), f"{word} = {with_port(addr)}"
    if word == "dst" and not g.port and not any(bytes(ffi.buffer(g.key))):
        # They have no remote end: as the table of sockets writes it.
        title = f"*{f'%{dev}' if dev else ''}{' (IPv6)' if g.family == AF_INET6 else ''}"
    if g.key_port:
        proto = _proto(g)
        title = title if proto == "tcp" else f"{proto} {title}"
        text += f" and proto = {proto}"  # behind what a narrow header must not cut
    if dev or on_devices:
        text += f" and {_equal('dev', dev or '0')}"
    return _in_space(g, names, title, text) if in_spaces else (title, text)
