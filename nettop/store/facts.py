"""Differences of facts: nested mappings of what JSON can hold, where None is not a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Any]


def changes(before: Facts, now: Facts) -> dict[str, Any]:
    """What to apply to before to have now (RFC 7396, JSON merge patch)."""
    out: dict[str, Any] = {key: None for key in before if key not in now}
    for key, value in now.items():
        if key not in before:
            out[key] = value
        elif isinstance(value, Mapping) and isinstance(before[key], Mapping):
            inner = changes(before[key], value)
            if inner:
                out[key] = inner
        elif value != before[key]:
            out[key] = value
    return out


def changed(before: Facts, patch: Facts) -> dict[str, Any]:
    """before with a patch applied; neither is changed."""
    out = dict(before)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping):
            known = out.get(key)
            out[key] = changed(known if isinstance(known, Mapping) else {}, value)
        else:
            out[key] = value
    return out
