"""The themes of the screen, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

THEMES: Mapping[str, str] = MappingProxyType(
    {
        "terminal": "the terminal's own sixteen colours and background; the default",
        "light": "dark letters on white",
        "dark": "light letters on black",
    }
)
