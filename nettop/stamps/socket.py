"""A socket of one's own whose messages carry the kernel's stamps."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import termios
import time
from collections import Counter
from enum import IntFlag
from typing import Any

from msgspec import Struct

from nettop.engine.stamps import Buffers, enable
from nettop.model.stamps import Sent, Stamp, StampError

Address = Any  # as socket.socket has it: (host, port) or (host, port, flowinfo, scope)


class Flag(IntFlag):
    """SOF_TIMESTAMPING_* of include/uapi/linux/net_tstamp.h."""

    TX_HARDWARE = 1 << 0
    TX_SOFTWARE = 1 << 1
    RX_HARDWARE = 1 << 2
    RX_SOFTWARE = 1 << 3  # stamps every packet that this host receives, while the socket lives
    SOFTWARE = 1 << 4
    RAW_HARDWARE = 1 << 6
    OPT_ID = 1 << 7
    TX_SCHED = 1 << 8
    TX_ACK = 1 << 9
    OPT_CMSG = 1 << 10
    OPT_TSONLY = 1 << 11
    OPT_STATS = 1 << 12
    OPT_PKTINFO = 1 << 13
    OPT_TX_SWHW = 1 << 14
    OPT_ID_TCP = 1 << 16
    OPT_RX_FILTER = 1 << 17
    TX_COMPLETION = 1 << 18


_RECORD = Flag.TX_HARDWARE | Flag.TX_SOFTWARE | Flag.TX_SCHED | Flag.TX_ACK | Flag.TX_COMPLETION
# Left out one after the other where the kernel refuses them.
_LATER = (Flag.OPT_RX_FILTER, Flag.OPT_ID_TCP)


class Message(Struct, frozen=True):
    """A received message with its stamp."""

    data: bytes
    address: Address | None  # the sender of a datagram
    stamp: Stamp

    @property
    def queue_wait_ns(self) -> int | None:
        """Time that it lay in the socket's queue; None if the kernel did not stamp it. Of TCP it
        is the newest segment's: of several that arrived together it is the shortest wait."""
        return self.stamp.queue_wait_ns


class SentMessage(Struct, frozen=True):
    """A send: how much was taken, the key of its stamps, and the clocks around the call."""

    taken: int
    key: int | None  # None: no stamps were asked for
    clocks: Sent


