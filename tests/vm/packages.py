"""Debian packages through private apt roots: found by the archive's own index, never installed."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
UPDATE_S, FETCH_S = 60, 300
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """The archive, or a tool that is needed to use it, is not there: why."""


def cache() -> Path:
    """Where downloads and what is made of them stay between runs."""
    named = os.environ.get("NETTOP_VM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    path = Path(named) if named else Path(base) / "nettop-vm"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time makes a thing of the cache."""
    with (cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite of the archive, with what its packages may need from others."""

    name: str
    besides: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        return cache() / "apt" / self.name

    def _apt(self, *argv: str, seconds: int, where: Path | None = None) -> str:
        environ = {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C"}
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=seconds, check=False, env=environ,
                cwd=where,
            )  # fmt: skip
        except FileNotFoundError:
            raise Unavailable(f"{argv[0]} is not installed here") from None
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{self.name}: the archive did not answer in {seconds} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise Unavailable(f"{self.name}: {lines[-1] if lines else argv[1]}")
        return done.stdout

    def update(self) -> None:
        """Fetches the index, once a run.

        Raises:
            Unavailable: the archive does not answer.
        """
        if self.name in _updated:
            return
        for folder in ("lists/partial", "archives/partial", "parts"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        mirror = _mirror()
        lines = [
            f"deb [signed-by={_KEYRING}] {mirror} {s} main" for s in (self.name, *self.besides)
        ]
        (self.root / "sources.list").write_text("\n".join(lines) + "\n")
        (self.root / "apt.conf").write_text(
            f'Dir::State "{self.root}"; Dir::State::status "{self.root}/status";\n'
            f'Dir::State::lists "{self.root}/lists"; Dir::Cache "{self.root}";\n'
            f'Dir::Cache::archives "{self.root}/archives"; Dir::Etc::sourceparts "-";\n'
            f'Dir::Etc::sourcelist "{self.root}/sources.list";\n'
            f'Dir::Etc::parts "{self.root}/parts";\n'
            f'Dir::Etc::preferencesparts "{self.root}/parts"; Dir::Etc::preferences "-";\n'
            f'APT::Default-Release "{self.name}";\n'
            'Acquire::Languages "none"; APT::Architecture "amd64"; APT::Architectures "amd64";\n'
            f'Acquire::http::Timeout "20"; APT::Sandbox::User "";\n{_proxy()}'
        )
        with locked(f"apt-{self.name}"):
            self._apt("apt-get", "-qq", "update", seconds=UPDATE_S)
        _updated.add(self.name)

    def newest(self, pattern: str) -> str:
        """The package of that name pattern with the highest version.

        Raises:
            Unavailable: there is none.
        """
        self.update()
        known = self._apt("apt-cache", "pkgnames", seconds=UPDATE_S).split()
        found = [name for name in known if re.fullmatch(pattern, name)]
        if not found:
            raise Unavailable(f"{self.name} has no package {pattern}")
        return str(max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)]))

    def depends(self, package: str, pattern: str) -> str:
        """What a meta package stands for."""
        self.update()
        out = self._apt("apt-cache", "depends", package, seconds=UPDATE_S)
        found = [name for name in re.findall(r"Depends: (\S+)", out) if re.fullmatch(pattern, name)]
        if not found:
            raise Unavailable(f"{self.name}: {package} depends on no {pattern}")
        return str(found[0])

    def download(self, package: str) -> Path:
        """The package file."""
        self.update()
        folder = cache() / "packages" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with locked(f"fetch-{self.name}"):
            self._apt("apt-get", "-qq", "download", package, seconds=FETCH_S, where=folder)
        found = sorted(folder.glob(f"{package}_*.deb"), key=lambda p: p.stat().st_mtime)
        return found[-1]

    def with_dependencies(self, package: str) -> list[Path]:
        """The files of a package and of all that it needs, but for libc."""
        self.update()
        with locked(f"fetch-{self.name}"):
            self._apt(
                "apt-get", "-qq", "-y", "--no-install-recommends", "-t", self.name,
                "--download-only", "install", package, seconds=FETCH_S,
            )  # fmt: skip
        return [
            p for p in (self.root / "archives").glob("*.deb") if not p.name.startswith("libc6_")
        ]


_updated: set[str] = set()


def _mirror() -> str:
    """The machine's own mirror, if it names one."""
    try:
        found = re.search(r"^URIs: (\S+/debian)/?$", SOURCES.read_text(), re.MULTILINE)
    except OSError:
        return MIRROR
    return found[1] if found else MIRROR


def _proxy() -> str:
    """The machine's own settings of how the archive is reached."""
    try:
        out = subprocess.run(
            ["apt-config", "dump", "Acquire::http::Proxy"], capture_output=True, text=True,
            timeout=10, check=False,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return out


def unpack(package: Path, into: Path) -> None:
    """All files of a package."""
    into.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", str(package), str(into)], check=True, timeout=300)
