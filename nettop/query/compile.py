"""A filter's tree to the postfix program that the C side evaluates on every socket."""

from __future__ import annotations

import operator
import re
import struct
from ipaddress import IPv6Network
from typing import Any, Protocol

from msgspec import Struct, field

from nettop.model.types import AF_INET, AF_INET6, Level, Model, Proto, Verdict
from nettop.query import values
from nettop.query.ast import Address, And, Compare, Like, Node, Not, Or, OwnedBy, States, Text
from nettop.query.errors import FilterError
from nettop.query.parse import parse
from nettop.query.plain import PROTOS, VERDICT, VERDICT_WORDS
from nettop.text.fields import FIELDS, Field, Formula, Kind, Loc
from nettop.text.verdicts import VERDICTS, named, worded
from nettop.text.words import WHO_NUMBERS
from nettop.users import USERS, PendingError

# enum nt_opcode, nt_cmp, nt_text
TRUE, AND, OR, NOT, CMP, ADDR, TEXT, IN, STATES, OWNER = range(1, 11)
CMPS = {"=": 1, "!=": 2, "<": 3, "<=": 4, ">": 5, ">=": 6}
TEXT_COMM, TEXT_CONG, TEXT_COMM_NOCASE = 1, 2, 3
DEEPEST_STACK = 64
ALL_STATES = (1 << 14) - 2
_CMP_CALLS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
# A full congestion window is a word, not an alarm. All of a test hold; of OK one.
_WORD = 1 << Verdict.CWND
_LEVEL_TESTS = {
    Level.OK: (("verdicts", "=", 0), ("verdicts", "=", _WORD)),
    Level.WATCH: (("verdicts_unwell", "=", 0), ("verdicts", "!=", 0), ("verdicts", "!=", _WORD)),
    Level.UNWELL: (("verdicts_unwell", "!=", 0),),
}


class NameSets(Protocol):
    """Turns patterns over names into the numbers that records hold."""

    def cgroup_ids(self, pattern: str) -> list[int]: ...

    def container_ids(self, pattern: str) -> list[int]: ...  # whatever the case of the letters

    def netns_ids(self, pattern: str) -> list[int]: ...

    def devices(self, name: str) -> list[tuple[int, int]]: ...  # (netns, ifindex)

    def uid(self, name: str) -> int | None: ...

    def is_host(self, pattern: str) -> bool: ...  # whether the sockets are of a host called so


class Op(Struct, frozen=True):
    """One struct nt_op."""

    code: int
    cmp: int = 0
    side: int = 0
    family: int = 0
    prefix: int = 0
    port: int = -1
    mask: int = 0
    addr: bytes = bytes(16)
    left: Loc | Formula | None = None
    right: Loc | Formula | None = None
    number: float = 0.0
    data: int = 0
    n: int = 0


class Filter(Struct, frozen=True):
    """A compiled filter."""

    text: str
    ops: tuple[Op, ...]
    data: bytes
    states: int | None = None  # TCP states that it lets through, None if it names none
    needs_info: bool = False  # numbers that only a sweep has at hand
    dynamic: bool = False  # made of names that may come to stand for more
    planes: frozenset[str] = field(default_factory=frozenset)  # that it needs beside diag
    level_now: bool = False  # `level` is of the tick itself
    words: tuple[str, ...] = ()  # parts of names that no field was named for

    @property
    def reads_owners(self) -> bool:
        """It asks which process holds a socket."""
        return any(
            op.code == OWNER
            or (op.code == TEXT and op.side != TEXT_CONG)
            or any(isinstance(side, Loc) and side.base == "proc" for side in (op.left, op.right))
            for op in self.ops
        )

    def to_ffi(self, ffi: Any) -> tuple[Any, int, bytes]:
        """struct nt_op[], its length, and the data blob."""
        from nettop.engine.wire import fill_number

        out = ffi.new("struct nt_op[]", len(self.ops))
        for raw, op in zip(out, self.ops, strict=True):
            raw.code, raw.cmp, raw.side = op.code, op.cmp, op.side
            raw.family, raw.prefix, raw.port = op.family, op.prefix, op.port
            raw.mask, raw.number, raw.data, raw.n = op.mask, op.number, op.data, op.n
            ffi.memmove(raw.addr, op.addr, 16)
            if op.left is not None:
                fill_number(raw.left, op.left)
            if op.right is not None:
                fill_number(raw.right, op.right)
        return out, len(self.ops), self.data


