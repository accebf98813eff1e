"""A file names the thread that reads late, as the tick did that was written."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nettop._native", reason="the C helper is not built")

from nettop.filefeed import FileFeed
from nettop.model.types import Detail, Dist, Plane, PlaneHas, Row, Verdict
from nettop.text.explain import explain
from nettop.text.readers import Reader
from tests.export.make import Rows, full_evidence, make_model, make_row
from tests.export.test_roundtrip import export, opened


def test_a_look_at_a_file_names_the_thread_that_the_tick_named(tmp_path: Path) -> None:
    some = Dist(9, 90 * 10**6, 80 * 10**6, 12 * 10**7, 14 * 10**7, 15 * 10**7)
    plane = Plane(wait=some, wait_octaves=bytes(128), has=PlaneHas.WAIT)
    rows: list[tuple[Row, Detail | None]] = [
        (make_row(n, plane=plane, level=2, verdicts=1 << Verdict.READS, verdict=Verdict.READS,
                  verdict2=Verdict.READS, verdict_value=150.0), None)
        for n in (1, 2)
    ]  # fmt: skip
    model = make_model(2, evidence=full_evidence(), readers={1: 13, 2: 13})
    named = []
    for feed in (Rows(rows, []), opened(tmp_path / "a.json", export(Rows(rows, []), model))):
        shown = feed.latest() if isinstance(feed, FileFeed) else model
        assert shown is not None
        row, _ = next(iter(feed.rows_all()))
        said = explain(row, None, shown, None)
        named.append((said.reader, said.evidence))
    assert named[0] == named[1]
    assert named[1][0] == Reader(12, 13, "http-3", sole=False)
    assert "thread http-3/13 reads it" in named[1][1]
