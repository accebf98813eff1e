"""The numbers behind name patterns of a filter: cgroups and namespaces that exist now."""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from nettop.sources.cgroups import container_of, reached
from nettop.sources.devices import Devices
from nettop.sources.mounts import read_mounts
from nettop.sources.netns import mounted
from nettop.users import USERS


class LiveNames:
    """Reads the cgroup tree and the mounts anew at each question: filters ask rarely."""

    def __init__(self, devices: Devices, host: str = "") -> None:
        """host: what this one is called."""
        self._devices, self._host = devices, host

    def is_host(self, pattern: str) -> bool:
        return fnmatchcase(self._host.lower(), pattern.lower())

    def devices(self, name: str) -> list[tuple[int, int]]:
        """(namespace, ifindex) of the interfaces of that name."""
        return self._devices.find(name)

    def cgroup_ids(self, pattern: str) -> list[int]:
        """Directories whose path, name or container matches; below a match all match."""
        wanted = pattern if pattern == "/" else pattern.rstrip("/")
        return self._directories(lambda path: path_matches(path, wanted))

    def container_ids(self, pattern: str) -> list[int]:
        """Directories of the containers and services that are called so."""
        return self._directories(lambda path: container_matches(path, pattern))

    def _directories(self, matches: Callable[[str], bool]) -> list[int]:
        mount = reached().path
        if mount is None:
            return []
        found = []
        for directory, _, _ in os.walk(mount):
            path = directory[len(mount) :] or "/"
            if matches(path):
                try:
                    found.append(Path(directory).stat().st_ino)
                except OSError:
                    continue  # removed meanwhile
        return found

    def netns_ids(self, pattern: str) -> list[int]:
        """Namespaces of that name."""
        kept = mounted(read_mounts())
        return [inode for inode, (name, _) in kept.items() if name and fnmatchcase(name, pattern)]

    def uid(self, name: str) -> int | None:
        return USERS.uid(name)


def container_matches(path: str, pattern: str) -> bool:
    """Whether the container or service of a cgroup path is called so, in letters of any case."""
    name = container_of(path)
    return name is not None and fnmatchcase(name.lower(), pattern.lower())


def path_matches(path: str, pattern: str) -> bool:
    """Whether a cgroup path, its last part or its container matches; below a match all do."""
    name = container_of(path)
    return (
        fnmatchcase(path, pattern)
        or path.startswith(f"{pattern}/")
        or fnmatchcase(path.rsplit("/", 1)[-1], pattern)
        or (name is not None and fnmatchcase(name, pattern))
    )
