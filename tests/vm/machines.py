"""What guests run on: QEMU's machine, and the root file system that they have.

x86-64: the machine's own root, with the Python and the nettop under test. aarch64: a root of
Debian's packages, with the wheel that native/wheels/build made; NETTOP_VM_WHEEL names it, or it is
in dist/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.vm.kernels import BOOKWORM_BACKPORTS, Kernel
from tests.vm.packages import Suite, Unavailable, cache, locked, unpack

ROOT = Path(__file__).resolve().parents[2]
_PIP_S = 300
_LINKS = ("bin", "sbin", "lib")  # into usr, as Debian has them since 12


class Machine:
    """The machine's own processor, as far as guests know it: x86-64."""

    suite = Suite("bookworm")
    qemu_package, program = "qemu-system-x86", "qemu-system-x86_64"
    console = "ttyS0"
    # A plain processor: emulation takes a tenth to a sixth longer where there are AVX, SMAP and the
    # like to save and switch, and as much again for a fifth level of page tables.
    options: tuple[str, ...] = ("-M", "q35", "-cpu", "qemu64")
    python = sys.executable
    sources = str(ROOT)
    more_path = ""

    def _qemu(self) -> Path:
        """Where QEMU is unpacked, one that has igb (8.0).

        Raises:
            Unavailable: it cannot be fetched.
        """
        folder = cache() / ("qemu" if self.program.endswith("x86_64") else self.program)
        with locked(folder.name):
            if not folder.exists():
                packages = BOOKWORM_BACKPORTS.with_dependencies(self.qemu_package)
                fresh = folder.with_suffix(".new")
                shutil.rmtree(fresh, ignore_errors=True)
                for package in packages:
                    unpack(package, fresh)
                    package.unlink()
                fresh.rename(folder)
        return folder

    def words(self) -> list[str]:
        """QEMU's command line, as far as it depends on the machine."""
        folder = self._qemu()
        return [
            str(folder / "usr/bin" / self.program), "-L", str(folder / "usr/share/qemu"),
            "-L", str(folder / "usr/share/seabios"),
            "-accel", "tcg,thread=multi,tb-size=512", *self.options,
        ]  # fmt: skip

    def environ(self) -> dict[str, str]:
        folder = self._qemu()
        libraries = [f"{folder}/usr/lib/x86_64-linux-gnu", f"{folder}/lib/x86_64-linux-gnu"]
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}

    def busybox(self) -> Path:
        """A static busybox."""
        folder = cache() / (
            "busybox" if self.suite.arch == "amd64" else f"busybox-{self.suite.arch}"
        )
        found = folder / "bin/busybox"
        with locked(folder.name):
            if not found.exists():
                unpack(self.suite.download("busybox-static"), folder)
        return found

    def root(self) -> Path:
        """The root file system of the guest."""
        return Path("/")


class Aarch64(Machine):
    """Another processor, with nettop's wheel for it."""

    suite = Suite("bookworm", arch="arm64")
    qemu_package, program = "qemu-system-arm", "qemu-system-aarch64"
    console = "ttyAMA0"
    # Without pointer authentication, which takes emulation a third of its time.
    options = ("-M", "virt,gic-version=3", "-cpu", "cortex-a72")
    python = "/usr/bin/python3"
    sources = "/nettop"
    more_path = ":/site"

    def root(self) -> Path:
        """Made once; the wheel and the tests are put into it at each boot."""
        folder = cache() / "root-arm64"
        wheel = _wheel()
        with locked(folder.name):
            if not folder.exists():
                fresh = folder.with_suffix(".new")
                shutil.rmtree(fresh, ignore_errors=True)
                _make_root(self.suite, fresh)
                fresh.rename(folder)
            for place in (folder / "site/nettop", folder / "site/nettop.libs", folder / "nettop"):
                shutil.rmtree(place, ignore_errors=True)
            _install(folder / "site", "--no-deps", "--upgrade", str(wheel))
            shutil.copytree(ROOT / "tests", folder / "nettop/tests")
            shutil.copy(ROOT / "pyproject.toml", folder / "nettop")
        return folder


def _wheel() -> Path:
    named = os.environ.get("NETTOP_VM_WHEEL")
    found = [Path(named)] if named else sorted((ROOT / "dist").glob("nettop-*_aarch64.whl"))
    if not found or not found[-1].is_file():
        raise Unavailable("no wheel for aarch64: native/wheels/build makes one")
    return found[-1]


def _make_root(suite: Suite, into: Path) -> None:
    for name in _LINKS:
        (into / "usr" / name).mkdir(parents=True)
        (into / name).symlink_to(f"usr/{name}")
    packages = suite.with_dependencies(
        "python3", "dash", "bash", "coreutils", "iproute2", "iptables", "util-linux", "procps",
        "bpftool", "mount", libc=True,
    )  # fmt: skip
    for package in packages:
        unpack(package, into)
        package.unlink()
    for name in ("proc", "sys", "dev", "run", "tmp", "nettop", "root", "site", "etc"):
        (into / name).mkdir(exist_ok=True)
    (into / "usr/sbin/iptables").symlink_to("xtables-nft-multi")  # else an alternative of dpkg's
    (into / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (into / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (into / "etc/hosts").write_text("127.0.0.1 localhost\n")
    _install(
        into / "site", "cffi>=2.1", "lark", "psutil", "textual>=8.2,<9", "msgspec", "zstandard",
        "pytest>=8.2,<9", "pytest-asyncio>=1", "pytest-rerunfailures>=14", "pytest-timeout>=2.3",
    )  # fmt: skip


def _install(into: Path, *what: str) -> None:
    """For Debian 12's Python of that processor."""
    platforms = [f"--platform=manylinux_2_{n}_aarch64" for n in (34, 28, 17)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--target", str(into), *platforms,
         "--platform=manylinux2014_aarch64", "--python-version=3.11", "--implementation=cp",
         "--abi=cp311", "--abi=abi3", "--abi=none", "--only-binary=:all:", *what],
        capture_output=True, text=True, timeout=_PIP_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"pip: {done.stderr.strip().splitlines()[-1]}")


_MACHINES: dict[str, Machine] = {"amd64": Machine(), "arm64": Aarch64()}


def machine_of(kernel: Kernel) -> Machine:
    """What that kernel boots on."""
    return _MACHINES[kernel.release.rpartition("-")[2]]
