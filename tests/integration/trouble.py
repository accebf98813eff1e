"""Events that come interval by interval, with known causes."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

from tests.integration.namespaces import inside, run
from tests.integration.sends import cookie_of


class Trouble:
    """In a namespace: a datagram socket that is full, a sender whose packets are lost, and
    connections that end with a reset."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.full, self.peer = inside(
            name, lambda: [socket.socket(type=socket.SOCK_DGRAM) for _ in "ab"]
        )
        self.full.bind(("127.0.0.1", 0))
        self.full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.server = inside(name, lambda: socket.create_server(("127.0.0.1", 0)))
        self.sender, self.lost = self.connect(), self.server.accept()[0]
        self.brief: list[tuple[socket.socket, socket.socket]] = []
        self.cookies = [cookie_of(sock) for sock in (self.full, self.sender, self.server)]

    def connect(self) -> socket.socket:
        return inside(self.name, lambda: socket.create_connection(self.server.getsockname()))

    def cause(self) -> None:
        """What one interval sees. What came is read late, and not all of it had room; a connection
        closes in the interval after that it came in."""
        with suppress(BlockingIOError):
            while self.full.recv(1000, socket.MSG_DONTWAIT):
                pass
        for _ in range(30):
            self.peer.sendto(b"x" * 500, self.full.getsockname())
        for client, served in self.brief:
            client.sendall(b"unread")
            time.sleep(0.01)
            served.close()
            client.close()
        self.brief = [(self.connect(), self.server.accept()[0])]
        self.cookies.append(cookie_of(self.brief[0][0]))
        rule = ("INPUT", "-p", "tcp", "--sport", str(self.sender.getsockname()[1]), "-j", "DROP")
        run("ip", "netns", "exec", self.name, "iptables", "-A", *rule)
        self.sender.sendall(b"x")
        time.sleep(0.25)
        run("ip", "netns", "exec", self.name, "iptables", "-D", *rule)

    def close(self) -> None:
        ends = [end for pair in self.brief for end in pair]
        for sock in (self.full, self.peer, self.server, self.sender, self.lost, *ends):
            sock.close()
