"""Packets that this host dropped before it looked for their socket."""

from __future__ import annotations

import contextlib

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.model.events import EventType
from nettop.model.types import Verdict, Who
from nettop.replay import ReplayFeed
from tests.lab.faults import kept

PORT = 42130


def test_they_are_of_the_socket_that_has_their_ends() -> None:
    """The recording's own events have no cookie: a rule of raw/PREROUTING drops 3 of 10 packets."""
    feed = ReplayFeed(kept.samples(kept.path_of("firewall_before_socket", "A")))
    own, others, blamed = 0, 0, 0
    with contextlib.suppress(EOFError):
        while True:
            feed.tick()
            rows = [row for row, _ in feed.rows_all() if row.rec.dport == PORT]
            cookies = {row.cookie for row in rows}
            drops, _ = feed.listed_events(1000, (EventType.DROP,))
            own += sum(e.cookie in cookies for e in drops)
            others += sum(e.cookie not in cookies for e in drops if PORT in (e.sport, e.dport))
            blamed += sum(
                row.rec.who == Who.KERN and row.rec.verdict in (Verdict.DROPS, Verdict.LOSS)
                for row in rows if row.verdicts
            )  # fmt: skip
    assert own >= 10
    assert others == 0
    assert blamed >= 8
