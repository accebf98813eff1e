"""The live screens. Textual reads the environment once, as it is imported: it is set up here."""

import os

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
if "SSH_CONNECTION" in os.environ:
    os.environ.setdefault("TEXTUAL_FPS", "15")
# An empty NO_COLOR means nothing (no-color.org); a set one is honoured by our own styles.
NO_COLOR = bool(os.environ.pop("NO_COLOR", ""))
