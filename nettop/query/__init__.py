"""The filter language: text → tree → program, and completions for the filter line.

Importing this costs little: the parser is built when the first filter is read.
"""

from nettop.query.compile import Filter, NameSets, compile_filter
from nettop.query.errors import FilterError

__all__ = ["Filter", "FilterError", "NameSets", "compile_filter"]