def compile_filter(
    text: str, names: NameSets | None = None, *, level_now: bool = False
) -> Filter | None:
    """The program of a filter; None of a blank one.

    Args:
        level_now: `level` is what the verdicts of the tick are worth, without the 10 s for which a
            socket's level stays after them: for what asks how long something has held.

    Raises:
        FilterError: with the column of the first mistake.
    """
    node = parse(text)
    if node is None:
        return None
    compiler = _Compiler(text, names, level_now)
    compiler.add(node)
    if _depth(compiler.ops) > DEEPEST_STACK:
        raise FilterError(text, 0, "too deeply nested")
    return Filter(
        text=text,
        ops=tuple(compiler.ops),
        data=bytes(compiler.data),
        states=compiler.states,
        needs_info=compiler.needs_info,
        dynamic=compiler.dynamic,
        planes=frozenset(compiler.planes),
        level_now=level_now,
        words=tuple(compiler.words),
    )


def planes_off(compiled: Filter, model: Model) -> dict[str, str]:
    """The planes that a filter needs and that are off, with the reason."""
    found = (model.source(name) for name in sorted(compiled.planes))
    return {s.name: s.reason or "" for s in found if s is not None and s.state == "off"}


def _depth(ops: list[Op]) -> int:
    depth = most = 0
    for op in ops:
        if op.code in (AND, OR):
            depth -= 1
        elif op.code != NOT:
            depth += 1
            most = max(most, depth)
    return most


