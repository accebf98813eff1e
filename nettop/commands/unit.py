"""The systemd unit that comes with nettop, with the path of this nettop in it."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

NAME = "nettop-record.service"
_PACKAGED = "/usr/bin/nettop"


def service() -> str:
    """As it goes to /etc/systemd/system."""
    text = (files("nettop") / "data" / NAME).read_text("utf-8")
    return text.replace(f"ExecStart={_PACKAGED} ", f"ExecStart={_command()} ", 1)


def _command() -> str:
    """How systemd calls the nettop that runs here."""
    own = Path(sys.argv[0])
    if own.name == "nettop" and own.is_file():
        return _quoted(str(own.absolute()))
    found = shutil.which("nettop")
    if found is not None:
        return _quoted(str(Path(found).absolute()))
    return f"{_quoted(sys.executable)} -m nettop"


def _quoted(path: str) -> str:
    """For systemd.service(5): % begins a specifier, $ a variable, and spaces end a word."""
    path = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{path}"' if " " in path else path
