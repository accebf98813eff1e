"""Keys that are given other actions, and what is said of those that have none."""

from __future__ import annotations

import pytest

from nettop.errors import UsageError
from nettop.text.keys import HABITS, KEYS, Keymap, key_name, no_key, written


@pytest.mark.parametrize(
    ("text", "name"),
    [("x", "x"), ("X", "X"), ("?", "question_mark"), ("%", "%"), ("F9", "f9"), ("^S", "ctrl+s"),
     ("ctrl+s", "ctrl+s"), ("C-s", "ctrl+s"), ("Space", "space"), ("BackTab", "shift+tab"),
     ("PgDn", "pagedown"), ("C", "C")],
)  # fmt: skip
def test_keys_as_people_write_them(text: str, name: str) -> None:
    assert key_name(text) == name


@pytest.mark.parametrize("text", ["", "F25", "F0", "meta+x", "^1", "xy", "\x1b", "ctrl+"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no key"):
        key_name(text)


def test_a_key_takes_another_action_and_loses_its_own() -> None:
    keys = Keymap({"F9": "pause", "e": "sort", "?": "none", "%": "quit"})
    assert keys.action_of("f9", None) == "pause"
    assert keys.action_of("e", "e") == "sort"
    assert keys.action_of("question_mark", "?") is None
    assert keys.action_of("percent_sign", "%") == "quit"
    assert keys.action_of("q", "q") == "quit"
    shown = {key.action: key.shown for key in keys.keys}
    assert shown["export"] == ""
    assert shown["sort"] == "e s F6"
    assert shown["help"] == "h F1"
    assert shown["quit"] == "% q ^C F10"


def test_what_is_not_changed_reads_as_before() -> None:
    assert Keymap().keys == KEYS
    changed = Keymap({"F9": "pause"}).keys
    assert [k for k in changed if k.action != "pause"] == [k for k in KEYS if k.action != "pause"]


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match="key F9: no action 'puase': perhaps pause"):
        Keymap({"F9": "puase"})
    with pytest.raises(UsageError, match=r"\^C: it always quits"):
        Keymap({"^c": "none"})


def test_every_key_is_written_as_the_help_has_it() -> None:
    for key in KEYS:
        if key.action not in ("first", "page_down", "page_up", "last"):
            assert key.shown == " ".join(map(written, key.names)), key


def test_a_key_without_meaning_is_answered_with_where_to_look() -> None:
    assert no_key("f12", None) == "no key F12: ? lists all"
    assert no_key("M", "M") == "no key M: s sorts; ? lists all"
    assert no_key("ctrl+y", "\x19") == "no key ^Y: ? lists all"
    keys = Keymap()
    free = [k for k in HABITS if keys.action_of(k, k if len(k) == 1 else None) is None]
    assert free == list(HABITS), "none of them has a meaning"
