"""The filter language: text → tree → program, and completions for the filter line.

Importing this costs little: the language is loaded when the first filter is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nettop.query.errors import FilterError

if TYPE_CHECKING:
    from nettop.query.compile import Filter, NameSets

__all__ = ["FilterError", "compile_filter", "narrowed"]


def compile_filter(
    text: str, names: NameSets | None = None, *, level_now: bool = False
) -> Filter | None:
    """As compile.compile_filter()."""
    from nettop.query import compile as language

    return language.compile_filter(text, names, level_now=level_now)


def narrowed(text: str | None, term: str) -> str:
    """A filter that a further condition narrows; one that it already has is not written again."""
    if not text or text == term:
        return term
    if text.endswith(f" and {term}") and not re.search(r"\bor\b|\|", text, re.IGNORECASE):
        return text
    return f"({text}) and {term}"
