"""What a reader of the tree relies on: short files, no machine's paths, one version."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import nettop

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 600
TOP = {"LICENSE", "README.md", "native", "nettop", "pyproject.toml", "screenshots", "tests"}
# Written apart, so that this file does not hold what it forbids.
FORBIDDEN = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "home/", "/" + "opt/nt"]))


def files(*suffixes: str) -> Iterator[Path]:
    """The project's files: what git would commit, without git what is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    ) if (ROOT / ".git").exists() else None  # fmt: skip
    if listed is not None and listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        names = (p.relative_to(ROOT) for p in ROOT.rglob("*"))
        found = [ROOT / n for n in names if n.parts[0] != "build" and n.parts[0][0] != "."]
    yield from (p for p in found if p.is_file() and (not suffixes or p.suffix in suffixes))


def test_no_file_is_too_long() -> None:
    lengths = {
        str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files(".py", ".c", ".h")
    }
    assert "nettop/cli.py" in lengths
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_the_top_holds_what_a_reader_looks_for_there() -> None:
    """An export or a log that was left there is not committed with the rest."""
    names = {path.relative_to(ROOT).parts[0] for path in files()}
    assert {name for name in names if not name.startswith(".")} <= TOP


def test_no_path_of_a_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files()
        if b"\0" not in (raw := path.read_bytes())
        for number, line in enumerate(raw.decode(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def test_one_version() -> None:
    assert version("nettop") == nettop.__version__


def test_every_dependency_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    names = [re.split(r"[<>=]", item)[0] for item in tomllib.loads(text)["project"]["dependencies"]]
    assert names
    for name in names:
        assert re.search(rf'^    "{name}[^"]*", +# \S', text, re.MULTILINE), name


def _silent(path: Path) -> Iterator[int]:
    """Lines where an error is passed over: suppress(), or a handler that only goes on."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            if all(isinstance(part, ast.Pass | ast.Continue) for part in node.body):
                yield node.lineno
        elif isinstance(node, ast.With):
            names = [getattr(i.context_expr, "func", None) for i in node.items]
            if any("suppress" in ast.dump(name) for name in names if name is not None):
                yield node.lineno


def test_an_error_that_is_passed_over_says_why_it_may_be() -> None:
    bare, found = [], 0
    for path in sorted((ROOT / "nettop").rglob("*.py")):
        lines = path.read_text().splitlines()
        for line in _silent(path):
            found += 1
            if not any("# " in text for text in lines[line - 2 : line + 2]):
                bare.append(f"{path.relative_to(ROOT)}:{line}")
    assert found > 10
    assert bare == []
