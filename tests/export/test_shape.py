"""Every value of a file, made wrong: refused in one line with its place, or taken as it is."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from nettop.errors import NettopError
from nettop.export.keys import KEYS
from nettop.export.load import load_snapshot
from nettop.export.shape import MOST_TEXT, SNAPSHOT, Kind
from nettop.export.values import Bad
from nettop.filefeed import FileFeed
from tests.export.make import full_evidence, make_model, write_json
from tests.tui.fuzz_files import HOSTILE, base

NEVER: tuple[Any, ...] = (None, 10**400, "x" * (MOST_TEXT + 1))
PERHAPS: tuple[Any, ...] = (-1, 2**64, 1.5, True, HOSTILE, [], [None], {HOSTILE: 1}, [[[[[[]]]]]])


def places(value: Any, at: str = "") -> list[tuple[str, list[Any]]]:
    """Each place of the registry with the keys that lead there."""
    out: list[tuple[str, list[Any]]] = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        place = f"{at}[{key}]" if isinstance(value, list) else f"{at}.{key}" if at else str(key)
        out.append((place, [key]))
        if isinstance(inner, dict | list):
            out += [(below, [key, *keys]) for below, keys in places(inner, place)]
    return out


def put(keys: list[Any], value: Any) -> Any:
    at = tree = json.loads(TEXT)
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return tree


def refusal(path: Path, tree: Any) -> str | None:
    """Why it is not opened, None if it is."""
    path.write_text(json.dumps(tree))
    try:
        FileFeed(load_snapshot(str(path)))
    except NettopError as error:
        why = str(error)
    else:
        return None
    assert why.isprintable()
    return why


@pytest.mark.parametrize("key", [key for key in KEYS if key.startswith("sockets[].derived.")])
def test_what_is_derived_may_be_negative(key: str) -> None:
    shape = SNAPSHOT.inner["sockets"].inner["derived"]
    name = key.rsplit(".", 1)[-1]
    shape.check({name: -1.5})
    for wrong in (-1e31, float("nan"), "1", True, None):
        with pytest.raises(Bad):
            shape.check({name: wrong})


def small() -> Any:
    tree = base(random.Random(1))
    tree["sockets"] = tree["sockets"][:1]
    return tree


TREE = small()
TEXT = json.dumps(TREE)


def test_the_tree_has_most_keys() -> None:
    told = {re.sub(r"\[\d+\]", "[]", place) for place, _ in places(TREE)}
    assert len(told & set(KEYS)) > 150


@pytest.mark.parametrize("value", NEVER, ids=lambda v: str(v)[:8])
def test_what_no_key_can_hold_is_refused_with_its_place(tmp_path: Path, value: Any) -> None:
    for place, keys in places(TREE):
        why = refusal(tmp_path / "x.json", put(keys, value))
        assert why is not None, place
        if keys == ["schema"]:
            continue
        said = re.search(r"can show: (\S+) ", why)
        assert said, why
        # Below a key that is described in words alone, that key is named.
        assert place.startswith(said[1].replace("?", "")), (place, why)
        key = re.sub(r"\[\d+\]", "[]", said[1]).removesuffix("[]")
        assert key in KEYS or re.sub(r"\w+$", "*", key) in KEYS, why


@pytest.mark.parametrize("value", PERHAPS, ids=lambda v: str(v)[:8])
def test_what_some_keys_can_hold_is_never_a_crash(tmp_path: Path, value: Any) -> None:
    for _, keys in places(TREE):
        refusal(tmp_path / "x.json", put(keys, value))


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    for member in ('"host": "web-1"', '"proto": "tcp"', '"sockets": []'):
        path = tmp_path / "x.json"
        path.write_text(TEXT.replace("{", f"{{{member}, ", 1 if "tcp" not in member else 99))
        with pytest.raises(NettopError, match="twice in one object"):
            load_snapshot(str(path))


def test_a_snapshot_of_several_hosts_is_refused_with_what_to_do(tmp_path: Path) -> None:
    said = refusal(tmp_path / "two.json", TREE | {"hosts": {"a": {"state": "live"}}})
    assert str(said).startswith("two.json: is of several hosts")
    assert "nettop record -H" in str(said)


def test_keys_that_nobody_knows_are_left_out(tmp_path: Path) -> None:
    tree = put(["sockets", 0, HOSTILE], {"deep": [[[[[[1]]]]]]})
    tree["events"][0]["future"] = HOSTILE
    assert refusal(tmp_path / "x.json", tree) is None
    told = load_snapshot(str(tmp_path / "x.json")).model.file_events
    assert told is not None
    assert "future" not in told[0]


def test_every_key_has_a_shape() -> None:
    """A container is one where the registry has keys below it; rates and shares are numbers."""
    for path in KEYS:
        shape = SNAPSHOT
        for part in path.split("."):
            name = part.removesuffix("[]")
            inner = shape.any if name == "*" else shape.inner[name]
            assert inner is not None
            shape = inner
        if path == "hosts.*.clock_offset_ns":
            assert shape.kind is Kind.SIGNED
        elif path.endswith(("_ns", "_bytes")):
            assert shape.kind is Kind.WHOLE, path
        if path.endswith(("_per_s", "_pct")):
            assert shape.kind is Kind.NUMBER, path
        assert bool(shape.inner or shape.any) == (shape.kind in (Kind.OBJECT, Kind.OBJECTS)), path


def test_all_that_a_host_says_is_written_and_read_back(tmp_path: Path) -> None:
    """Each key, so that none which a host rarely says closes the file that has it."""
    out = io.BytesIO()
    write_json(out.write, make_model(0, evidence=full_evidence()), [], lambda row: [])
    tree = json.loads(out.getvalue())
    written = {re.sub(r"\[\d+\]", "[]", place) for place, _ in places(tree)}
    written |= {re.sub(r"\.[^.]+$", ".*", place) for place in written}
    assert {key for key in KEYS if key.startswith("host_")} <= written
    path = tmp_path / "x.json"
    path.write_bytes(out.getvalue())
    again = io.BytesIO()
    write_json(again.write, load_snapshot(str(path)).model, [], lambda row: [])
    assert json.loads(again.getvalue()) == tree


def test_a_hostile_name_of_a_thread_is_made_safe(tmp_path: Path) -> None:
    out = io.BytesIO()
    write_json(out.write, make_model(0, evidence=full_evidence()), [], lambda row: [])
    tree = json.loads(out.getvalue())
    tree["host_processes"][0]["names"]["13"] = HOSTILE
    path = tmp_path / "x.json"
    path.write_text(json.dumps(tree))
    names = load_snapshot(str(path)).model.evidence.now.processes[12].names
    assert names is not None
    assert names["13"].isprintable()
    assert names["14"] == "7"


@pytest.mark.parametrize("said", [True, False])
def test_flags_are_taken_wherever_they_are_described(tmp_path: Path, said: bool) -> None:
    """One that is taken for a number closes every file that has it."""
    flags = [path.split(".") for path, text in KEYS.items() if re.match("(true|false): ", text)]
    assert {"octaves", "traced", "readable", "missed"} <= {path[-1] for path in flags}
    for *inner, name in flags:
        tree = at = small()
        for key in inner:
            at = at.setdefault(key.removesuffix("[]"), {})
            at = at[0] if isinstance(at, list) else at
        at[name] = said
        assert refusal(tmp_path / "a.json", tree) is None, (inner, name)
        at[name] = 1
        assert "neither true nor false" in (refusal(tmp_path / "a.json", tree) or "")


def test_a_parquet_file_is_no_snapshot_and_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "slow.parquet"
    path.write_bytes(b"PAR1\x15\x04\xff\xfePAR1")
    with pytest.raises(NettopError, match="a table for pandas or duckdb"):
        load_snapshot(str(path))


def test_a_file_of_many_objects_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "night.ndjson"
    path.write_text(f"{json.dumps(TREE)}\n" * 2)
    with pytest.raises(NettopError, match=r"holds several objects, one a line \(--ndjson\)"):
        load_snapshot(str(path))
