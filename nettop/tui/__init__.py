"""The live screens. Textual reads the environment once, as it is imported: it is set up here."""

import os
import sys

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
# How much is written, and when, is for the driver to say: Textual need not wait as well.
os.environ.setdefault("TEXTUAL_FPS", "250")
# So long a key waits at most for Python that another thread runs.
sys.setswitchinterval(0.001)
# An empty NO_COLOR means nothing (no-color.org); a set one is honoured by our own styles.
NO_COLOR = bool(os.environ.pop("NO_COLOR", ""))