class _Compiler:
    def __init__(self, text: str, names: NameSets | None, level_now: bool) -> None:
        self.text = text
        self.level_now = level_now
        self.names = names
        self.ops: list[Op] = []
        self.data = bytearray()
        self.states: int | None = None
        self.needs_info = False
        self.dynamic = False
        self.planes: set[str] = set()
        self.words: list[str] = []

    def add(self, node: Node) -> None:
        match node:
            case And(parts):
                self.join(parts, AND)
            case Or(parts):
                self.join(parts, OR)
            case Not(States(mask)):
                self.states = (self.states or 0) | (ALL_STATES & ~mask)
                self.ops += [Op(STATES, mask=mask), Op(NOT)]
            case Not(part):
                self.add(part)
                self.ops.append(Op(NOT))
            case States(mask):
                self.states = (self.states or 0) | mask
                self.ops.append(Op(STATES, mask=mask))
            case Address():
                self.address(node)
            case Compare():
                self.compare(node)
            case Text():
                self.pattern(node)
            case OwnedBy(pid, equal):
                self.ops.append(Op(OWNER, number=pid))
                self.negate(not equal)
            case Like(word):
                self.like(word)

    def join(self, parts: tuple[Node, ...], code: int) -> None:
        for i, part in enumerate(parts):
            self.add(part)
            if i:
                self.ops.append(Op(code))

    def negate(self, wanted: bool) -> None:
        if wanted:
            self.ops.append(Op(NOT))

    def never(self) -> None:
        self.ops.append(Op(TRUE))
        self.ops.append(Op(NOT))

    def address(self, node: Address) -> None:
        network = node.network
        port = -1 if node.port is None else node.port
        if network is None:
            self.ops.append(Op(ADDR, side=node.remote, port=port))
        else:
            v6 = isinstance(network, IPv6Network)
            self.ops.append(
                Op(
                    ADDR,
                    side=node.remote,
                    family=AF_INET6 if v6 else AF_INET,
                    prefix=network.prefixlen,
                    port=port,
                    addr=network.network_address.packed.ljust(16, b"\0"),
                )
            )
        self.negate(not node.equal)

    def operand(self, item: Field) -> Loc | Formula | None:
        if item.source != "diag":
            self.planes.add(item.source)
        if item.reads("info"):
            self.needs_info = True
        return item.loc

    def compare(self, node: Compare) -> None:
        if self.level_now and node.field.kind is Kind.LEVEL:
            self.level_of_tick(node)
            return
        left = self.operand(node.field)
        right = self.operand(node.other) if node.other else None
        if left is None or (node.other and right is None):
            self.never()  # its plane is not there: unknown is never true
            return
        self.ops.append(Op(CMP, cmp=CMPS[node.cmp], left=left, right=right, number=node.number))

    def level_of_tick(self, node: Compare) -> None:
        holds = _CMP_CALLS[node.cmp]
        self.never()
        for level, tests in _LEVEL_TESTS.items():
            if not holds(level, node.number):
                continue
            for i, (member, cmp, number) in enumerate(tests):
                self.ops.append(Op(CMP, cmp=CMPS[cmp], left=Loc("rec", member), number=number))
                if i:
                    self.ops.append(Op(AND if level else OR))
            self.ops.append(Op(OR))

    def pattern(self, node: Text) -> None:
        item, pattern = node.field, node.pattern
        equal = 1 if node.equal else 2
        if item.id == "comm":
            self.ops.append(Op(TEXT, cmp=equal, side=TEXT_COMM, data=self.blob(pattern)))
        elif item.id == "proc":
            self.process(pattern, node.equal)
        elif item.id == "cc":
            self.ops.append(Op(TEXT, cmp=equal, side=TEXT_CONG, data=self.blob(pattern)))
        elif item is VERDICT:
            self.verdicts(node)
        elif item.id == "who":
            self.who(node)
        elif item.id == "proto":
            self.proto(node)
        elif item.id == "user":
            self.user(node)
        elif item.id == "host":
            self.host(pattern, node.equal)
        elif item.id in ("cgroup", "container"):
            self.members(Loc("rec", "cgroup_id"), "cgroup_ids", pattern, node.equal)
        elif item.id == "netns":
            self.members(Loc("rec", "netns"), "netns_ids", pattern, node.equal)
        elif item.id == "dev":
            self.device(pattern, node.equal)
        elif item.source != "diag":
            self.planes.add(item.source)
            self.never()
        else:
            raise self.fail(node.field_at, f"cannot filter by {item.id}")

    def like(self, word: str) -> None:
        """A part of the name of the program, the container or the namespace."""
        self.words.append(word)
        pattern = word if "*" in word else f"*{word}*"
        small = "".join(c.lower() if c.isascii() else c for c in pattern)
        self.ops.append(Op(TEXT, cmp=1, side=TEXT_COMM_NOCASE, data=self.blob(small)))
        for member, method in (("cgroup_id", "container_ids"), ("netns", "netns_ids")):
            self.members(Loc("rec", member), method, pattern, True)
            self.ops.append(Op(OR))

    def process(self, pattern: str, equal: bool) -> None:
        """NAME, NAME/PID as the column shows it, or NAME/PID+MORE."""
        name, pid = _split_process(pattern)
        cmp = "=" if equal else "!="
        self.ops.append(Op(TEXT, cmp=1 if equal else 2, side=TEXT_COMM, data=self.blob(name)))
        if pid is not None:
            self.compare(Compare(FIELDS["pid"], cmp, pid))
            # Another process is one of another name or another pid.
            self.ops.append(Op(AND if equal else OR))

    def fail(self, column: int, message: str, hint: str | None = None) -> FilterError:
        return FilterError(self.text, column, message, hint)

    def blob(self, pattern: str) -> int:
        at = len(self.data)
        self.data += pattern.encode(errors="surrogateescape").replace(b"\0", b"?") + b"\0"
        return at

    def verdicts(self, node: Text) -> None:
        wanted = named(node.pattern.lower()) or worded(node.pattern)
        if not wanted:
            known = f"verdicts are {', '.join(VERDICT_WORDS)}"
            raise self.fail(node.pattern_at, f"no verdict '{node.pattern}'", known)
        planes = [VERDICTS[verdict].source for verdict in wanted]
        if all(plane != "diag" for plane in planes):
            self.planes |= set(planes)
        for i, verdict in enumerate(wanted):
            loc = Loc("rec", "verdicts", bit=int(verdict))
            self.ops.append(Op(CMP, cmp=CMPS["="], left=loc, number=1))
            if i:
                self.ops.append(Op(OR))
        self.negate(not node.equal)

    def who(self, node: Text) -> None:
        word = node.pattern
        number = WHO_NUMBERS.get(word.lower())
        if number is None:
            known = ", ".join(WHO_NUMBERS)
            raise self.fail(node.pattern_at, f"no '{word}'", f"who is one of {known}")
        # The column shows the worst verdict's WHO, so that one counts.
        self.ops.append(Op(CMP, cmp=CMPS["="], left=Loc("rec", "who"), number=number))
        self.ops.append(Op(CMP, cmp=CMPS["!="], left=Loc("rec", "verdicts"), number=0))
        self.ops.append(Op(AND))
        self.negate(not node.equal)

    def proto(self, node: Text) -> None:
        word = node.pattern
        try:
            number = Proto[word.upper()]
        except KeyError:
            known = f"one of {', '.join(PROTOS)}"
            raise self.fail(node.pattern_at, f"no protocol '{word}'", known) from None
        loc = Loc("rec", "proto")
        self.ops.append(Op(CMP, cmp=CMPS["="], left=loc, number=int(number)))
        self.negate(not node.equal)

    def user(self, node: Text) -> None:
        word = node.pattern
        uid = values.whole(word)
        if uid is None:
            try:
                uid = self.names.uid(word) if self.names else USERS.uid(word)
            except PendingError:
                slow = f"no answer yet who '{word}' is: try again, or give the number"
                raise self.fail(node.pattern_at, slow) from None
        if uid is None:
            raise self.fail(node.pattern_at, f"no user '{word}' on this host")
        loc = Loc("rec", "uid")
        self.ops.append(Op(CMP, cmp=CMPS["=" if node.equal else "!="], left=loc, number=uid))

    def host(self, pattern: str, equal: bool) -> None:
        """All sockets of a feed's engine are of one host: all match, or none."""
        self.dynamic = True
        self.ops.append(Op(TRUE))
        self.negate((self.names is not None and self.names.is_host(pattern)) != equal)

    def device(self, name: str, equal: bool) -> None:
        """An interface's number is its namespace's own; 0 is no device."""
        number = values.whole(name)
        if number is not None:
            loc = Loc("rec", "ifindex")
            self.ops.append(Op(CMP, cmp=CMPS["="], left=loc, number=number))
            self.negate(not equal)
            return
        self.dynamic = True
        spaces: dict[int, list[int]] = {}
        for netns, ifindex in self.names.devices(name) if self.names else []:
            spaces.setdefault(ifindex, []).append(netns)
        self.never()
        for ifindex, inodes in spaces.items():
            inside = Op(IN, left=Loc("rec", "netns"), data=self.numbers(inodes), n=len(inodes))
            bound = Op(CMP, cmp=CMPS["="], left=Loc("rec", "ifindex"), number=ifindex)
            self.ops += [inside, bound, Op(AND), Op(OR)]
        self.negate(not equal)

    def members(self, loc: Loc, method: str, pattern: str, equal: bool) -> None:
        self.dynamic = True
        numbers = sorted(set(getattr(self.names, method)(pattern))) if self.names else []
        number = values.whole(pattern)
        if number is not None and number < values.BEYOND:
            numbers = sorted({*numbers, number})
        self.ops.append(Op(IN, left=loc, data=self.numbers(numbers), n=len(numbers)))
        self.negate(not equal)

    def numbers(self, numbers: list[int]) -> int:
        self.data += bytes(-len(self.data) % 8)
        at = len(self.data)
        self.data += struct.pack(f"<{len(numbers)}Q", *sorted(numbers))
        return at


def _split_process(pattern: str) -> tuple[str, int | None]:
    """The name and the pid of NAME/PID+MORE; a program's own name may have a / too."""
    match = re.fullmatch(r"(.*)/(?:(\d+)(?:\+\d+)?|\*?)", pattern, re.ASCII | re.DOTALL)
    if match is None:
        return pattern, None
    return match[1], values.whole(match[2] or "")
