"""An initramfs in memory: the newc format of cpio (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import stat


class Initramfs:
    """Files for the guest, in the order in which they are added."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._folders: set[str] = set()
        self._number = 0

    def _entry(
        self, name: str, mode: int, body: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        self._number += 1
        raw = name.encode() + b"\0"
        fields = (self._number, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
        self._parts += [head, bytes(-len(head) % 4), body, bytes(-len(body) % 4)]

    def folder(self, path: str) -> None:
        """A folder and those above it."""
        if not path or path in self._folders:
            return
        self.folder(path.rpartition("/")[0])
        self._folders.add(path)
        self._entry(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, body: bytes, *, mode: int = 0o644) -> None:
        self.folder(path.rpartition("/")[0])
        self._entry(path, stat.S_IFREG | mode, body)

    def device(self, path: str, major: int, minor: int) -> None:
        self.folder(path.rpartition("/")[0])
        self._entry(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def bytes(self) -> bytes:
        self._entry("TRAILER!!!", 0)
        return b"".join(self._parts)
