"""Debian packages through private apt roots: found by the archive's own index, never installed.

The archive is the one that the machine's own apt sources name.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.vm.aptsources import acquire_settings, archives

UPDATE_S, FETCH_S = 120, 300
INDEX_S = 86_400  # an index of this age is taken as it is


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
    arch: str = "amd64"

    @property
    def place(self) -> str:
        """Its name in the cache."""
        return self.name if self.arch == "amd64" else f"{self.name}-{self.arch}"

    @property
    def root(self) -> Path:
        return cache() / "apt" / self.place

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
        """Fetches the index, unless there is one of today; an older one does where that fails.

        Raises:
            Unavailable: no archive of the machine's answers, or none is Debian's and has this.
        """
        if self.place in _updated:
            return
        fetched = self.root / "fetched"
        with locked(f"apt-{self.place}"):
            if not fetched.exists() or time.time() - fetched.stat().st_mtime > INDEX_S:
                sources = self.root / "sources/archive.sources"
                before = sources.read_text() if fetched.exists() else None
                try:
                    self._fetch_index(sources)
                    fetched.touch()
                except Unavailable:
                    if before is None:
                        raise
                    sources.write_text(before)
        _updated.add(self.place)

    def _fetch_index(self, sources: Path) -> None:
        for folder in ("lists/partial", "archives/partial", "parts", "sources"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        (self.root / "apt.conf").write_text(
            f'{acquire_settings()}Acquire::Languages "none";\n'
            f'Dir::State "{self.root}"; Dir::State::status "{self.root}/status";\n'
            f'Dir::State::lists "{self.root}/lists"; Dir::Cache "{self.root}";\n'
            f'Dir::Cache::archives "{self.root}/archives"; Dir::Etc::sourcelist "-";\n'
            f'Dir::Etc::sourceparts "{sources.parent}"; Dir::Etc::parts "{self.root}/parts";\n'
            f'Dir::Etc::preferencesparts "{self.root}/parts"; Dir::Etc::preferences "-";\n'
            f'APT::Default-Release "{self.name}"; APT::Sandbox::User "";\n'
            f'APT::Architecture "{self.arch}"; APT::Architectures "{self.arch}";\n'
        )
        names = (self.name, *self.besides)
        failures = []
        for archive in archives(names):
            sources.write_text(archive.stanza(names, self.arch))
            try:
                self._apt("apt-get", "-qq", "update", seconds=UPDATE_S)
            except Unavailable as failed:
                failures.append(str(failed))
                continue
            said = self._apt("apt-get", "indextargets", "--format", "$(ORIGIN)", seconds=UPDATE_S)
            if all(re.match(r"Debian\b", origin) for origin in said.splitlines()):
                return
            failures.append(f"{self.name}: {archive.uris} is not Debian's archive")
        raise Unavailable(failures[0] if failures else "the machine's apt sources name no archive")

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
        folder = cache() / "packages" / self.place
        folder.mkdir(parents=True, exist_ok=True)
        with locked(f"fetch-{self.place}"):
            self._apt("apt-get", "-qq", "download", package, seconds=FETCH_S, where=folder)
        found = sorted(folder.glob(f"{package}_*.deb"), key=lambda p: p.stat().st_mtime)
        return found[-1]

    def with_dependencies(self, *packages: str, libc: bool = False) -> list[Path]:
        """The files of packages and of all that they need; libc: that of it too."""
        self.update()
        with locked(f"fetch-{self.place}"):
            self._apt(
                "apt-get", "-qq", "-y", "--no-install-recommends", "-t", self.name,
                "--download-only", "install", *packages, seconds=FETCH_S,
            )  # fmt: skip
        return [
            p
            for p in (self.root / "archives").glob("*.deb")
            if libc or not p.name.startswith("libc6_")
        ]


_updated: set[str] = set()


def unpack(package: Path, into: Path) -> None:
    """All files of a package; links to folders stay what they are."""
    into.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as tar:
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "-C", str(into)],
            stdin=tar.stdout, check=True, timeout=300,
        )  # fmt: skip
