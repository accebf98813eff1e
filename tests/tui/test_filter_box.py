"""The box beside the filter that is typed: what the field's values are now."""

from __future__ import annotations

from math import ceil

import pytest

from nettop.query.compile import Filter
from nettop.text import units
from nettop.text.fields import FIELDS, Field
from tests.fakes import FakeFeed
from tests.tui.conftest import Running


class Counting(FakeFeed):
    """Counts how often all sockets are read for it."""

    reads = 0

    def values(self, field: Field, compiled: Filter | None) -> tuple[int, bytes]:
        self.reads += 1
        return super().values(field, compiled)


def expected(feed: FakeFeed, comm: str | None = None) -> list[str]:
    """p50, p90 and max of srtt, by hand."""
    rows = [r for r in feed.window(0, feed.count()) if comm is None or r.proc.comm == comm]
    known = sorted(v for r in rows if isinstance(v := FIELDS["srtt"].value(r), int | float))
    ranks = [ceil(len(known) * q) - 1 for q in (0.5, 0.9, 1.0)]
    return [units.time(known[rank]) for rank in ranks]


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 55), (80, 20)])
async def test_the_values_of_the_field_that_is_compared(
    running: Running, size: tuple[int, int]
) -> None:
    feed = Counting()
    async with running(*size, feed=feed) as screen:
        by_hand = expected(feed)
        await screen.press("slash", *"rtt > ")
        shown = " ".join(screen.text.split())
        for name, value in zip(("p50", "p90", "max"), by_hand, strict=True):
            assert f"{name} {value}" in shown
        assert f"of all {feed.count()}" in shown or "known of all " in shown


async def test_they_are_of_the_sockets_before_it_while_the_table_narrows(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nettop.tui.screens.filter_keys.TYPED_S", 0.001)
    feed = Counting()
    async with running(feed=feed) as screen:
        by_hand = expected(feed, "nginx")
        await screen.press("slash", *"comm = nginx and srtt > 1s")
        assert f"now p50  {by_hand[0]}" in screen.text
        assert " before it" in screen.text
        assert f"now max  {by_hand[2]}" in screen.text


async def test_all_sockets_are_read_once_a_tick(running: Running) -> None:
    feed = Counting()
    async with running(feed=feed) as screen:
        await screen.press("slash", *"srtt > ")
        reads = feed.reads
        await screen.press(*"50.25ms", "left", "backspace")
        assert feed.reads == reads
        feed.publish()
        await screen.settle()
        await screen.press("1", "2")
        assert feed.reads == reads + 1
        await screen.press(*" and comm = nginx")
        assert feed.reads == reads + 1
        assert "now p50" not in screen.text
