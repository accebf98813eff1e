"""Families as Prometheus' protobuf messages, which alone have room for native histograms.

Fields by number, of io.prometheus.client: MetricFamily name 1, help 2, type 3, metric 4, unit 5;
Metric label 1, gauge 2, counter 3, histogram 7; LabelPair name 1, value 2; Gauge value 1; Counter
value 1, created 3; Histogram sample_count 1, sample_sum 2, bucket 3, schema 5, zero_threshold 6,
positive_span 12, positive_delta 13, created 15; Bucket cumulative_count 1, upper_bound 2;
BucketSpan offset 1, length 2; Timestamp seconds 1, nanos 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from nettop.metrics.families import Buckets, Family, Sample
from nettop.metrics.labels import Labels
from nettop.metrics.names import COUNTER, GAUGE, HISTOGRAM
from nettop.metrics.series import NATIVE_SCHEMA

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
_TYPES = {COUNTER: 0, GAUGE: 1, HISTOGRAM: 4}
_VARINT, _DOUBLE, _BYTES = 0, 1, 2  # how a field is encoded
ZERO_THRESHOLD = 2.0**-128  # as client libraries have it
_F64 = struct.Struct("<d")


def protobuf(families: Iterable[Family]) -> bytes:
    """Messages MetricFamily, each behind its length."""
    out = bytearray()
    for family in families:
        if family.samples:
            message = _family(family)
            out += _varint(len(message)) + message
    return bytes(out)


def _family(family: Family) -> bytes:
    metric = family.metric
    out = bytearray(_text(1, metric.full_name) + _text(2, metric.help))
    out += _number(3, _TYPES[metric.kind])
    for sample in family.samples:
        out += _message(4, _metric(family, sample))
    if metric.unit:
        out += _text(5, metric.unit)
    return bytes(out)


def _metric(family: Family, sample: Sample) -> bytes:
    kind = family.metric.kind
    if kind == GAUGE:
        return _labels(sample.labels) + _message(2, _double(1, sample.value))
    created = b"" if sample.created_s is None else _time(sample.created_s)
    if kind == COUNTER:
        value = _double(1, sample.value) + (_message(3, created) if created else b"")
        return _labels(sample.labels) + _message(3, value)
    assert sample.buckets is not None
    body = _histogram(sample.buckets, family.bounds)
    return _labels(sample.labels) + _message(7, body + (_message(15, created) if created else b""))


def _histogram(buckets: Buckets, bounds: Sequence[float]) -> bytes:
    out = bytearray(_number(1, buckets.all) + _double(2, buckets.total))
    for n, bound in zip(buckets.below, bounds, strict=True):
        out += _message(3, _number(1, n) + _double(2, bound))
    if buckets.native is not None:
        out += _number(5, _zigzag(NATIVE_SCHEMA)) + _double(6, ZERO_THRESHOLD)
        # Without a bucket an empty span says that it is native.
        for offset, length in _spans([at for at, _ in buckets.native]) or [(0, 0)]:
            out += _message(12, _number(1, _zigzag(offset)) + _number(2, length))
        before = 0
        for _, n in buckets.native:
            out += _number(13, _zigzag(n - before))
            before = n
    return bytes(out)


def _spans(indexes: Sequence[int]) -> list[tuple[int, int]]:
    """(distance from the end of the one before, how many) of neighbouring buckets."""
    out: list[tuple[int, int]] = []
    end = 0
    for at in indexes:
        if out and at == end:
            out[-1] = out[-1][0], out[-1][1] + 1
        else:
            out.append((at - end, 1))
        end = at + 1
    return out


# --- fields ---


def _varint(n: int) -> bytes:
    if n < 128:
        return bytes((n,))
    return bytes(_sevens(n))


def _sevens(n: int) -> Iterator[int]:
    while n > 127:
        yield n & 127 | 128
        n >>= 7
    yield n


def _zigzag(n: int) -> int:
    return n * 2 if n >= 0 else -n * 2 - 1


def _number(field: int, n: int) -> bytes:
    return bytes((field << 3 | _VARINT,)) + _varint(n)


def _double(field: int, value: float) -> bytes:
    return bytes((field << 3 | _DOUBLE,)) + _F64.pack(value)


def _message(field: int, body: bytes) -> bytes:
    return bytes((field << 3 | _BYTES,)) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode("utf-8", "replace"))


@lru_cache(16_384)
def _labels(labels: Labels) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels)


def _time(seconds: float) -> bytes:
    whole = int(seconds)
    return _number(1, whole) + _number(2, int((seconds - whole) * 1e9))
