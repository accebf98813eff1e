"""What the recipes beside the registries name is all there is to do: the registries agree."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from nettop.export.snapshot import write_tick
from nettop.helptext import USAGE
from nettop.model.fields import FIELDS
from nettop.options import COMMANDS, SUFFIXES, Format
from nettop.render.columns import _SETS
from tests.export.make import Rows, make_model, make_row

PACKAGE = Path(__file__).resolve().parents[2] / "nettop"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_called_and_in_help(command: str) -> None:
    assert f'options.command == "{command}"' in (PACKAGE / "cli.py").read_text()
    assert f"nettop {command}" in USAGE


@pytest.mark.parametrize("form", Format)
def test_a_format_is_written_and_has_a_suffix(form: Format) -> None:
    assert SUFFIXES[f".{form.value}"] is form
    out = io.BytesIO()
    feed: Any = Rows([(make_row(), None)], [])
    write_tick(out.write, feed, make_model(), form)
    assert out.getvalue()
    assert f".{form.value}" in USAGE or f"--{form.value}" in USAGE


def test_columns_shown_unasked_are_fields_with_a_title() -> None:
    for _, names in _SETS:
        assert all(FIELDS[name].title for name in names.split())
