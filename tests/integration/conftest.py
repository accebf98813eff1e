"""Namespaces, feeds and connections that several tests use."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from nettop.planes import stages
from nettop.poller import LiveFeed
from tests.integration.namespaces import namespace
from tests.integration.namespaces import pair as veth_pair
from tests.integration.sends import (
    connection,
    feed_of,
)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Selections are put in force by the next tick; their pacing has a test of its own."""
    monkeypatch.setattr(stages, "SETTLE_S", 0.0)
    monkeypatch.setattr(stages, "WALK_EVERY_S", 0.0)


@pytest.fixture(scope="module")
def space() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture(scope="module")
def veth() -> Iterator[tuple[str, str]]:
    with veth_pair() as both:
        yield both


@pytest.fixture
def feed(space: str) -> Iterator[LiveFeed]:
    with feed_of(space) as made:
        yield made


@pytest.fixture
def ends(space: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = connection(space, space)
    with sender, receiver:
        yield sender, receiver


@pytest.fixture
def apart(veth: tuple[str, str]) -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = connection(*veth, "10.9.0.2")
    with sender, receiver:
        yield sender, receiver
