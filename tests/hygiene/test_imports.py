"""The screen's libraries stay out of everything that has no screen."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCREEN = ("textual", "rich", "nettop.tui")

# Runs nettop, then tells on its last line which modules it loaded.
RUN = """
import json, sys
from nettop.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as e:
    code = e.code
sys.stdout.flush()
print()
print(json.dumps([code or 0, sorted(sys.modules)]))
"""


def loaded(*argv: str, cwd: Path | None = None) -> tuple[int, list[str]]:
    """Exit code of nettop with these arguments, and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *argv],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr.decode()
    code, modules = json.loads(done.stdout.splitlines()[-1])
    return code, modules


@pytest.mark.parametrize(
    ("argv", "codes"),
    [
        (["--help"], (0,)),
        (["--version"], (0,)),
        (["-s", "help"], (0,)),
        (["--once"], (0,)),
        (["--once", "srtt > 1ms and retr/s > 0"], (0,)),
        (["--json"], (0,)),
        (["--csv", "-n", "1"], (0,)),
        (["-b", "-n", "1"], (0,)),
        (["snapshot", "--for", "0.2", "-o", "x.json"], (0,)),
        (["snapshot", "--for", "0.2", "-o", "x.svg"], (0,)),
        (["doctor"], (0, 1)),
        (["clocks"], (0,)),
        (["--no-such-option"], (2,)),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_headless_never_loads_the_screen(
    argv: list[str], codes: tuple[int, ...], tmp_path: Path
) -> None:
    code, modules = loaded(*argv, cwd=tmp_path)
    assert code in codes
    assert "nettop.cli" in modules
    assert [m for m in modules if m.startswith(tuple(f"{s}." for s in SCREEN)) or m in SCREEN] == []


# What one tick has no use for, and takes a part of its start each.
NOT_FOR_ONE_TICK = (
    "nettop.query", "nettop.store", "nettop.serve", "nettop.hosts.wire", "lark", "sqlite3",
    "difflib", "importlib.resources", "tempfile", "shutil",
)  # fmt: skip


@pytest.mark.parametrize("argv", [["--once", "--json"], ["--once"]], ids=" ".join)
def test_one_tick_loads_what_it_needs(argv: list[str]) -> None:
    _, modules = loaded(*argv)
    assert [m for m in modules if m.startswith(tuple(f"{n}." for n in NOT_FOR_ONE_TICK))
            or m in NOT_FOR_ONE_TICK] == []  # fmt: skip


def test_the_screen_begins_without_the_language_of_filters() -> None:
    script = "import sys, nettop.poller, nettop.tui.app; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    modules = set(done.stdout.split())
    assert "nettop.tui.screens.main" in modules
    assert modules & {"nettop.query.compile", "nettop.query.plain", "lark"} == set()


def test_the_package_itself_loads_nothing() -> None:
    script = "import sys; a = set(sys.modules); import nettop; print(*set(sys.modules) - a)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    # An editable install finds the package with help from the standard library.
    assert {m for m in done.stdout.split() if m.split(".")[0] not in sys.stdlib_module_names} == {
        "nettop"
    }


def imports(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_the_screen_imports_its_libraries() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "nettop").rglob("*.py")
        if "tui" not in path.relative_to(ROOT).parts
        for name in imports(path)
        if name in SCREEN or name.startswith(tuple(f"{s}." for s in SCREEN))
    }
    screens = ("app", "probe.app", "replay")
    assert found <= {("nettop/cli.py", f"nettop.tui.{name}") for name in screens}


def test_only_ffi_imports_the_helper() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "nettop").rglob("*.py")
        if any(name == "nettop._native" for name in imports(path))
    }
    assert found == {"nettop/engine/__init__.py"}
