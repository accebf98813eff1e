"""What nettop says of each tick of a recording, by the rules of today."""

from __future__ import annotations

from collections.abc import Iterable

from nettop.model.types import TCP_STATES, Proto, Row
from nettop.replay import ReplayFeed
from nettop.sample import Sample
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_text
from tests.lab.faults.truth import Seen, Tick


def ticks(samples: Iterable[Sample]) -> list[Tick]:
    feed = ReplayFeed(iter(samples))
    out: list[Tick] = []
    while True:
        try:
            model = feed.tick()
        except EOFError:
            return out
        rows = feed.rows_all(with_detail=False)
        out.append(Tick(model.wall_ns / 1e9, [seen(row) for row, _ in rows]))


def seen(row: Row) -> Seen:
    rec = row.rec
    return Seen(
        Proto(rec.proto).name.lower(), TCP_STATES.get(rec.state, str(rec.state)), rec.sport,
        rec.dport, who_text(row), VERDICTS[row.verdicts[0]].name if row.verdicts else None,
        row.level.name.lower(),
    )  # fmt: skip
