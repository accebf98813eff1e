"""Text from outside, made safe for a terminal: names of processes, files, users and namespaces."""

from __future__ import annotations

import re

# What a terminal shows as it is; the common case is left alone without a look at each character.
_PLAIN = re.compile(r"[ -~]*", re.ASCII)
_REPLACEMENT = "?"


def clean(text: bytes | str) -> str:
    """Printable text of the same length in characters.

    Control characters (so escape sequences lose their ESC), separators, private and unassigned
    characters, and the invisible format characters that turn or hide text (such as U+202E)
    become `?`; bytes that are no UTF-8 become U+FFFD.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if _PLAIN.fullmatch(text):
        return text
    return "".join(c if c.isprintable() else _lone(c) for c in text)


def _lone(char: str) -> str:
    # A lone surrogate is a byte that os.fsdecode could not read.
    return "\ufffd" if "\ud800" <= char <= "\udfff" else _REPLACEMENT
