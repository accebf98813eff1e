"""Plain words: texts, messages, docstrings and comments say things in the field's terms."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What must not stand in a text, as git grep's extended regular expression, and what does.
DIALECT = {
    r"\b(tell|tells|telling|told|untold)\b": "report, show, know, distinguish, convert",
    r"\bof late\b": "recently; of min_rtt: windowed",
    r"\bthe way (there|back)\b": "one way, the request, the answer, the network",
    r"\bheritage\b": "inherited",
    r"\bin vain\b": "without a result",
    r"\b(its|their) (like|kin)\b": "similar ones",
    r"\b(mend|mends|mended)\b": "fix, repair, restore",
    r"\b(nobody|somebody|anybody)\b": "no process, another program, the kernel does not",
    r"\bas far as .{0,20}\bgo\b": "within",
    r"\b(alien|ripe|mute)\b": "set by others, convertible, does not report",
    r"\bhas not got\b": "lacks",
    r"\bhears? of\b": "receives, sees",
}

# Where such a word is right, or is a name that files and programs rely on.
ALLOWED = {
    "cannot tell": "a verdict of nettop diff, and of nettop.diff/1",
    "events_untold": "a key of nettop.snapshot/1",
    "untold_object": "writes that key",
    "errno_told": "a member of the record of a control message",
    "told_seq": "a member of the probe's message",
    "told_snd_ns": "a member of the probe's message",
}
SEARCHED = ("README.md", "native", "nettop", "tests/README.md", "tests/cli/golden")


def matches(pattern: str) -> list[str]:
    """path:line:text of every line that has it."""
    done = subprocess.run(
        ["git", "grep", "-nIE", "-i", "--untracked", pattern, "--", *SEARCHED],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def without_allowed(line: str) -> str:
    for name in ALLOWED:
        line = line.replace(name, "")
    return line


@pytest.mark.skipif(
    not shutil.which("git") or not (ROOT / ".git").exists(), reason="needs git and its tree"
)
@pytest.mark.parametrize("pattern", DIALECT)
def test_texts_use_the_plain_word(pattern: str) -> None:
    wrong = [
        line[:160]
        for line in matches(pattern)
        if re.search(pattern, without_allowed(line), re.IGNORECASE)
    ]
    assert wrong == [], f"write: {DIALECT[pattern]}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs git's tree")
@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_there(name: str) -> None:
    done = subprocess.run(
        ["git", "grep", "-qF", name, "--", "README.md", "native", "nettop"], cwd=ROOT, check=False
    )
    assert done.returncode == 0, "an exception that nothing needs"


def test_a_word_of_the_list_is_found() -> None:
    line = "nettop/x.py:1:# what the kernel told"
    pattern = next(iter(DIALECT))
    assert re.search(pattern, without_allowed(line))
    assert not re.search(pattern, without_allowed("nettop/x.py:1: head['events_untold']"))
