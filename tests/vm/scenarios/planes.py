"""What nettop says that it can do on this kernel."""

from __future__ import annotations

from typing import Any

from nettop.doctor import examine, to_json


def doctor() -> Any:
    """nettop doctor --json."""
    return to_json(examine())