class StampedSocket:
    """Wraps a socket that is yours; the socket stays usable and stays yours to close.

    The error queue holds stamps until they are read: `stamps()` (or `wait()`) must be called, or
    poll() keeps saying POLLERR and the receive buffer fills.

    Args:
        sock: UDP, or a connected TCP socket.
        receive: stamp what is received. Linux then stamps every packet of the host.
        send: ask for stamps of every send; else only where send(stamped=True) says so.
        hardware: ask the NIC's stamps too; the NIC itself must have been set to give them.
        stats: with every stamp of TCP the numbers of SOF_TIMESTAMPING_OPT_STATS.

    Raises:
        OSError: the kernel refuses.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        receive: bool = True,
        send: bool = True,
        hardware: bool = False,
        stats: bool = False,
    ) -> None:
        self.sock = sock
        self.is_stream = sock.type == socket.SOCK_STREAM
        self.errors: Counter[StampError] = Counter()  # control data that could not be used
        self._buffers = Buffers()
        self._next_key = 0
        self._fd = sock.fileno()
        self._always = send
        self._record = Flag.TX_SOFTWARE | Flag.TX_SCHED
        if self.is_stream:
            self._record |= Flag.TX_ACK
        if hardware:
            self._record |= Flag.TX_HARDWARE
        flags = Flag.SOFTWARE | Flag.OPT_ID | Flag.OPT_TSONLY
        if self.is_stream:
            flags |= Flag.OPT_ID_TCP
        if receive:
            flags |= Flag.RX_SOFTWARE
        else:
            flags |= Flag.OPT_RX_FILTER
        if hardware:
            flags |= Flag.RAW_HARDWARE | Flag.OPT_TX_SWHW
            if receive:
                flags |= Flag.RX_HARDWARE
        if stats and self.is_stream:
            flags |= Flag.OPT_STATS
        if send:
            flags |= self._record
        self.flags = self._enable(flags)

    def _enable(self, flags: Flag) -> Flag:
        """Starts the keys anew; returns what the kernel took."""
        enable(self._fd, 0)
        unacknowledged = self._unacknowledged() if self.is_stream else 0
        for left_out in (*_LATER, Flag(0)):
            try:
                enable(self._fd, flags)
            except OSError as error:
                if error.errno != errno.EINVAL or not left_out:
                    raise
                flags &= ~left_out
            else:
                break
        # Before Linux 6.2 a stream's keys count from its first unacknowledged byte.
        self._next_key = 0 if flags & Flag.OPT_ID_TCP else unacknowledged
        return flags

    def _unacknowledged(self) -> int:
        """Bytes that were written and not acknowledged (SIOCOUTQ of tcp(7))."""
        return self._out_queue_bytes()

    def _out_queue_bytes(self) -> int:
        """SIOCOUTQ: of a stream its unacknowledged bytes, of datagrams the memory they hold."""
        raw = fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(raw, sys.byteorder)

    def _ask_for_room(self, flags: int) -> None:
        """Refuses a datagram that must not wait and has no room, as sock_alloc_send_pskb() does.

        The kernel may use up a key before it refuses, and keys started anew would be those of
        datagrams that are still queued.
        """
        may_wait = not flags & socket.MSG_DONTWAIT and self.sock.gettimeout() is None
        if may_wait:
            return
        room_bytes = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        if self._out_queue_bytes() >= room_bytes:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def recv(self, most_bytes: int = 65536, *, flags: int = 0) -> Message:
        """One message, without waiting.

        Raises:
            BlockingIOError: there is none.
        """
        return self._message(self._buffers.recv(self._fd, most_bytes, flags))

    def send(
        self, data: bytes, address: Address | None = None, *, flags: int = 0, stamped: bool = False
    ) -> SentMessage:
        """Sends; a stream may take less than all.

        Raises:
            BlockingIOError: no room now.
        """
        to = b"" if address is None else sockaddr(self.sock.family, address)
        wanted = int(self._record) if stamped and not self._always else 0
        counts_datagrams = not self.is_stream and bool(wanted or self._always)
        if counts_datagrams:
            self._ask_for_room(flags)
        try:
            taken, clocks = self._buffers.send(self._fd, data, flags, to, wanted)
        except OSError:
            if counts_datagrams:
                # A refused datagram may have used up a key.
                self._enable(self.flags)
            raise
        if not (wanted or self._always):
            if self.is_stream:
                self._next_key += taken
            return SentMessage(taken, None, clocks)
        if self.is_stream:
            self._next_key += taken
            return SentMessage(taken, (self._next_key - 1) & 0xFFFFFFFF, clocks)
        self._next_key += 1
        return SentMessage(taken, (self._next_key - 1) & 0xFFFFFFFF, clocks)

    def stamps(self) -> list[Stamp]:
        """Stamps of sent messages that came since the last call; never waits."""
        out: list[Stamp] = []
        while True:
            some = self._buffers.drain(self._fd)
            out += some
            if not some:
                return self._counted(out)

    def wait(
        self, timeout_s: float, *, for_stamps: bool = False
    ) -> tuple[Message | None, list[Stamp]]:
        """The next message, or None after timeout_s (with for_stamps also as soon as stamps came,
        or a signal), and the stamps of sent messages that came meanwhile."""
        deadline = time.monotonic_ns() + round(timeout_s * 1e9)
        got, stamps = self._buffers.wait(self._fd, deadline, for_stamps=for_stamps)
        return self._message(got) if got is not None else None, self._counted(stamps)

    def _message(self, got: tuple[bytes, Stamp]) -> Message:
        data, stamp = got
        self._counted([stamp])
        return Message(data, address_of(stamp.sender), stamp)

    def _counted(self, stamps: list[Stamp]) -> list[Stamp]:
        for stamp in stamps:
            for error in stamp.errors:
                self.errors[error] += 1
        return stamps

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> StampedSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sockaddr(family: int, address: Address) -> bytes:
    """struct sockaddr_in or sockaddr_in6 of numeric (host, port, ...)."""
    port = int(address[1]).to_bytes(2, "big")
    head = int(family).to_bytes(2, sys.byteorder) + port
    host = socket.inet_pton(family, address[0].partition("%")[0])
    if family == socket.AF_INET:
        return head + host + bytes(8)
    flow = int(address[2]) if len(address) > 2 else 0
    scope = int(address[3]) if len(address) > 3 else 0
    return head + flow.to_bytes(4, "big") + host + scope.to_bytes(4, sys.byteorder)


def address_of(raw: bytes) -> Address | None:
    """(host, port) or (host, port, flowinfo, scope) of a sockaddr; None for none."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    if family == socket.AF_INET and len(raw) >= 8:
        return socket.inet_ntop(family, raw[4:8]), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET6 and len(raw) >= 28:
        return (
            socket.inet_ntop(family, raw[8:24]),
            int.from_bytes(raw[2:4], "big"),
            int.from_bytes(raw[4:8], "big"),
            int.from_bytes(raw[24:28], sys.byteorder),
        )
    return None
