"""The diag plane against the guest's own kernel."""

from __future__ import annotations

import os
from typing import Any

from nettop.doctor import examine, to_json


def doctor() -> Any:
    """What works here."""
    return to_json(examine())


def release() -> str:
    return os.uname().release
