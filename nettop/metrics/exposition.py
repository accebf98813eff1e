"""Families as text: OpenMetrics 1.0 and the older format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from nettop.metrics.families import Family, Sample
from nettop.metrics.labels import Labels
from nettop.metrics.names import COUNTER, GAUGE, HISTOGRAM

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_OM_HELP_ESCAPES = _HELP_ESCAPES | str.maketrans({'"': r"\""})


def openmetrics(families: Iterable[Family]) -> bytes:
    """OpenMetrics text with `_created` of what began later than the exporter."""
    out: list[str] = []
    for family in families:
        metric = family.metric
        if not family.samples:
            continue
        out.append(f"# TYPE {metric.name} {metric.kind}\n")
        if metric.unit:
            out.append(f"# UNIT {metric.name} {metric.unit}\n")
        out.append(f"# HELP {metric.name} {metric.help.translate(_OM_HELP_ESCAPES)}\n")
        _add_samples(out, family, created=metric.kind != GAUGE)
    out.append("# EOF\n")
    return _encoded(out)


def text(families: Iterable[Family]) -> bytes:
    """The text format 0.0.4."""
    out: list[str] = []
    for family in families:
        metric = family.metric
        if not family.samples:
            continue
        out.append(f"# HELP {metric.full_name} {metric.help.translate(_HELP_ESCAPES)}\n")
        out.append(f"# TYPE {metric.full_name} {metric.kind}\n")
        _add_samples(out, family)
    return _encoded(out)


def _encoded(out: Sequence[str]) -> bytes:
    # Names are cleaned where they come from; what is left of other encodings harms no reader.
    return "".join(out).encode("utf-8", "replace")


def _add_samples(out: list[str], family: Family, *, created: bool = False) -> None:
    """created: `_created` too, beside the other samples of its labels."""
    metric = family.metric
    if metric.kind == HISTOGRAM:
        bounds = [f'le="{number(bound)}"}}' for bound in family.bounds]
        for sample in family.samples:
            _add_histogram(out, metric.name, sample, bounds)
            if created:
                _add_created(out, metric.name, sample)
        return
    name = f"{metric.name}_total" if metric.kind == COUNTER else metric.name
    for sample in family.samples:
        out.append(f"{name}{_braces(label_text(sample.labels))} {number(sample.value)}\n")
        if created:
            _add_created(out, metric.name, sample)


def _add_created(out: list[str], name: str, sample: Sample) -> None:
    if sample.created_s is not None:
        labels = _braces(label_text(sample.labels))
        out.append(f"{name}_created{labels} {number(sample.created_s)}\n")


def _add_histogram(out: list[str], name: str, sample: Sample, bounds: Sequence[str]) -> None:
    buckets, labels = sample.buckets, label_text(sample.labels)
    assert buckets is not None
    head = f"{name}_bucket{{{labels},"[: None if labels else -1]
    out += [f"{head}{le} {n}\n" for le, n in zip(bounds, buckets.below, strict=True)]
    out.append(f'{head}le="+Inf"}} {buckets.all}\n')
    out.append(f"{name}_sum{_braces(labels)} {number(buckets.total)}\n")
    out.append(f"{name}_count{_braces(labels)} {buckets.all}\n")


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


@lru_cache(16_384)
def label_text(labels: Labels) -> str:
    """As it stands between braces."""
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)


def number(value: float | None) -> str:
    """As short as it can be read back exactly."""
    assert value is not None
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
