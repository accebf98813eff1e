"""Names for the numbers of a socket: user, network namespace, cgroup, container.

Looked up when first asked for and remembered, in files of this host alone but for users' names,
which come when they come; everything that is returned is safe to print.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nettop.sources.cgroups import Cgroups, container_of
from nettop.sources.devices import Devices
from nettop.sources.mounts import MOUNTINFO, MountWatch
from nettop.sources.netns import mounted
from nettop.text.clean import clean
from nettop.users import USERS, Users

NETNS_AGAIN_S = 2.0  # how often the mounts are checked for changes
CACHE_MOST = 65536


class Names:
    """The caches; any thread may ask."""

    def __init__(
        self,
        *,
        users: Users = USERS,
        mountinfo: Path = MOUNTINFO,
        cgroups: Cgroups | None = None,
        devices: Devices | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._mounts = MountWatch(mountinfo)
        self._netns: dict[int, str] = {}
        self._netns_at = float("-inf")
        self._cgroups = cgroups
        self.devices = devices or Devices({})
        self._cgroup_text: dict[int, str] = {}
        self._containers: dict[str, str | None] = {}
        self._clock = clock

    def user(self, uid: int, *, last: bool = False) -> str | None:
        """Login name; None if there is none, or none yet; last: others are looked up before it."""
        return self._users.name(uid, last=last)

    def forget_netns(self) -> None:
        """Names of namespaces have changed."""
        self._netns_at = float("-inf")

    def netns_name(self, inode: int) -> str | None:
        """Name under which `ip netns` knows a namespace; None if it has none."""
        now = self._clock()
        # Inodes of namespaces are used again, so what is known must follow the mounts.
        if now - self._netns_at >= NETNS_AGAIN_S:
            self._netns_at = now
            if self._mounts.changed():
                kept = mounted(self._mounts.read())
                self._netns = {inode: clean(name) for inode, (name, _) in kept.items() if name}
        return self._netns.get(inode)

    def device(self, netns: int, ifindex: int) -> str | None:
        return self.devices.name(netns, ifindex)

    def cgroup(self, cgroup_id: int) -> str | None:
        """Path below the cgroup v2 mount; None if it is removed or out of sight."""
        known = self._cgroup_text.get(cgroup_id)
        if known is None:
            if self._cgroups is None:
                self._cgroups = Cgroups()
            path = self._cgroups.path(cgroup_id)
            if path is None:
                return None
            if len(self._cgroup_text) >= CACHE_MOST:
                self._cgroup_text.clear()
            known = self._cgroup_text[cgroup_id] = clean(path)
        return known

    def container(self, path: str) -> str | None:
        """Short name of the container, service or session of a cgroup path, if there is one."""
        if path not in self._containers:
            if len(self._containers) >= CACHE_MOST:
                self._containers.clear()
            name = container_of(path)
            self._containers[path] = clean(name) if name else None
        return self._containers[path]
