"""What nettop serve counts of real sockets, which say themselves how much they moved."""

from __future__ import annotations

import socket
import time

from nettop.metrics import names
from nettop.metrics.exporter import Exporter
from nettop.metrics.families import Family
from nettop.metrics.labels import Labeller, PeerTable
from nettop.poller import LEAST_ROLL_MS, LiveFeed
from tests.integration.namespaces import inside, needs_root
from tests.integration.sends import take

pytestmark = needs_root
PORT, SIZE, CONNECTIONS = 7321, 200_000, 5


def found(exporter: Exporter, metric: names.Metric, **labels: str) -> float:
    assert exporter.latest is not None
    families: list[Family] = exporter.families(exporter.latest, {}, {})
    samples = next(f.samples for f in families if f.metric is metric)
    wanted = labels.items()
    return sum(
        s.value if s.buckets is None else s.buckets.all
        for s in samples
        if wanted <= dict(s.labels).items()
    )


def test_counters_are_what_the_sockets_moved_though_all_of_them_ended(
    space: str, feed: LiveFeed
) -> None:
    """Three connections end between two ticks, one was seen by a tick, one is still open."""
    labeller = Labeller(("service",), feed.row_names, PeerTable({}))
    exporter = Exporter(labeller, series_max=10_000, top=100, expire_s=600.0, whole=True)
    server = inside(space, lambda: socket.create_server(("127.0.0.1", PORT)))

    def tick() -> None:
        time.sleep(2 * LEAST_ROLL_MS / 1e3)  # counters stand still in a shorter interval
        exporter.take(feed.tick(), feed)

    tick()

    def connect() -> tuple[socket.socket, socket.socket]:
        client = inside(space, lambda: socket.create_connection(("127.0.0.1", PORT)))
        return client, server.accept()[0]

    def move(pair: tuple[socket.socket, socket.socket], size: int) -> None:
        for _ in range(size // 1000):
            pair[0].sendall(bytes(1000))
            take(pair[1], 1000)

    def end(pair: tuple[socket.socket, socket.socket]) -> None:
        for sock in pair:
            sock.close()

    with server:
        pairs = [connect() for _ in range(2)]
        for pair in pairs:
            move(pair, SIZE // 2)
        tick()
        for pair in pairs:
            move(pair, SIZE // 2)
        end(pairs.pop())
        for _ in range(CONNECTIONS - 2):
            pair = connect()
            move(pair, SIZE)
            end(pair)
        for _ in range(2):  # the record of an end may come in the next tick
            tick()
        for one in pairs:
            move(one, 1000)
        tick()
        for one in pairs:
            end(one)
    client = {"role": "client", "port": str(PORT)}
    served = {"role": "server", "port": str(PORT)}
    count = {which.name: metric for which, metric in names.COUNTS.items()}
    sent = found(exporter, count["SENT_BYTES"], **client)
    again = found(exporter, count["RETRANS_BYTES"], **client)
    moved = CONNECTIONS * SIZE + 1000
    assert sent - again == moved
    # A FIN counts as a byte.
    received = found(exporter, count["RECEIVED_BYTES"], **served)
    assert moved <= received <= moved + CONNECTIONS
    assert found(exporter, count["OPENED"], **client) == CONNECTIONS
    assert found(exporter, count["OPENED"], **served) == CONNECTIONS
    assert found(exporter, count["CLOSED"], **client) == CONNECTIONS - 1
    assert found(exporter, names.SOCKETS, **served) == 1
    assert found(exporter, names.CLOSED_UNKNOWN) == 0
    # Every thousand bytes were a delivery, but for those that were merged before their read.
    waits = found(exporter, names.RX_WAIT, **served)
    assert 0 < waits <= moved // 1000
    assert found(exporter, names.RTT, **client) >= CONNECTIONS
