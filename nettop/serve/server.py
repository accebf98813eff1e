"""Answers scrapers: one thread, sockets that never block it, bounds on all that a peer can do.

A connection has HEAD_S for the head of a request, at most HEAD_BYTES, and SEND_S to take the
answer. There are at most CONNECTIONS_MOST; where one more comes, the one that has waited longest
without a whole request, or else the oldest, is closed.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from msgspec import Struct, field

from nettop.serve.request import HEAD_BYTES, BadRequest, Request, check_host, parse

CONNECTIONS_MOST = 32
HEAD_S = 5.0  # from its first byte
IDLE_S = 120.0  # between two requests
SEND_S = 15.0
STOP_S = 0.5
_STEP_S = 0.5
_END = b"\r\n\r\n"
_NO_MORE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CODES = (200, 400, 404, 405, 413, 421, 431, 503)


class Answer(Struct, frozen=True):
    """A body and what it is; the same bytes are sent to many."""

    body: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    encoding: str | None = None


Answers = Callable[[Request], Answer]


class _Peer(Struct, eq=False):
    """A connection."""

    sock: socket.socket
    since_s: float  # when it was accepted, or its last answer was sent
    until_s: float  # closed then
    got: bytearray = field(default_factory=bytearray)
    out: list[memoryview] = field(default_factory=list)
    ends: bool = False  # after what is being sent


class Server:
    """Listens from its making on; answers from start() on."""

    def __init__(self, address: tuple[str, int], answers: Answers) -> None:
        """
        Args:
            address: of this host, numeric; port 0: any that is free.
            answers: called in the server's thread; raises BadRequest.

        Raises:
            OSError: it cannot be listened there.
        """
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.create_server(address, family=family, backlog=128)
        self._listener.setblocking(False)
        host, port, *_ = self._listener.getsockname()
        self.address: tuple[str, int] = host, port
        self.loopback = host == "::1" or host.startswith("127.")
        self._answers = answers
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._peers: set[_Peer] = set()
        self._ended = False
        self.failure: BaseException | None = None
        # All of them from the beginning, so that a first one counts.
        self.served: Counter[str] = Counter({str(code): 0 for code in _CODES})
        self.cut: Counter[str] = Counter({"slow": 0, "too many": 0})
        self._thread: threading.Thread | None = None

    def start(self, before: Callable[[], object]) -> None:
        """before: called first in the thread."""
        self._thread = threading.Thread(
            target=self._run, args=(before,), name="nettop-serve", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; what is being sent is cut off."""
        self._ended = True
        with suppress(OSError):  # it is awake
            self._waker.send(b"x")
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                return
        for sock in (self._listener, self._wake, self._waker, *(p.sock for p in self._peers)):
            sock.close()
        self._selector.close()

    # --- the thread ---

    def _run(self, before: Callable[[], object]) -> None:
        try:
            before()
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._wake, selectors.EVENT_READ)
            while not self._ended:
                self._step()
        except BaseException as error:  # the command says it and ends
            self.failure = error

    def _step(self) -> None:
        for key, _ in self._selector.select(_STEP_S):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, _Peer) and key.data in self._peers:
                self._serve(key.data)
        now = time.monotonic()
        for peer in [p for p in self._peers if p.until_s <= now]:
            self._close(peer, "slow" if peer.got or peer.out else None)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in _NO_MORE:  # it stays ready: others shall have their turn
                time.sleep(0.05)
            return
        if len(self._peers) >= CONNECTIONS_MOST:
            # Requests that are not whole go before answers that are being sent.
            self._close(min(self._peers, key=lambda p: (bool(p.out), p.since_s)), "too many")
        sock.setblocking(False)
        now = time.monotonic()
        peer = _Peer(sock, now, now + HEAD_S)
        self._peers.add(peer)
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def _close(self, peer: _Peer, why: str | None = None) -> None:
        if why is not None:
            self.cut[why] += 1
        self._peers.discard(peer)
        self._selector.unregister(peer.sock)
        peer.sock.close()

    def _serve(self, peer: _Peer) -> None:
        try:
            if peer.out:
                self._send(peer)
            elif _END in peer.got or self._receive(peer):
                self._answer(peer)
        except OSError:  # it went away
            self._close(peer)

    def _receive(self, peer: _Peer) -> bool:
        """Whether a whole head is there."""
        with suppress(BlockingIOError):  # it was read before
            more = peer.sock.recv(HEAD_BYTES)
            if not more:
                self._close(peer)
                return False
            if not peer.got:
                peer.until_s = time.monotonic() + HEAD_S
            peer.got += more
        return _END in peer.got or len(peer.got) > HEAD_BYTES

    def _answer(self, peer: _Peer) -> None:
        """The first request of what came; of further ones later."""
        head, end, rest = bytes(peer.got).partition(_END)
        request = None
        try:
            if not end or len(head) > HEAD_BYTES:
                raise BadRequest(431, f"a head of more than {HEAD_BYTES} bytes")
            request = parse(head)
            check_host(request, loopback=self.loopback)
            answer = self._answers(request)
        except BadRequest as bad:
            answer = Answer(f"{bad.why}\n".encode(), status=bad.status)
            peer.ends = True
        peer.got = bytearray(rest)
        peer.ends = peer.ends or request is None or not request.keep
        self.served[str(answer.status)] += 1
        bodiless = request is not None and request.method == "HEAD"
        peer.out = [memoryview(_head(answer, ends=peer.ends))]
        if not bodiless and answer.body:
            peer.out.append(memoryview(answer.body))
        peer.until_s = time.monotonic() + SEND_S
        self._selector.modify(peer.sock, selectors.EVENT_WRITE, peer)
        self._send(peer)

    def _send(self, peer: _Peer) -> None:
        while peer.out:
            try:
                sent = peer.sock.send(peer.out[0])
            except BlockingIOError:
                return
            peer.out[0] = peer.out[0][sent:]
            if not peer.out[0]:
                peer.out.pop(0)
        if peer.ends:
            self._finish(peer)
            return
        now = time.monotonic()
        peer.since_s, peer.until_s = now, now + (HEAD_S if peer.got else IDLE_S)
        if _END not in peer.got:  # else it is answered in its turn, beside others
            self._selector.modify(peer.sock, selectors.EVENT_READ, peer)

    def _finish(self, peer: _Peer) -> None:
        """What a peer still says would reset the connection before it has read the answer."""
        with suppress(OSError):  # it went away, or says no more
            peer.sock.shutdown(socket.SHUT_WR)
            peer.sock.recv(HEAD_BYTES)
        self._close(peer)


def _head(answer: Answer, *, ends: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        "Vary: Accept, Accept-Encoding",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    if answer.encoding is not None:
        lines.append(f"Content-Encoding: {answer.encoding}")
    if answer.status == 405:
        lines.append("Allow: GET, HEAD")
    if answer.status == 503:
        lines.append("Retry-After: 1")
    if ends:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
