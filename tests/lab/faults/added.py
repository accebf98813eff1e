"""The scenarios of the project itself."""

from __future__ import annotations

from tests.lab.faults import added_healthy, added_here, added_netem, added_own, added_there
from tests.lab.faults.registry import SCENARIOS
from tests.lab.faults.truth import Scenario

MODULES = (added_here, added_own, added_there, added_healthy, added_netem)


def scenarios() -> dict[str, Scenario]:
    return SCENARIOS
