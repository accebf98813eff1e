"""Rows of many hosts as C writes them are, byte for byte, what Python writes of the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from nettop.export import csvout, jsonout
from nettop.export.hostrows import csv_texts, json_texts
from nettop.feed import Sort
from nettop.hosts.feed import HostsFeed
from nettop.model.hosts import LIVE, LOST
from nettop.query import compile_filter
from nettop.store.recording import Recording
from nettop.text.fields import FIELDS, lookup
from tests.lab.faults import kept

HERE = Path(__file__).parents[1] / "data" / "recordings"


@pytest.fixture(scope="module")
def hosts() -> HostsFeed:
    """Streams at different ticks of different recordings."""
    names = ["a", 'evil\\"é', "c", "d"]
    feed = HostsFeed(dict.fromkeys(names, ("/nonexistent",)), delay_s=1.0)
    of = [
        [*Recording(HERE / "late-reader.nettop").samples()],
        kept.samples(kept.path_of("loss_3", "B")),
        [*Recording(HERE / "moving.nettop").samples()][:3],
        kept.samples(kept.path_of("accept_slow", "A")),
    ]
    for link, remote, samples in zip(feed._links, feed._feeds, of, strict=True):
        for sample in samples:
            remote.take(sample)
        link._state = LIVE
    return feed


SORTS = [
    "unwell", "srtt", "remote", "proc", "host", "rcvq", "who", "cwnd", "minrtt", "why", "st", "cc",
    "user", "netns",
]  # fmt: skip


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("descending", [True, False])
def test_as_python_writes_them(hosts: HostsFeed, sort: str, descending: bool) -> None:
    hosts.set_sort(Sort(None if sort == "unwell" else lookup(sort), descending))
    assert hosts.count() > 20
    for lines in (True, False):
        packed = hosts.packed_all()
        texts = b"".join(json_texts(packed, lines=lines))
        rows = hosts.rows_all()
        assert texts == b"".join(jsonout.element_texts(rows, hosts.owners, lines=lines))


@pytest.mark.parametrize("fields", [None, ["host", "comm", "srtt", "local", "who", "why"]])
def test_lines_of_csv(hosts: HostsFeed, fields: list[str] | None) -> None:
    hosts.set_sort(Sort())
    model = hosts.latest()
    assert model is not None
    chosen = [FIELDS[name] for name in fields] if fields else None
    expected: list[bytes] = []
    csvout.write_rows(expected.append, model, hosts.rows_all(), chosen)
    packed = hosts.packed_all()
    assert b"".join(csv_texts(packed, model, chosen)) == b"".join(expected)


def test_everything_is_host_by_host_and_what_is_lost_is_left_out(hosts: HostsFeed) -> None:
    hosts.set_sort(Sort())
    hosts.set_filter(compile_filter("srtt > 1s", hosts.names))
    hosts._links[2]._state = LOST
    try:
        packed = hosts.packed_all(everything=True)
        texts = b"".join(json_texts(packed, lines=True))
        rows = hosts.rows_all(everything=True)
        assert texts == b"".join(jsonout.element_texts(rows, hosts.owners, lines=True))
        assert texts.count(b'{"host":') > 10
        packed = hosts.packed_all()
        few = b"".join(json_texts(packed, lines=True))
        assert few.count(b'{"host":') == hosts.count()
    finally:
        hosts._links[2]._state = LIVE
        hosts.set_filter(None)
