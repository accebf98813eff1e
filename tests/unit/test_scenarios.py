"""Scenario files: ticks of kernel messages in, the verdict of each socket out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from nettop.model.types import Level, Proto
from nettop.text.fields import FIELDS
from nettop.text.verdicts import VERDICTS
from nettop.text.words import who_text, why_text
from tests.feeding import FedEngine as Engine
from tests.netlink import connection, diag, done, mptcp, skmeminfo

SCENARIOS = sorted((Path(__file__).parent.parent / "scenarios").glob("*.toml"))
FILE_KEYS = {"what", "proto", "tick_s", "base", "grows", "ticks", "repeat", "expect"}
EXPECT_KEYS = {"verdicts", "who", "level", "known", "unknown", "why"}


def build(given: dict[str, Any], proto: Proto) -> bytes:
    fields = dict(given)
    mem = skmeminfo(
        fields.pop("drops", 0), fields.pop("rmem", 0), wmem_queued=fields.pop("wmem_queued", 0)
    )
    if proto == Proto.UDP:
        return diag(1, state="CLOSE", attrs={"skmeminfo": mem}, **fields)
    if proto == Proto.MPTCP:
        return mptcp(1, fields.pop("info_length", 96), mem, **fields)
    return connection(1, fields.pop("info_length", 280), mem, **fields)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_scenario(path: Path) -> None:
    scenario = tomllib.loads(path.read_text())
    assert set(scenario) <= FILE_KEYS, f"unknown keys {set(scenario) - FILE_KEYS}"
    expect = scenario["expect"]
    assert set(expect) <= EXPECT_KEYS, f"unknown keys {set(expect) - EXPECT_KEYS}"
    proto = Proto[scenario.get("proto", "tcp").upper()]
    engine = Engine()
    at = 100.0
    ticks = list(scenario["ticks"])
    ticks += [ticks[-1]] * scenario.get("repeat", 0)
    for n, tick in enumerate(ticks):
        grown = {name: n * by for name, by in scenario.get("grows", {}).items()}
        now = int(at * 1e9)
        engine.feed_begin(now)
        engine.feed(1, proto, build({**scenario.get("base", {}), **grown, **tick}, proto) + done())
        engine.feed_end(now)
        at += scenario.get("tick_s", 1.0)
    row = engine.find(1)
    assert row is not None
    detail = engine.detail(1)
    assert sorted(VERDICTS[v].name for v in row.verdicts) == sorted(expect["verdicts"])
    assert (who_text(row) or "–" * row.untraced) == expect.get("who", "")
    if "why" in expect:
        assert (why_text(row) or "") == expect["why"]
    if "level" in expect:
        assert row.level == Level[expect["level"].upper()]
    for name, number in expect.get("known", {}).items():
        assert FIELDS[name].value(row, detail) == pytest.approx(number, rel=0.01), name
    for name in expect.get("unknown", []):
        assert FIELDS[name].value(row, detail) is None, name
