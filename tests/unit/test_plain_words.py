"""Plain words of a filter: what each matches, and what is said of one that is nearly a field."""

from __future__ import annotations

import pytest

from nettop.query import FilterError, compile_filter
from nettop.query.plain import mistyped
from tests.feeding import FedEngine
from tests.unit import test_query as base
from tests.unit.test_query import ALL, Names, matching

engine, held = base.engine, base.held


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":443", {1, 2, 5}),
        ("443", {1, 2, 5}),
        ("8080", {6}),
        ("port 8080", {6}),
        ("port = 8080 or port = 22", {6, 7}),
        ("port != 443", ALL - {1, 2, 5}),
        ("port < 54", {4, 7, 20}),
        ("203.0.113.7", {1}),
        ("203.0.113.", {1}),
        ("10.1", {2}),
        ("10.1.2.3:443", set()),
        ("203.0.113.0/24", {1}),
        ("host 203.0.113.7", {1}),
        ("host != 203.0.113.7 estab", {2, 3, 6}),
        ("net 10/8 and not state established", {4, 5, 7, 20}),
        ("2001:db8::1", {3}),
        ("2001:db8:", {3}),
        ("[2001:db8::1]:5432", {3}),
        ("src host 2001:db8::1 and src port 5432", {3}),
        ("dst port 8080", {6}),
        ("listen", {4}),
        ("time-wait", {5}),
        ("TIME_WAIT", {5}),
        ("LSTN or CLSW", {4, 7}),
        ("udp", {20}),
        ("tcp", ALL - {20}),
        ("not udp", ALL - {20}),
        ("tcp port 443 and not time-wait", {1, 2}),
        ("nginx", {6}),
        ("NGINX.serv", {6}),
        ("ng*.service", {6}),
        ("nginx 8080", {6}),
        ("nginx 443", set()),
        ("nginx or 443 srtt > 50ms", {1, 6}),
        ("accept or time-wait", {4, 5}),
        ("unwell", {4, 7}),
        ("nobody-is-called-so", set()),
        ("'443'", set()),  # in quotes a part of a name
    ],
)
def test_meaning(engine: FedEngine, text: str, expected: set[int]) -> None:
    assert matching(engine, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PYTH", {1, 2}),
        ("python/13108", {2}),
        ("not python", {3, 4}),
        ("13108", {2}),
        ("kworker", {3}),
        ("worker*", set()),
        ("*worker*", {3}),
    ],
)
def test_a_part_of_a_program_s_name(held: FedEngine, text: str, expected: set[int]) -> None:
    assert matching(held, text) == expected


def test_a_word_that_is_nearly_a_field_is_said() -> None:
    compiled = compile_filter("srt nginx establised", Names())
    assert compiled is not None
    assert compiled.words == ("srt", "nginx", "establised")
    first, second = mistyped(compiled.words)
    assert "'srt'" in first
    assert "srtt" in first
    assert "established" in second
    assert compile_filter("443 10.0.0.1 udp").words == ()  # type: ignore[union-attr]


def test_words_name_states_only_where_they_are_some() -> None:
    for text, named in (("udp", True), ("listen", True), ("not udp", False), ("nginx", False)):
        compiled = compile_filter(text)
        assert compiled is not None
        assert (compiled.states is not None) is named, text


@pytest.mark.parametrize("word", ["/var/tmp/monday", "./monday", "../monday", "~/monday", "/"])
def test_a_path_is_no_word(word: str) -> None:
    """A file that was mistyped: that nothing matches it must not be said of its sockets."""
    with pytest.raises(FilterError, match="is a path, and no filter"):
        compile_filter(word)
    compile_filter(f"comm = {word}")
    compile_filter(f"'{word}'")
    compile_filter(f"cgroup = {word}")


@pytest.mark.parametrize(
    "word", ["10.0.0.1:-nan", "10.0.0.1:1.5", "10.0.0.1:70000", "[::1]:-5", "[::1]:nope"]
)
def test_an_address_with_what_is_no_port_is_no_name(word: str) -> None:
    """That it matches nothing would be taken for an answer."""
    with pytest.raises(FilterError, match=r"is (neither|not) a port"):
        compile_filter(word)
    compile_filter(f"'{word}'")


@pytest.mark.parametrize("word", ["10.0.0.1:", "[::1]:"])
def test_an_address_whose_port_is_still_to_come_is_that_address(word: str) -> None:
    assert compile_filter(word).ops == compile_filter(word[:-1]).ops  # type: ignore[union-attr]
