"""A tick as it is written: both texts and protobuf say the same, and never too much."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from nettop.engine.counter import Counter
from nettop.metrics import exposition, names, protobuf
from nettop.metrics.exporter import Exporter
from nettop.metrics.families import (
    RTT_OCTAVES,
    Family,
    Sample,
    octave_bounds,
    octave_buckets,
    of_groups,
    series_of,
    tick_series,
)
from nettop.metrics.groupings import GROUPINGS
from nettop.metrics.groups import Groups
from nettop.metrics.labels import OTHER
from nettop.metrics.series import Count
from nettop.model.types import (
    Flag,
    HostCounters,
    SourceStatus,
)
from tests.unit.test_metrics import Feed, Run, labeller, listener, model, socket


def exported(top: int = 50, series_max: int = 5000, clients: int = 30) -> tuple[Exporter, Feed]:
    labels = labeller("process", "service", "peer")
    exporter = Exporter(labels, series_max=series_max, top=top, expire_s=600, whole=True)
    feed = Feed()
    feed.sockets = [listener(443)]
    exporter.take(model(0), feed)
    feed.sockets = [listener(443)] + [
        socket(n, flags=Flag.INFO | Flag.NEW, bytes_sent=100 * n, bytes_acked=90 * n + 1,
               rtt_us=20 * n, comm=f'a"\\b{n % 7}'.encode())
        for n in range(clients)
    ]  # fmt: skip
    exporter.take(model(1), feed)
    return exporter, feed


def families(exporter: Exporter) -> list[Family]:
    assert exporter.latest is not None
    return exporter.families(exporter.latest, {"200": 1}, {"slow": 0})


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    assert len(found) == len(lines)  # none is there twice
    return found


def test_the_reference_parser_of_openmetrics_takes_it() -> None:
    exporter, _ = exported()
    new = exposition.openmetrics(families(exporter)).decode()
    read = [
        s
        for f in text_string_to_metric_families(new)  # type: ignore[no-untyped-call]
        for s in f.samples
    ]
    ours = [line for line in new.splitlines() if not line.startswith("#")]
    assert len(read) == len(ours)
    assert sum(s.name.endswith("_created") for s in read) > 30


def test_both_texts_say_the_same() -> None:
    exporter, _ = exported()
    # CPU time passes between two calls.
    some = [f for f in families(exporter) if f.metric is not names.CPU]
    old, new = exposition.text(some).decode(), exposition.openmetrics(some).decode()
    created = {n: v for n, v in samples(new).items() if "_created" in n}
    assert samples(old) == {n: v for n, v in samples(new).items() if n not in created}
    assert created
    assert set(created.values()) == {1_000_001.0}
    assert new.endswith("# EOF\n")
    assert "# TYPE nettop_tcp_sent_bytes counter\n# UNIT nettop_tcp_sent_bytes bytes\n" in new
    whole = samples(exposition.openmetrics(families(exporter)).decode())
    assert whole["nettop_series"] == len(whole)


def test_promtool_finds_nothing_to_say() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    exporter, _ = exported()
    done = subprocess.run(
        [tool, "check", "metrics"], input=exposition.text(families(exporter)),
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


Fields = dict[int, list[Any]]


def decoded(raw: bytes) -> Fields:
    """A protobuf message by number of field; messages and texts stay bytes."""
    out: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        n, shift = 0, 0
        while True:
            byte = raw[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(raw):
        tag = varint()
        value: Any
        if tag & 7 == 0:
            value = varint()
        elif tag & 7 == 1:
            (value,) = struct.unpack_from("<d", raw, at)
            at += 8
        else:
            assert tag & 7 == 2
            n = varint()
            value = raw[at : at + n]
            assert len(value) == n
            at += n
        out.setdefault(tag >> 3, []).append(value)
    return out


def messages(raw: bytes) -> list[Fields]:
    """Behind their lengths: as fields of a number that none has."""
    out = []
    while raw:
        n, at = 0, 0
        while True:
            n |= (raw[at] & 127) << 7 * at
            at += 1
            if raw[at - 1] < 128:
                break
        out.append(decoded(raw[at : at + n]))
        raw = raw[at + n :]
    return out


def signed(n: int) -> int:
    return n >> 1 ^ -(n & 1)


def of_protobuf(families: list[Fields]) -> Iterator[tuple[str, float]]:
    """As the text has them."""
    for family in families:
        name = family[1][0].decode()
        for metric in map(decoded, family[4]):
            labels = [tuple(f[0].decode() for f in decoded(m).values()) for m in metric.get(1, ())]
            inner = exposition.label_text(tuple(labels))
            braces = f"{{{inner}}}" if inner else ""
            if 7 not in metric:
                (value,) = metric.get(2, []) + metric.get(3, [])
                yield f"{name}{braces}", decoded(value)[1][0]
                continue
            histogram = decoded(metric[7][0])
            yield f"{name}_count{braces}", histogram[1][0]
            yield f"{name}_sum{braces}", histogram[2][0]
            for bucket in map(decoded, histogram[3]):
                le = exposition.number(bucket[2][0])
                both = f"{inner}," if inner else ""
                yield f'{name}_bucket{{{both}le="{le}"}}', bucket[1][0]


def test_protobuf_says_what_the_text_does() -> None:
    exporter, _ = exported()
    some = [f for f in families(exporter) if f.metric is not names.CPU]
    text = samples(exposition.text(some).decode())
    found = dict(of_protobuf(messages(protobuf.protobuf(some))))
    assert found == {name: n for name, n in text.items() if 'le="+Inf"' not in name}


@given(st.lists(st.integers(1, (1 << 32) - 1), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_native_buckets_have_each_time_between_their_edges(us: list[int]) -> None:
    times = [1000 * n for n in us]
    run = Run("process")
    run.tick(*(socket(n) for n in range(len(times))))
    run.tick(*(socket(n, bytes_acked=1, rtt_us=ns // 1000) for n, ns in enumerate(times)))
    rtt = run.series().frozen().rtt
    assert rtt.sum_ns == sum(times)
    family = Family(names.RTT, [], octave_bounds(RTT_OCTAVES))
    family.samples.append(Sample((), 0, 5.5, octave_buckets(rtt, RTT_OCTAVES)))
    (message,) = messages(protobuf.protobuf([family]))
    histogram = decoded(decoded(message[4][0])[7][0])
    assert signed(histogram[5][0]) == 3
    assert decoded(histogram[15][0]) == {1: [5], 2: [500_000_000]}
    at, count, found = 0, 0, dict[int, int]()
    deltas = iter(histogram.get(13, ()))
    for span in map(decoded, histogram[12]):
        at += signed(span[1][0])
        for _ in range(span[2][0]):
            count += signed(next(deltas))
            found[at] = count
            at += 1
    assert next(deltas, None) is None
    expected: dict[int, int] = {}
    for ns in times:
        fits = [i for i in range(-250, 100) if 2 ** ((i - 1) / 8) < ns / 1e9 <= 2 ** (i / 8)]
        expected[fits[0]] = expected.get(fits[0], 0) + 1
    assert found == expected


def test_series_stay_below_their_limit_whatever_comes() -> None:
    exporter, feed = exported(series_max=1000, clients=0)
    for at in range(2, 12):
        feed.sockets = [listener(443)] + [
            socket(n, comm=f"p{n % (at * 40)}".encode(), bytes_sent=at * n) for n in range(600)
        ]
        exporter.take(model(at), feed)
        some = families(exporter)
        assert series_of(some) <= 1000
        sockets = next(f for f in some if f.metric is names.SOCKETS)
        assert sum(s.value for s in sockets.samples) == 600
        assert any(dict(s.labels)["peer"] == OTHER for s in sockets.samples)


def test_groups_have_series_again_some_time_after_there_was_no_room() -> None:
    exporter, feed = exported(series_max=5000, clients=0)
    groups = exporter._gatherer.groups
    feed.sockets = [listener(443)] + [socket(n, comm=f"q{n}".encode()) for n in range(40)]
    tops = []
    for at in range(2, 130):
        exporter.series_max = 1000 if at == 5 else 5000
        exporter.take(model(at), feed)
        tops.append(groups.top)
        assert series_of(families(exporter)) <= exporter.series_max
    assert tops[:3] == [50] * 3
    low = tops[3]
    assert 0 < low < 40
    assert tops[3:63] == [low] * 60
    assert low < tops[63] <= 50
    assert tops == [50] * 3 + sorted(tops[3:])


def test_a_burst_soon_after_series_came_back_has_them_wait_for_longer() -> None:
    groups = Groups(Counter(("peer",)), (("peer", OTHER),), top=50, expire_s=600)
    for n in range(50):
        groups.of((("peer", f"p{n}"),), 0.0, 0.0)
    groups.shed(400, 10.0, 10)
    groups.shed(10, 11.0, 10)  # the same, one tick later
    assert groups.top == 9
    tops = []
    for spare, at in ((500, 70.9), (500, 71.0), (1000, 130.8)):
        groups.widen(spare, at, 10)
        tops.append(groups.top)
    groups.shed(10, 130.9, 10)
    for spare, at in ((500, 250.8), (500, 251.0), (1000, 371.0)):
        groups.widen(spare, at, 10)
        tops.append(groups.top)
    # The last as --top says, and never more.
    assert tops == [9, 34, 34, 8, 33, 50]


def test_series_of_a_group_are_counted_as_they_are_written() -> None:
    exporter, _ = exported()
    assert exporter.latest is not None
    for tick in exporter.latest.groups:
        busy = replace(tick, unwell={("net", "loss"): 1, ("app", "unread"): 0}, accept_share=0.5)
        for waits in (False, True):
            assert tick_series(busy, waits=waits) == series_of(of_groups([busy], waits=waits))


def test_a_source_that_is_off_has_no_histogram() -> None:
    exporter, feed = exported()
    off = replace(model(2), sources=(SourceStatus("wait", "off", reason="none"),), events=None)
    exporter.take(off, feed)
    metrics = {f.metric for f in families(exporter)}
    assert not metrics & {names.RX_WAIT, names.DROPS, names.TX_STAGE, names.PATH}


def test_host_counters_begin_with_the_kernels_and_do_not_fall_with_a_namespace() -> None:
    exporter, feed = exported()

    def sent() -> float:
        metric = names.COUNTERS["out_segs"]
        return next(f.samples[0].value for f in families(exporter) if f.metric is metric)

    assert sent() == 1000
    for now, value in ((1500, 1500), (300, 1500), (310, 1510)):
        feed.host_counters = HostCounters(out_segs=now)
        exporter.take(model(now), feed)
        assert sent() == value


def test_every_metric_is_named_as_prometheus_wants_it_and_once() -> None:
    assert len({m.name for m in names.ALL}) == len(names.ALL)
    assert all(m.help and not m.help.endswith(".") for m in names.ALL)
    assert not any(m.name.endswith("_total") for m in names.ALL)
    assert set(names.COUNTS) | set(names.LIMITS.values()) == set(Count)
    assert {label for of in GROUPINGS.values() for label in of} == {
        "process", "role", "port", "peer", "container", "netns"
    }  # fmt: skip
