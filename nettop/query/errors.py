"""A mistake in a filter, with the column where it stands."""

from __future__ import annotations

from nettop.errors import UsageError


class FilterError(UsageError):
    """What is wrong at which column (0-based) of which filter."""

    def __init__(self, text: str, column: int, message: str, hint: str | None = None) -> None:
        self.text = text
        self.column = max(0, min(column, len(text)))
        self.message = message
        self.hint = hint
        super().__init__(f"filter, column {self.column + 1}: {self.sentence()}")

    def sentence(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def caret(self) -> str:
        """The mark for the line below the filter, with the message behind it."""
        return " " * self.column + f"^ column {self.column + 1}: {self.sentence()}"

    def with_caret(self) -> UsageError:
        """The same for a command line: the filter and the mark stand below it."""
        error = UsageError("broken filter")
        error.below = (f"  {self.text}", f"  {self.caret()}")
        return error
