"""What a field's values are now: known answers, of which sockets, and what the filter box says."""

from __future__ import annotations

import random
import time
from array import array
from math import ceil

import pytest

from nettop.engine.spread import Spread, spread
from nettop.model.types import Proto
from nettop.query import compile_filter
from nettop.query.complete import compared
from nettop.text.fields import FIELDS
from nettop.tui.widgets.spread_lines import Now, has_spread
from tests.feeding import FedEngine
from tests.netlink import connection, done


def fed(rtts_us: list[int]) -> FedEngine:
    """Connections to port 443 (every second one to 80) with these round trips."""
    engine = FedEngine()
    engine.feed_begin(10**9)
    for i, rtt in enumerate(rtts_us, 1):
        engine.feed(1, Proto.TCP, connection(i, dport=443 if i % 2 else 80, rtt=rtt))
    engine.feed(1, Proto.TCP, done())
    engine.feed_end(10**9)
    return engine


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 199, 5000])
def test_percentiles_are_those_of_the_values_by_nearest_rank(count: int) -> None:
    chance = random.Random(count)
    rtts = [chance.randrange(1, 90_000) for _ in range(count)]
    found = spread(*fed(rtts).values(FIELDS["srtt"]))
    ranked = sorted(us * 1000 for us in rtts)
    assert found == Spread(count, count, ranked[ceil(count * 0.5) - 1],
                           ranked[ceil(count * 0.9) - 1], ranked[-1])  # fmt: skip


def test_of_the_sockets_that_pass_the_filter_before_whatever_is_in_force() -> None:
    engine = fed([10, 20, 30, 40, 50, 60])
    engine.set_filter(compile_filter("dport = :80"))
    values = {
        text: array("d", engine.values(FIELDS["srtt"], compile_filter(text) if text else None)[1])
        for text in ("", "dport = :443", "srtt > 35us", "dport = :1")
    }
    assert {text: sorted(v / 1000 for v in found) for text, found in values.items()} == {
        "": [10, 20, 30, 40, 50, 60], "dport = :443": [10, 30, 50], "srtt > 35us": [40, 50, 60],
        "dport = :1": [],
    }  # fmt: skip


def test_what_is_not_known_is_none_of_the_values() -> None:
    engine = fed([10, 0, 30])  # 0: no round trip was measured
    rows, values = engine.values(FIELDS["srtt"])
    assert (rows, sorted(array("d", values))) == (3, [10_000, 30_000])
    assert engine.values(FIELDS["rxwait.p99"])[1] == b""  # no such plane
    assert spread(3, b"") == Spread(3, 0, None, None, None)


def test_ten_thousand_sockets_take_less_than_a_key_may() -> None:
    engine = fed(random.Random(1).sample(range(1, 90_000), 10_000))
    took = []
    for _ in range(5):
        begin = time.thread_time()
        spread(*engine.values(FIELDS["srtt"], compile_filter("dport = :443")))
        took.append(time.thread_time() - begin)
    assert min(took) < 0.010


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("srtt", ("srtt", "")),
        ("srtt > ", ("srtt", "")),
        ("srtt>5", ("srtt", "")),
        ("nginx and srtt > 5ms", ("srtt", "nginx")),
        ("nginx srtt >= ", ("srtt", "nginx")),
        ("srtt > 5ms && rttvar < ", ("rttvar", "srtt > 5ms")),
        ("state established and rtt > ", ("srtt", "state established")),
        ("nginx or srtt > ", ("srtt", "")),  # it is not narrowed to nginx
        ("not srtt > ", ("srtt", "")),
        ("(nginx and srtt > ", ("srtt", "")),
        ("nginx and ", None),
        ("nginx", None),
        ("srtt > 5ms and ", None),
        ("", None),
    ],
)
def test_the_comparison_that_is_written(text: str, expected: tuple[str, str] | None) -> None:
    found = compared(text)
    assert (found and (found[0].id, found[1])) == expected


def test_what_is_said_of_it() -> None:
    def said(name: str, found: Spread, **more: object) -> str:
        narrowed = bool(more.pop("narrowed", False))
        return Now(FIELDS[name], found, narrowed, **more).text()  # type: ignore[arg-type]

    found = Spread(8107, 8107, 641_000.0, 92.1e6, 248e6)
    assert said("srtt", found) == "now p50 641µs  p90 92.1ms  max 248ms  of all 8.1K"
    assert said("srtt", found._replace(known=12), narrowed=True, when="then") == (
        "then p50 641µs  p90 92.1ms  max 248ms  of 12 known of 8.1K before it"
    )
    nothing = Spread(5, 0, None, None, None)
    assert said("rxwait.p99", nothing, off={"wait": "no BPF"}) == (
        "now p50 –  p90 –  max –  plane wait is off"
    )
    assert said("srtt", nothing) == "now p50 –  p90 –  max –  of 0 known of all 5"
    assert said("rxwait.p99", Spread(1, 1, 65536.0, 65536.0, 65536.0)).startswith("now p50 ~66µs")
    assert said("unread", Spread(1, 1, 2e9, 2e9, 2e9), off={"wait": ""}).startswith("now p50 ≥2")
    assert said("tx", Spread(1, 1, 1e6, 1e6, 1e6)).startswith("now p50 8.0M")
    wanted = {"srtt", "retr/s", "sndq", "cwnd", "flow", "limited.rwnd", "total_retrans"}
    assert all(has_spread(FIELDS[name]) for name in wanted)
    assert not any(has_spread(FIELDS[n]) for n in ("comm", "remote", "lport", "level", "ca_state"))
