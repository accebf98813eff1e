"""The files that come with nettop for other programs; units with the path of this nettop."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path

NAME, SERVE = "nettop-record.service", "nettop-serve.service"
DASHBOARD, RULES = "nettop-dashboard.json", "nettop-rules.yml"
_PACKAGED = "/usr/bin/nettop"


def packaged(name: str) -> str:
    """One of the files as it is."""
    return (files("nettop") / "data" / name).read_text("utf-8")


def service(name: str = NAME) -> str:
    """As it goes to /etc/systemd/system."""
    text = packaged(name)
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
