"""The parsers over captured dumps, cut and bent, in a build that stops at the first bad access."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native"
DATA = ROOT / "tests" / "data"
CAPTURES = sorted((DATA / "netlink").glob("*.bin"))
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
SANITIZE = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]

pytestmark = pytest.mark.skipif(not COMPILERS, reason="needs gcc or clang")


def compiler_that_has_them(where: Path) -> str:
    for compiler in COMPILERS:
        probe = subprocess.run(
            [compiler, *SANITIZE, "-x", "c", "-", "-o", str(where / "probe")],
            input=b"int main(void) { return 0; }",
            capture_output=True,
            check=False,
        )
        if probe.returncode == 0:
            return compiler
    pytest.skip("no compiler here has the address and undefined-behaviour sanitizers")


class Build:
    """The fuzz targets with a main of ours and sanitizers; they share the helper's objects."""

    def __init__(self, compiler: str, where: Path) -> None:
        self.where = where
        sources = sorted(NATIVE.glob("*/nt_*.c"))
        rooms = sorted({p.parent for p in sources})
        self._compile = [
            compiler, "-std=gnu11", "-g", "-O1", "-D_GNU_SOURCE", *SANITIZE,
            f"-I{NATIVE / 'include'}", *(f"-I{room}" for room in rooms),
        ]  # fmt: skip
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._objects = list(pool.map(self._object, [*sources, NATIVE / "fuzz/replay.c"]))

    def _object(self, source: Path) -> Path:
        made = self.where / f"{source.stem}.o"
        subprocess.run([*self._compile, "-c", str(source), "-o", str(made)], check=True)
        return made

    def __call__(self, target: str) -> Path:
        program = self.where / f"fuzz_{target}"
        subprocess.run(
            [*self._compile, str(NATIVE / "fuzz" / f"fuzz_{target}.c"), *map(str, self._objects),
             "-pthread", "-lm", "-o", str(program)],
            check=True,
        )  # fmt: skip
        return program


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    where = tmp_path_factory.mktemp("sanitized")
    return Build(compiler_that_has_them(where), where)


def unpack(archive: Path, where: Path) -> list[Path]:
    """The files of an archive, all laid into one new directory."""
    where.mkdir()
    files = []
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                files.append(where / Path(member.name).name)
                files[-1].write_bytes(content.read())
    return files


@pytest.mark.parametrize("target", ["feed", "filter", "stamps", "frame"])
def test_damaged_input_does_no_harm(target: str, build: Build, tmp_path: Path) -> None:
    program = build(target)
    learned = unpack(DATA / "fuzz" / f"{target}-corpus.tar.gz", tmp_path / "corpus")
    once_bad = sorted((DATA / "fuzz" / target).glob("*.bin"))
    assert len(once_bad) > 1
    assert len(learned) > 50
    whole = subprocess.run(
        [program, "--whole", *once_bad, *learned],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr[-4000:]
    assert int(whole.stdout.split()[0]) == len(once_bad) + len(learned)
    done = subprocess.run(
        [program, *CAPTURES, *once_bad], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    inputs = int(done.stdout.split()[0])
    assert inputs > 400 * (len(CAPTURES) + len(once_bad)) > 0


def test_damaged_intervals_do_no_harm(build: Build, tmp_path: Path) -> None:
    """Each takes milliseconds: no more than what the fuzzer learned."""
    learned = unpack(DATA / "fuzz" / "planes-corpus.tar.gz", tmp_path / "corpus")
    once_bad = sorted((DATA / "fuzz" / "planes").glob("*.bin"))
    assert len(learned) > 50
    done = subprocess.run(
        [build("planes"), "--whole", *once_bad, *learned],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout.split()[0]) == len(once_bad) + len(learned)


def test_the_build_would_notice(tmp_path: Path) -> None:
    """A read one byte past the input must end the program, or the test above proves nothing."""
    (tmp_path / "bad.c").write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);\n"
        "static volatile int sink;\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)\n"
        "{\n\tsink = data[size];\n\treturn 0;\n}\n"
    )
    compiler = compiler_that_has_them(tmp_path)
    subprocess.run(
        [compiler, "-g", *SANITIZE, str(tmp_path / "bad.c"), str(NATIVE / "fuzz" / "replay.c"),
         "-o", str(tmp_path / "bad")],
        check=True,
    )  # fmt: skip
    done = subprocess.run(
        [str(tmp_path / "bad"), *CAPTURES], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
