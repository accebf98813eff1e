"""Devices and qdiscs of a namespace, as `ip -s link` and `tc -s qdisc` have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nettop.engine import check, ffi, lib
from nettop.model.evidence import Device, Qdisc
from nettop.text.clean import clean
from nettop.text.evidence import DEVICE, QDISC

ROOM = 128  # of the first read; it grows to MOST
MOST = 256  # devices, and qdiscs, of a namespace that are kept
_ROOT, _INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_DEVICE = tuple((name, "mtu" if name == "mtu_bytes" else name) for name in DEVICE)
_NO_QUEUE = "noqueue"


class Links:
    """Reads them; the memory that they are read into is kept."""

    def __init__(self) -> None:
        self._seq = 0
        self._links: Any = ffi.new("struct nt_link[]", ROOM)
        self._qdiscs: Any = ffi.new("struct nt_qdisc[]", ROOM)

    def devices(self, route_fd: int) -> tuple[dict[int, Device], int]:
        """By ifindex, and how many more there are.

        Args:
            route_fd: a socket of NETLINK_ROUTE made in the namespace.

        Raises:
            OSError: the kernel refuses.
        """
        n = self._read(lib.nt_links_read, route_fd, self._links, "listing devices")
        if n > len(self._links) < MOST:
            self._links = ffi.new("struct nt_link[]", MOST)
            n = self._read(lib.nt_links_read, route_fd, self._links, "listing devices")
        room = len(self._links)
        kept = {x.ifindex: _device(x) for x in self._links[0 : min(n, room)]}
        return kept, max(0, n - room)

    def qdiscs(self, route_fd: int) -> tuple[dict[str, Qdisc], int]:
        """As devices(), by ifindex, parent and handle; without those that queue nothing.

        Raises:
            OSError: the kernel refuses.
        """
        n = self._read(lib.nt_qdiscs_read, route_fd, self._qdiscs, "listing qdiscs")
        if n > len(self._qdiscs) < MOST:
            self._qdiscs = ffi.new("struct nt_qdisc[]", MOST)
            n = self._read(lib.nt_qdiscs_read, route_fd, self._qdiscs, "listing qdiscs")
        room = len(self._qdiscs)
        return dict(_of(self._qdiscs[0 : min(n, room)])), max(0, n - room)

    def _read(self, call: Any, route_fd: int, out: Any, what: str) -> int:
        self._seq = self._seq + 1 & 0xFFFFFFFF
        return check(call(route_fd, self._seq, out, len(out)), what)


def _device(raw: Any) -> Device:
    numbers = {name: n for name, member in _DEVICE if (n := int(getattr(raw, member)))}
    return Device(clean(ffi.string(raw.name).decode(errors="replace")), numbers)


def _of(raws: Iterable[Any]) -> Iterable[tuple[str, Qdisc]]:
    for raw in raws:
        kind = clean(ffi.string(raw.kind).decode(errors="replace"))
        if kind == _NO_QUEUE:
            continue
        numbers = {name: n for name in QDISC if (n := int(getattr(raw, name)))}
        handle, parent = f"{raw.handle >> 16:x}:", parent_text(raw.parent)
        key = f"{raw.ifindex} {parent} {handle}"
        yield key, Qdisc(int(raw.ifindex), kind, handle, parent, numbers)


def parent_text(parent: int) -> str:
    """As tc writes it: root, ingress, 8001:1."""
    if parent == _ROOT:
        return "root"
    if parent == _INGRESS:
        return "ingress"
    return f"{parent >> 16:x}:{parent & 0xFFFF:x}"
