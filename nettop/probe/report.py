"""What probe and reflect print: lines, a closing table, JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from nettop import __version__
from nettop.export.times import utc_text
from nettop.model.stamps import ERROR_TEXTS
from nettop.model.types import Histogram
from nettop.probe.legs import HARDWARE, LABELS, ONE_WAY, PARTS, Leg
from nettop.probe.opening import AnyProber
from nettop.probe.reflect import Counts, Reflector
from nettop.probe.service import ServiceProber
from nettop.probe.tally import Point, Tally
from nettop.probe.wire import LEAST_BYTES, STAMPED_BYTES
from nettop.text import units

PROBE_SCHEMA = "nettop.probe/1"
REFLECT_SCHEMA = "nettop.reflect/1"


# --- probe, in words ---


def far_text(prober: AnyProber) -> str:
    """Who answers, and what its times are good for."""
    tally = prober.tally
    if isinstance(prober, ServiceProber):
        return "a TCP service: connect, one empty line, its ACK, close; nothing is asked of it"
    if not tally.has_far:
        if not tally.answered:
            return "no answer yet"
        if prober.options.size < STAMPED_BYTES and prober.options.size >= LEAST_BYTES:
            return f"an echo, or reflect and too little room: -s {STAMPED_BYTES} for its times"
        return "an echo without times of its own"
    if tally.same_kernel:
        return "nettop reflect, on this kernel: one clock, one-way times are exact"
    if tally.one_way_bar_ns is None:
        return "nettop reflect; clocks not synchronised: one-way times are off by an unknown amount"
    return (
        f"nettop reflect; two clocks: one-way times are good to ±{units.time(tally.one_way_bar_ns)}"
    )


def head_text(prober: AnyProber) -> str:
    """`tcp 10.0.4.2:9000  sent 412 lost 0 …`."""
    t = prober.tally
    words = [f"sent {t.sent}", f"lost {t.lost}"]
    if t.loss_pct:
        words[-1] += f" ({units.percent(t.loss_pct)})"
    for name in ("late", "reordered", "duplicates", "overdue", "garbage", "refused"):
        n = getattr(t, name)
        if n or name == "late":
            words.append(f"{name} {n}")
    return f"{prober.target.text}  " + " ".join(words)


def notes(prober: AnyProber) -> list[str]:
    """What else must be known to trust the table."""
    t = prober.tally
    out = []
    missing = {name: n for name, n in t.stamps_missing.items() if n}
    if missing:
        words = ", ".join(f"{name.upper()} {n}" for name, n in missing.items())
        out.append(f"stamps that did not come: {words}")
    if t.joined:
        out.append(f"{t.joined} joined a later one on their way and have no stamps of their own")
    if t.resent:
        out.append(f"{t.resent} times sent again (SND stamps beyond the first)")
    for name, n in t.errors.items():
        known = {e.name: text for e, text in ERROR_TEXTS.items()}
        out.append(f"{known.get(name, name)}: {n}")
    if prober.hardware is not None and not prober.hardware.stamps_received:
        out.append(f"{prober.hardware.interface} stamps in hardware only what it sends")
    if t.hardware_unknown:
        out.append(f"{t.hardware_unknown} hardware stamps are no system time: the clock stepped")
    backward = sum(times.negative for times in t.legs.values())
    if backward:
        why = "stamps of one resent probe" if t.same_kernel else "the two clocks disagree"
        out.append(f"{backward} times ended before they began and are left out: {why}")
    return out


def point_line(point: Point) -> str:
    """One probe, as ping writes it."""
    if point.round_ns is None and point.worst is None:
        return f"seq={point.seq} lost"
    took = f"round={units.time(point.round_ns)}" if point.round_ns is not None else "done"
    worst = f" most in {LABELS[point.worst][0]}={units.time(point.worst_ns)}" if point.worst else ""
    return f"seq={point.seq} {took}{worst}{' late' if point.late else ''}"


def bar_text(leg: Leg, tally: Tally) -> str:
    """± of a time between two clocks."""
    if leg in HARDWARE:
        return f"±{units.time(tally.hardware_bar_ns)}" if tally.hardware_bar_ns else ""
    if leg not in ONE_WAY or tally.same_kernel:
        return ""
    return "±?" if tally.one_way_bar_ns is None else f"±{units.time(tally.one_way_bar_ns)}"


def table(tally: Tally) -> list[str]:
    """Percentiles by leg."""
    out = [f"{'LEG':<9}{'FROM → TO':<26}{'N':>7}{'P50':>9}{'P90':>9}{'P99':>9}{'MAX':>9}"]
    for leg, histogram in histograms(tally):
        d = histogram.dist
        label, way = LABELS[leg]
        cells = (d.p50_ns, d.p90_ns, d.p99_ns, d.max_ns)
        numbers = "".join(f"{units.time(ns):>9}" for ns in cells)
        line = f"{label:<9}{way:<26}{units.count(d.count):>7}{numbers} {bar_text(leg, tally)}"
        out.append(line.rstrip())
    return out


def histograms(tally: Tally) -> Iterator[tuple[Leg, Histogram]]:
    """In the order of the way; legs that were never measured are left out."""
    for leg in Leg:
        times = tally.legs.get(leg)
        if times is not None and times.count:
            yield leg, times.histogram()


def means(tally: Tally) -> list[tuple[Leg, float]]:
    """Mean of each part of the way, for a stacked bar."""
    known = ((leg, tally.legs.get(leg)) for leg in PARTS)
    return [(leg, t.sum_ns / t.count) for leg, t in known if t is not None and t.count]


# --- probe, as JSON ---


def _histogram_object(histogram: Histogram) -> dict[str, Any]:
    d = histogram.dist
    return {
        "count": d.count, "sum_ns": d.sum_ns, "p50_ns": d.p50_ns, "p90_ns": d.p90_ns,
        "p99_ns": d.p99_ns, "max_ns": d.max_ns,
        "buckets": [list(bucket) for bucket in histogram.buckets],
    }  # fmt: skip


def probe_object(prober: AnyProber) -> dict[str, Any]:
    """nettop.probe/1."""
    t = prober.tally
    legs: dict[str, Any] = {}
    for leg, histogram in histograms(t):
        legs[leg.value] = _histogram_object(histogram)
        bar = t.one_way_bar_ns if leg in ONE_WAY else t.hardware_bar_ns
        if leg in ONE_WAY | HARDWARE and bar is not None:
            legs[leg.value]["bar_ns"] = bar
    out: dict[str, Any] = {
        "schema": PROBE_SCHEMA,
        "taken": utc_text(time.time_ns()),
        "nettop": __version__,
        "target": prober.target.text,
        "far": "service" if isinstance(prober, ServiceProber)
        else "reflect" if t.has_far else "echo" if t.answered else "none",
        "interval_s": prober.interval_s,
        "duration_s": round((time.monotonic_ns() - prober.started_ns) / 1e9, 3),
        "size_bytes": prober.options.size,
        **{name: getattr(t, name) for name in
           ("sent", "answered", "lost", "overdue", "duplicates", "reordered", "garbage", "refused",
            "late", "joined", "resent")},
        "stamps_missing": {name: n for name, n in t.stamps_missing.items() if n},
        "errors": dict(t.errors),
        "clocks_disagree": sum(times.negative for times in t.legs.values()),
        "legs": legs,
    }  # fmt: skip
    if t.has_far:
        out["same_kernel"] = t.same_kernel
    if isinstance(prober, ServiceProber) and prober.tcp_info:
        out["tcp_info"] = prober.tcp_info
    if prober.hardware is not None:
        out["hardware"] = {"interface": prober.hardware.interface, "unknown": t.hardware_unknown,
                           "stamps_received": prober.hardware.stamps_received}  # fmt: skip
    if prober.failure:
        out["failure"] = prober.failure
    return out


# --- reflect ---


def reflect_line(reflector: Reflector, counts: dict[str, Counts]) -> list[str]:
    """A line for each protocol of which something came in the interval: what was answered, how long
    it had waited in the queue. At most 80 cells, where all were requests of probe."""
    clock = time.strftime("%H:%M:%S")
    out = []
    for proto, c in counts.items():
        if not (c.answered or c.strangers or c.unsent):
            continue
        d = c.wait.histogram().dist
        waits = " ".join(
            f"{name} {units.time(ns if d.count else None)}"
            for name, ns in (("p50", d.p50_ns), ("p99", d.p99_ns), ("max", d.max_ns))
        )
        more = "".join(
            f" {word} {units.count(n)}"
            for word, n in (("strangers", c.strangers), ("unsent", c.unsent)) if n
        )  # fmt: skip
        answered, clients = units.count(c.answered), units.count(len(c.clients))
        out.append(f"{clock} {proto} answered {answered:<4} clients {clients:<4} waited {waits}"
                   + more)  # fmt: skip
    return out


def reflect_object(reflector: Reflector, counts: dict[str, Counts]) -> dict[str, Any]:
    """nettop.reflect/1: one interval."""
    return {
        "schema": REFLECT_SCHEMA,
        "taken": utc_text(time.time_ns()),
        "interval_s": reflector.options.delay_s,
        "bound": reflector.bound,
        "protos": {
            proto: {
                "answered": c.answered, "clients": len(c.clients), "strangers": c.strangers,
                "unsent": c.unsent, "rx_wait": _histogram_object(c.wait.histogram()),
            }
            for proto, c in counts.items()
        },
    }  # fmt: skip
