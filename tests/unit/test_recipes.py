"""What the recipes beside the registries name is all there is to do: the registries agree."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest

from nettop.export.formats import SUFFIXES, Format
from nettop.export.snapshot import RowFeed, write_tick
from nettop.options import COMMANDS
from nettop.text.columns import _SETS
from nettop.text.fields import FIELDS
from nettop.text.usage import usage
from tests.export.make import Rows, make_model, make_row

PACKAGE = Path(__file__).resolve().parents[2] / "nettop"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_called_and_in_help(command: str) -> None:
    calls = f'options.command == "{command}"' in (PACKAGE / "cli.py").read_text()
    assert calls or command in ("help", "version")  # which print a text
    assert f"nettop {command}" in usage()


@pytest.mark.parametrize("form", Format)
def test_a_format_is_written_and_has_a_suffix(form: Format) -> None:
    assert SUFFIXES[f".{form.value}"] is form
    out, rows = io.BytesIO(), Rows([(make_row(), None)], [])
    write_tick(out.write, cast(RowFeed, rows), make_model(), form)
    assert out.getvalue()
    assert f".{form.value}" in usage() or f"--{form.value}" in usage()


def test_columns_shown_unasked_are_fields_with_a_title() -> None:
    for _, names in _SETS:
        assert all(FIELDS[name].title for name in names.split())
