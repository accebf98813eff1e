"""The live screens. Textual reads the environment once, as it is imported: it is set up here."""

import os
import sys
from collections.abc import Mapping

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
# How much is written, and when, is for the driver to say: Textual need not wait as well.
os.environ.setdefault("TEXTUAL_FPS", "250")
# So long a key waits at most for Python that another thread runs.
sys.setswitchinterval(0.001)


def without_colors(environ: Mapping[str, str]) -> bool:
    """Whether terminfo says that the terminal has none (vt220, xterm-mono). Where it does not know
    the terminal that has them."""
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown") or environ.get("COLORTERM"):
        return False
    try:
        import curses
    except ImportError:
        return False
    try:
        curses.setupterm(term, 1)  # the first one of a process is the one that counts
    except curses.error:
        return False
    return curses.tigetnum("colors") < 1


# An empty NO_COLOR means nothing (no-color.org); a set one is honoured by our own styles.
NO_COLOR = bool(os.environ.pop("NO_COLOR", "")) or without_colors(os.environ)
