"""Parquet: what CSV says, with types."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from nettop import options as command_line
from nettop.errors import NettopError
from nettop.export import parquetout
from nettop.export.formats import Format
from nettop.export.snapshot import Ticks
from nettop.options import parse_args
from nettop.replay import ReplayFeed
from nettop.store.recording import Recording
from nettop.text.columns import endpoint
from nettop.text.fields import FIELDS, Formula
from nettop.text.words import LEVEL_WORDS
from tests.export.make import make_row

RECORDING = Path(__file__).parents[1] / "data" / "recordings" / "own-queue.nettop"


def write_all(write: Callable[[bytes], object], form: Format) -> None:
    """Every tick of a recording."""
    with closing(Recording(RECORDING)) as recording:
        feed = ReplayFeed(recording.samples())
        ticks = Ticks(write, form)
        for _ in recording.frames():
            ticks.add(feed, feed.tick())
        ticks.end()


def written(form: Format) -> bytes:
    out = io.BytesIO()
    write_all(out.write, form)
    return out.getvalue()


@pytest.fixture(scope="module")
def table() -> Any:
    return pyarrow.parquet.read_table(io.BytesIO(written(Format.PARQUET)))


def test_it_says_what_csv_says(table: Any) -> None:
    lines = list(csv.DictReader(io.StringIO(written(Format.CSV).decode(), newline="")))
    rows = table.drop_columns(["taken"]).to_pylist()
    assert len(rows) == len(lines) == 8
    assert list(lines[0]) == table.column_names
    known = set()
    taken_ns = table.column("taken").cast("int64").to_pylist()
    for line, row, ns in zip(lines, rows, taken_ns, strict=True):
        text = line.pop("taken")
        seconds = int(
            datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
        )
        assert ns == seconds * 10**9 + int(text[20:29])
        for name, cell in line.items():
            value = row[name]
            if cell == "":
                assert value is None, name
                continue
            known.add(type(value))
            assert (value if isinstance(value, str) else float(value)) == (
                cell if isinstance(value, str) else float(cell)
            ), name
    assert known == {int, float, bool, str}


def test_types_are_of_the_fields(table: Any) -> None:
    types = {
        name: str(kind) for name, kind in zip(table.column_names, table.schema.types, strict=True)
    }
    assert types["taken"] == "timestamp[ns, tz=UTC]"
    for name, kind in {
        "cookie": "uint64", "srtt_ns": "int64", "pid": "int64", "comm": "string", "local": "string",
        "level": "string", "ca_state": "string", "fastopen_client_fail": "string",
        "tx_bytes_per_s": "double", "retr_pct": "double",
        "srtt_per_minrtt": "double", "delivery_rate_app_limited": "bool", "sndq_bytes": "int64",
    }.items():  # fmt: skip
        assert types[name] == kind, name
    assert {str(t) for t in table.schema.types} == {
        "timestamp[ns, tz=UTC]", "int64", "uint64", "double", "string", "bool",
    }  # fmt: skip


def test_no_value_is_of_another_type_than_its_column() -> None:
    """A number with a fraction in a column of whole ones would be refused by pyarrow."""
    row = make_row()
    for field in FIELDS.values():
        if parquetout.type_name(field) != "int64" or isinstance(field.loc, Formula):
            continue
        value = field.value(row)
        assert not isinstance(value, str)
        assert value is None or value == int(value), field.id
    assert endpoint(row, local=True)


def test_codes_are_their_words(table: Any) -> None:
    assert {*table.column("ca_state").to_pylist()} == {"Open"}
    assert {*table.column("level").to_pylist()} <= {*LEVEL_WORDS}


def test_numbers_that_no_kernel_has_are_unknown() -> None:
    assert parquetout._value(7, "string") == "7", "a code without a word"
    assert parquetout._value(1 << 63, "int64") is None
    assert parquetout._value(1 << 63, "uint64") == 1 << 63
    assert parquetout._value(2.0999999046325684, "float64") == 2.1


def test_row_groups_are_written_as_they_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquetout, "GROUP_ROWS", 3)
    file = pyarrow.parquet.ParquetFile(io.BytesIO(written(Format.PARQUET)))
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert sizes == [3, 3, 2]


def test_a_disk_that_is_full_is_one_line() -> None:
    def full(_: bytes) -> None:
        raise NettopError("cannot write x.parquet: No space left on device")

    with pytest.raises(NettopError, match="No space left on device"):
        write_all(full, Format.PARQUET)
    for thread in threading.enumerate():
        if thread.name == "nettop-parquet":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    "words",
    [
        ["replay", "a.nettop", "-o", "x.parquet"],
        ["-o", "x.parquet"],
        ["snapshot", "-o", "x.PARQUET"],
    ],
)
def test_without_pyarrow_it_is_said_how_to_get_it(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = parse_args(words, {})
    assert getattr(options, "format", None) is Format.PARQUET
    monkeypatch.setattr(command_line, "find_spec", lambda _: None)
    with pytest.raises(NettopError, match=r" -m pip install pyarrow$") as caught:
        parse_args(words, {})
    assert caught.value.exit_code == 1
