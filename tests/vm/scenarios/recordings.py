"""Recordings of another kernel, replayed by nobody in an empty network namespace."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "data/recordings"
_NOBODY = ["unshare", "--net", "setpriv", "--reuid", "65534", "--regid", "65534",
           "--clear-groups", "--inh-caps", "-all", "--bounding-set", "-all",
           "--no-new-privs"]  # fmt: skip


def replayed() -> dict[str, str]:
    """SHA-256 of what `nettop replay FILE --ndjson` says, by file."""
    running = {
        file.name: subprocess.Popen(
            [*_NOBODY, sys.executable, "-m", "nettop", "replay", file, "--ndjson"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for file in sorted(_FOLDER.glob("*.nettop"))
    }
    out = {}
    for name, one in running.items():
        said, why = one.communicate(timeout=240)
        assert not one.returncode, why
        out[name] = hashlib.sha256(said).hexdigest()
    return out
