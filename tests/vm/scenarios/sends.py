"""Writes of all sizes: no stamped send may be lost."""

from __future__ import annotations

import threading
import time
from typing import Any

from nettop.model.types import Stage
from nettop.sources import stages
from tests.integration.namespaces import pair
from tests.integration.sends import connection, feed_of, select, sent, take

stages.SETTLE_S = stages.WALK_EVERY_S = 0.0
SIZES = (100, 1448, 5000, 64_000, 65_536, 262_144, 1_000_000, 4_000_000)


def sizes() -> dict[str, Any]:
    """By size: stamped sends, and how many completed with each stage."""
    out: dict[str, Any] = {}
    with pair() as (a, b):
        sender, receiver = connection(a, b, "10.9.0.2")
        with sender, receiver, feed_of(a) as feed:
            select(feed, sender)
            for size in SIZES:
                for _ in range(3):
                    writer = threading.Thread(target=sender.sendall, args=(b"x" * size,))
                    writer.start()
                    take(receiver, size)
                    writer.join()
                time.sleep(0.1)
                plane = sent(feed, sender)
                out[str(size)] = {
                    "sends": plane.tx_sends, "open": plane.tx_open, "lost": plane.tx_incomplete,
                    "stages": {s.name: plane.tx[s].count for s in Stage} if plane.tx else {},
                }  # fmt: skip
            status = {s.name: s for s in feed._collector.planes.statuses()}["stages"]
            out["method"] = status.method
    return out
