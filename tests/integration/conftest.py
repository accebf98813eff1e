"""Namespaces, feeds and connections that several tests use."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nettop.poller import LiveFeed
from nettop.sources import stages
from tests.integration.disturbance import Disturbance
from tests.integration.namespaces import namespace
from tests.integration.namespaces import pair as veth_pair
from tests.integration.sends import (
    connection,
    feed_of,
)

_HERE = Path(__file__).parent
# Files whose known answers are times.
_TIMED = {"test_stages.py", "test_stages_path.py", "test_wait.py", "test_split.py",
          "test_stamps.py", "test_closed.py", "test_cost.py"}  # fmt: skip
_disturbed = Disturbance()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == _HERE and item.path.name in _TIMED:
            item.add_marker(pytest.mark.flaky(reruns=3, condition=_disturbed))


def pytest_runtest_setup() -> None:
    _disturbed.begin()


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
