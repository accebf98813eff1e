"""A kernel module of the tests' own, built for a kernel with its headers from the archive."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.vm.kernels import SOURCES, Kernel
from tests.vm.packages import Suite, Unavailable, cache, locked, unpack

_HERE = Path(__file__).parent
_BUILD_S = 300
# What a kernel's own compiler and tools could, and those here may not.
_WITHOUT = ("CONFIG_DEBUG_INFO_BTF_MODULES=", "CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=")


def _headers(suite: Suite, release: str) -> Path:
    """The unpacked headers; their Makefiles name files by where the packages would be installed."""
    root = cache() / "headers" / release
    folder = root / f"usr/src/linux-headers-{release}"
    with locked(f"headers-{release}"):
        if folder.exists():
            return folder
        fresh = root.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        package = f"linux-headers-{release}"
        for name in (
            package,
            suite.depends(package, r"linux-headers-.*-common"),
            suite.depends(package, r"linux-kbuild-.*"),
        ):
            file = suite.download(name)
            unpack(file, fresh)
            file.unlink()
        for makefile in fresh.glob("usr/src/*/Makefile"):
            text = makefile.read_text().replace("/usr/src/", f"{root}/usr/src/")
            makefile.write_text(
                text.replace("/usr/lib/linux-kbuild", f"{root}/usr/lib/linux-kbuild")
            )
        _make_runnable(suite, fresh, root)
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)
    return folder


def _make_runnable(suite: Suite, tree: Path, root: Path) -> None:
    """Tools that were built for a newer libc than this machine's get theirs; tree will be root."""
    tools = [
        tool
        for tool in tree.glob("usr/lib/linux-kbuild-*/**/*.real-*")
        if tool.name in ("modpost.real-lsb-64", "objtool.real-x86")
    ]
    if not any(_needs_newer_libc(tool) for tool in tools):
        return
    unpack(Suite(suite.name.removesuffix("-backports")).download("libc6"), tree / "libc")
    libraries = f"{root}/libc/usr/lib/x86_64-linux-gnu"
    for tool in tools:
        tool.rename(tool.with_suffix(".elf"))
        program = root / tool.with_suffix(".elf").relative_to(tree)
        tool.write_text(
            "#!/bin/sh\n"
            f"exec {libraries}/ld-linux-x86-64.so.2 "
            f'--library-path {libraries}:/usr/lib/x86_64-linux-gnu {program} "$@"\n'
        )
        tool.chmod(0o755)


def _needs_newer_libc(tool: Path) -> bool:
    done = subprocess.run([tool, "--help"], capture_output=True, text=True, check=False, timeout=10)
    return "version `GLIBC" in done.stderr


def built(kernel: Kernel, name: str) -> Path:
    """tests/vm/NAME/NAME.c as a module for that kernel.

    Raises:
        Unavailable: no headers in the archive, or no compiler here.
    """
    source = _HERE / name
    target = cache() / "built" / kernel.release / name
    for tool in ("make", "gcc"):
        if shutil.which(tool) is None:
            raise Unavailable(f"building {name} needs {tool}")
    headers = _headers(SOURCES[kernel.name].suite, kernel.release)
    with locked(f"built-{kernel.release}"):
        target.mkdir(parents=True, exist_ok=True)
        for file in source.iterdir():
            shutil.copy(file, target)
        done = subprocess.run(
            ["make", "-C", str(headers), f"M={target}", *_WITHOUT, "CC=gcc", "modules"],
            capture_output=True, text=True, timeout=_BUILD_S, check=False,
        )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"{name} does not build for {kernel.release}: {done.stderr[-1500:]}")
    return target / f"{name}.ko"
