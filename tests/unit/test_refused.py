"""Who was refused where, as a look adds it up."""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Sequence
from typing import Any

from nettop.findings import refused
from nettop.findings.look import Look
from nettop.findings.objects import json_text
from nettop.findings.page import page
from nettop.findings.plain import text_of
from nettop.findings.refused import Refused, RefusedSum
from nettop.findings.values import Report
from nettop.model.events import Event, EventType
from nettop.model.types import Row, Verdict
from tests.unit.test_findings import Feed, model, sick
from tests.unit.test_tables import happened

UDP = 17


def error(err: int = errno.ECONNREFUSED, **changes: Any) -> Event:
    return happened(1, EventType.ERROR, err=err, **{"comm": "curl", "dport": 8080, **changes})


class Erring(Feed):
    def __init__(self, rows: Sequence[Row], events: Sequence[Event], left_out: int = 0) -> None:
        super().__init__(rows)
        self._events, self._left_out = events, left_out

    def listed_events(self, most: int, types: Collection[EventType]) -> tuple[Sequence[Event], int]:
        assert set(types) == {EventType.ERROR}
        return self._events[:most], self._left_out


def report(*ticks: Erring) -> Report:
    taken = Look()
    for number, feed in enumerate(ticks, 1):
        taken.take(model(number), feed)
    return taken.report()


def test_refusals_are_counted_by_where_they_went_most_first() -> None:
    one = Erring([], [error(), error(dport=9090, comm="wget")])
    two = Erring([], [error(comm="python3"), error(), error(errno.ECONNRESET), error(proto=1)])
    found = report(one, two)
    assert found.refused == (
        Refused("tcp", "10.0.0.2:8080", 3, ("curl", "python3")),
        Refused("tcp", "10.0.0.2:9090", 1, ("wget",)),
    )
    said = text_of(found, width=100)
    assert said.startswith("nothing unwell")
    assert "Refused: 3 connections to 10.0.0.2:8080, by curl, python3: nothing listens" in said
    assert "1 connection to 10.0.0.2:9090, by wget" in said
    assert json.loads(json_text(found))["refused"][1] == {
        "proto": "tcp", "remote": "10.0.0.2:9090", "count": 1, "programs": ["wget"],
    }  # fmt: skip


def test_of_a_datagram_the_socket_says_who_asked() -> None:
    """The event of a UDP socket has no owner; beside findings the refusals are a section."""
    row = sick(5, Verdict.UNREAD, comm="resolver")
    asked = error(proto=UDP, cookie=5, comm="", dport=53)
    unknown = error(proto=UDP, cookie=6, comm="", dport=54)
    found = report(Erring([row], [asked, unknown]))
    assert set(found.refused) == {
        Refused("udp", "10.0.0.2:53", 1, ("resolver",)), Refused("udp", "10.0.0.2:54", 1, ()),
    }  # fmt: skip
    said = "at least 1 datagram to 10.0.0.2:53, by resolver: no socket has that port"
    assert said in " ".join(text_of(found).split())
    assert said in page(found)


def test_nothing_is_said_where_none_was_refused() -> None:
    found = report(Erring([], [error(errno.ETIMEDOUT)]))
    assert found.refused == ()
    assert "efused" not in text_of(found)
    assert "refused" not in json.loads(json_text(found))


def test_what_is_too_much_is_counted() -> None:
    summed = RefusedSum()
    over = refused.MOST_PLACES + 3
    summed.take((error(dport=port) for port in range(over)), 7, lambda _: "")
    assert len(summed.all()) == refused.MOST_PLACES
    assert summed.left_out == 7 + 3
    found = report(Erring([], [error(dport=port, comm="") for port in range(20)], 5))
    assert found.own.unlisted_events == 5
    assert "17 to 17 further places" in text_of(found)


def test_many_programs_are_three_and_a_number() -> None:
    found = report(Erring([], [error(comm=f"p{n}") for n in range(5)]))
    assert "by p0, p1, p2 and 2 more" in text_of(found)
    named = report(Erring([], [error(comm=f"p{n}") for n in range(100)])).refused[0]
    assert (named.count, len(named.programs)) == (100, refused.MOST_PROGRAMS)
