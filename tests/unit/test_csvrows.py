"""What C writes of sockets is, byte for byte, what csvout writes of the same rows."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from nettop.export import csvout, csvrows
from nettop.model.tcpinfo import TAIL_6_18, TAIL_7_0, InfoField
from nettop.model.types import Detail, Row
from nettop.replay import ReplayFeed
from nettop.text.fields import FIELDS
from tests.lab.faults import kept
from tests.unit.anyrows import Made, some_rows

TAKEN = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("name", ["accept_slow", "loss_3", "reader_sleeps", "udp_reader_slow"])
def test_of_recordings(name: str) -> None:
    feed, n_words = ReplayFeed(kept.samples(kept.path_of(name, "B"))), 0
    for _ in range(8):
        model = feed.tick()
        out: list[bytes] = []
        csvout.write_rows(out.append, model, feed.rows_all())
        lines = b"".join(bytes(t) for t in csvrows.packed_lines(feed.packed_all(), model))
        assert lines == b"".join(out)
        n_words += lines.count(b",Open,")
    assert n_words or name == "udp_reader_slow", "codes are words"


@pytest.mark.parametrize("tail", [(), TAIL_6_18, TAIL_7_0], ids=["none", "6.18", "7.0"])
def test_of_anything(tail: tuple[InfoField, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    n = 500
    packed = some_rows(random.Random(43), n)
    made = Made(packed, tail)
    source: Any = made
    monkeypatch.setattr(csvrows, "utc_text", lambda ns: TAKEN)
    chosen = csvout.readers([*FIELDS.values()])
    expected = [csvout.line(TAKEN, *made.unpack(packed, at), chosen) for at in range(n)]
    seen: list[int] = []
    unpack = made.unpack

    def counted(packed: Any, at: int) -> tuple[Row, Detail | None]:
        seen.append(at)
        return unpack(packed, at)

    made.unpack = counted  # type: ignore[method-assign]
    nothing: Any = SimpleNamespace(wall_ns=0)
    got = b"".join(bytes(t) for t in csvrows.packed_lines(source, nothing))
    for line, other in zip(got.splitlines(keepends=True), expected, strict=True):
        assert line == other
    assert len(set(seen)) < n * 0.9, "some are written by C"
