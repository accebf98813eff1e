"""The view of the screen, saved: a file of its own, so that nothing the user wrote is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from nettop.config.reading import saved_columns, view_file
from nettop.errors import NettopError
from nettop.export.atomic import AtomicFile
from nettop.feed import Sort
from nettop.invoker import invoking_user
from nettop.text.fields import Field

_HEAD = "# The view of nettop that was saved with W; nettop --print-config says what is what.\n"


class View(Struct, frozen=True):
    """What of the screen is worth keeping; columns by the least width that they are for."""

    sort: Sort
    group: str
    filter_text: str | None
    delay_s: float
    columns: Mapping[int, tuple[Field, ...]]


def save_view(view: View, environ: Mapping[str, str] | None = None) -> Path:
    """Writes it in place of the one before, whose columns of other widths stay; returns where.

    Raises:
        NettopError: in one line, when it cannot be written.
    """
    environ = os.environ if environ is None else environ
    path = view_file(environ)
    if path is None:
        raise NettopError("the view is not saved: neither XDG_STATE_HOME nor HOME names a folder")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.parent.lstat()
    except OSError as error:
        raise NettopError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from None
    user = invoking_user(environ)
    owners = {os.geteuid()} | ({user[0]} if user is not None else set())
    if not stat.S_ISDIR(about.st_mode) or about.st_uid not in owners:
        raise NettopError(f"cannot write {path}: its folder belongs to another user, or is a link")
    view = replace(view, columns={**saved_columns(path, owners), **view.columns})
    with AtomicFile(path, environ) as file:
        file.write(view_text(view).encode())
    return path


def view_text(view: View) -> str:
    """The file."""
    field, direction = view.sort.field, "desc" if view.sort.descending else "asc"
    sort = "unwell" if field is None else f"{field.id}:{direction}"
    lines = [
        "[screen]",
        f"sort = {_quoted(sort)}",
        f"group = {_quoted(view.group)}",
        f"filter = {_quoted(view.filter_text or '')}",
        f"delay = {float(view.delay_s)}",
    ]
    if view.columns:
        lines += ["", "[columns]"]
    for width, fields in sorted(view.columns.items()):
        lines.append(f"{width} = {_quoted(' '.join(f.id for f in fields))}")
    return _HEAD + "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A basic string of TOML."""
    out = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else f"\\{c}" if c in '"\\' else c
        for c in text
    )
    return '"' + out.encode(errors="replace").decode() + '"'
