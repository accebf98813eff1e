"""Who asked: files belong to the user behind sudo."""

from __future__ import annotations

import os
from collections.abc import Mapping


def invoking_user(environ: Mapping[str, str]) -> tuple[int, int] | None:
    """uid and gid behind sudo, when this process is root."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (uid.isascii() and uid.isdigit()):
        return None
    return int(uid), int(gid) if gid.isascii() and gid.isdigit() else -1
