"""Options in the spelling of ss: recognised, and answered with nettop's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from nettop.errors import UsageError
from nettop.export.formats import SUFFIXES

# Single letters that ss takes. Those that mean the same here are in _SAME.
_SS_LETTERS = frozenset("hVnraloemipTstdwxSMuEZzN460bBfKHOADFQ")
_SAME = "46tula"
_KEPT = f"{_SAME}H"
_DIFFERENT = {
    "w": "raw sockets", "x": "Unix sockets", "0": "packet sockets", "S": "SCTP", "d": "DCCP",
    "f": "other families",
}  # fmt: skip
_SHOWN_ANYWAY = {
    "n": "addresses are always numeric",
    "p": "programs are always shown",
    "i": "TCP_INFO is always read: --json has all of it",
    "m": "memory is in --json",
    "e": "inode, cookie and cgroup are columns and in --json",
    "o": "the timer is in --json",
}
_LONG = {
    "--numeric": "addresses are always numeric: leave it out",
    "--resolve": "addresses are always numeric, nothing is looked up: leave it out",
    "--processes": "programs are always shown: leave it out",
    "--info": "TCP_INFO is always read: leave it out",
    "--memory": "memory is in --json: leave it out",
    "--extended": "inode, cookie and cgroup are columns and in --json: leave it out",
    "--options": "the timer is in --json: leave it out",
    "--listening": "write -l or --listen",
    "--ipv4": "write -4",
    "--ipv6": "write -6",
    "--net": "write -N or --netns",
    "--oneline": "every socket takes one line: leave it out",
    "--summary": "totals are in the first line of --once",
    "--kill": "nettop closes no sockets",
    "--events": "nettop has no such mode",
    "--mptcp": "write the filter: proto = mptcp",
}  # fmt: skip


def take_ss_arguments(
    words: Sequence[str], takes_value: Collection[str], flags: Collection[str]
) -> list[str]:
    """The words with clusters of ss as nettop has them: -tinp as -t.

    Left out is what is shown anyway, and only beside a letter that chooses sockets; the rest of
    what only ss understands is refused.

    Args:
        words: the arguments.
        takes_value: options of nettop with a value, as -d and --delay.
        flags: options of nettop without.

    Raises:
        UsageError: naming nettop's spelling.
    """
    skip = False
    out = []
    for at, word in enumerate(words):
        out.append(word)
        if skip:
            skip = False
            continue
        following = words[at + 1] if at + 1 < len(words) else None
        if word in takes_value:
            skip = following is not None and (following == "-" or not following.startswith("-"))
            continue
        if word in flags:
            continue
        if word.startswith("--"):
            name = word.split("=")[0]
            if name in _LONG and name not in takes_value:
                raise UsageError(f"{name} is an option of ss: {_LONG[name]}")
            continue
        if len(word) < 2 or not word.startswith("-"):
            continue
        if _is_ss(word[1:], following, takes_value, flags):
            same = "".join(c for c in word[1:] if c in _KEPT)
            if not set(same) & set(_SAME) or not set(word[1:]) <= {*_KEPT, *_SHOWN_ANYWAY}:
                raise UsageError(_answer(words, at))
            out[-1] = f"-{same}"
            continue
        skip = f"-{word[-1]}" in takes_value and _all_flags(word[1:-1], flags)
    return out


def _all_flags(letters: str, flags: Collection[str]) -> bool:
    return all(f"-{c}" in flags for c in letters)


def _is_ss(
    letters: str, following: str | None, takes_value: Collection[str], flags: Collection[str]
) -> bool:
    if not set(letters) <= _SS_LETTERS or _all_flags(letters, flags):
        return False
    at = next(i for i, c in enumerate(letters) if f"-{c}" not in flags)
    letter, rest = letters[at], letters[at + 1 :]
    if f"-{letter}" not in takes_value:
        return True
    value = rest or following
    return value is None or not _fits(letter, value)


def _fits(letter: str, value: str) -> bool:
    """Whether nettop's option of that letter takes the value."""
    if letter in "np":
        return re.fullmatch(r"[0-9,]+", value) is not None
    if letter == "d":
        return re.fullmatch(r"[0-9.]+", value) is not None
    if letter == "s":
        from nettop.text.fields import lookup

        name = value.split(":")[0]
        return name in ("unwell", "help") or lookup(name) is not None
    if letter == "o":
        return Path(value).suffix.lower() in SUFFIXES
    return letter == "N" and not value.startswith("-")


def _answer(words: Sequence[str], at: int) -> str:
    letters = words[at][1:]
    wrong = [text for letter, text in _DIFFERENT.items() if letter in letters]
    if "K" in letters:
        return f"{words[at]} is ss: nettop closes no sockets"
    if "M" in letters:
        return f"{words[at]} is ss: {_LONG['--mptcp']}"
    if "E" in letters:
        return f"{words[at]} is ss: {_LONG['--events']}"
    if wrong:
        return f"{words[at]} is ss: nettop shows TCP and UDP, no {' or '.join(wrong)}"
    same = "".join(c for c in letters if c in _KEPT)
    spelling = ["nettop", *words[:at], *([f"-{same}"] if same else []), *words[at + 1 :]]
    notes = [text for letter, text in _SHOWN_ANYWAY.items() if letter in letters]
    note = f" ({'; '.join(notes[:2])})" if notes else ""
    return f"{words[at]} is ss; write: {shlex.join(spelling)}{note}"
