"""The filter language: text → tree → program, and completions for the filter line.

Importing this costs little: the parser is built when the first filter is read.
"""

import re

from nettop.query.compile import Filter, NameSets, compile_filter
from nettop.query.errors import FilterError

__all__ = ["Filter", "FilterError", "NameSets", "compile_filter", "narrowed"]


def narrowed(text: str | None, term: str) -> str:
    """A filter that a further condition narrows; one that it already has is not written again."""
    if not text or text == term:
        return term
    if text.endswith(f" and {term}") and not re.search(r"\bor\b|\|", text, re.IGNORECASE):
        return text
    return f"({text}) and {term}"
