"""What guests that were killed leave in the cache is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.vm.guest import STALE_S, drop_stale_images


def test_images_of_the_living_stay(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    own, gone, old = (
        tmp_path / f"initramfs-{pid}-{n}"
        for n, pid in enumerate((os.getpid(), ended.pid, os.getpid()))
    )
    other = tmp_path / "initramfs.lock"
    for file in (own, gone, old, other):
        file.write_bytes(b"")
    before = time.time() - STALE_S - 60
    os.utime(old, (before, before))
    drop_stale_images(tmp_path)
    assert set(tmp_path.iterdir()) == {own, other}
