"""The path plane here: where fentry is refused, off with the reason; elsewhere on and off again."""

from __future__ import annotations

import os

import pytest

from nettop.engine.handle import Engine
from nettop.engine.pathtick import path_tick
from nettop.sources.path import METHOD, OFF_REASON, ability, open_plane
from tests.integration.namespaces import needs_root


def test_it_is_off_unless_asked_for() -> None:
    plane, status = open_plane(False)
    assert plane is None
    assert (status.state, status.reason) == ("off", OFF_REASON)


@needs_root
def test_it_works_or_says_why_not() -> None:
    """What it measures is tested in guests, whose kernels take fentry."""
    plane, status = open_plane(True)
    able = ability()
    if plane is None:
        assert status.reason
        assert able == status
        return
    engine = Engine()
    plane.read(engine)
    assert set(path_tick(engine) or ()) == set(plane.hooks)
    assert status.method == able.method == METHOD
    plane.close()


def test_without_privilege_it_says_what_it_needs() -> None:
    if os.geteuid() == 0:
        pytest.skip("as root it may")
    _, status = open_plane(True)
    assert (status.state, status.reason) == ("off", "needs CAP_BPF and CAP_PERFMON")
