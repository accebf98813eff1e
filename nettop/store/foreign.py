"""JSON of another machine: its numbers are as large as a kernel's may be: of 64 bits."""

from __future__ import annotations

import json
import math
from typing import Any

_DIGITS_MOST = 20  # of 2 ** 64, with a sign
_LEAST, _BEYOND = -(1 << 63), 1 << 64


def loads(text: bytes | str) -> Any:
    """As json.loads.

    Raises:
        ValueError: no JSON, or a number that no kernel has.
        RecursionError: nested too deeply.
    """
    return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_none)


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS_MOST or not _LEAST <= (value := int(digits)) < _BEYOND:
        raise ValueError("a number is too large")
    return value


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value) or abs(value) >= _BEYOND:
        raise ValueError("a number is too large")
    return value


def _none(name: str) -> float:
    raise ValueError(f"{name} is no number")
