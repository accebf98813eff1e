"""Facts as JSON: plain objects without what is unknown, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from nettop.model.tcpinfo import check_field
from nettop.sample import Facts

Plain = Mapping[str, Any]
_HOLDS = (dict, list, tuple)


def plain_of(facts: Facts) -> dict[str, Any]:
    """Facts as what JSON can hold; None, which stands for unknown, is left out."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(facts, str_keys=True))
    return plain


def facts_of(plain: Plain) -> Facts:
    """The inverse; keys that are not known are of a newer nettop.

    Raises:
        ValueError: a value is of another type than the field's, or impossible.
    """
    facts = msgspec.convert(plain, Facts, str_keys=True)
    for item in facts.tcp_info_tail:
        check_field(item)
    return facts


def changes(before: Plain, now: Plain) -> dict[str, Any]:
    """What to apply to before to have now (RFC 7396, JSON merge patch)."""
    out: dict[str, Any] = {key: None for key in before if key not in now}
    for key, value in now.items():
        if key not in before:
            out[key] = value
        elif value == before[key]:  # most are, and whole objects are compared fast
            continue
        elif isinstance(value, Mapping) and isinstance(before[key], Mapping):
            out[key] = changes(before[key], value)
        else:
            out[key] = value
    return out


def changed(before: Plain, patch: Plain) -> dict[str, Any]:
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


def _without_none(value: Any) -> Any:
    # A call for each of hundreds of numbers would take most of the time.
    if isinstance(value, dict):
        return {
            key: _without_none(v) if isinstance(v, _HOLDS) else v
            for key, v in value.items()
            if v is not None
        }
    if isinstance(value, (list, tuple)):
        return [_without_none(v) if isinstance(v, _HOLDS) else v for v in value]
    return value
