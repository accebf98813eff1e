"""A short run of random keys and signals; a long one by hand: python -m tests.ending.storm."""

from __future__ import annotations

import random

from tests.ending import storm

ROUNDS, SECONDS = 20, 15


def test_random_keys_and_signals() -> None:
    seed = random.SystemRandom().randrange(10**6)
    assert storm.run(ROUNDS, seed, seconds=SECONDS) == []
