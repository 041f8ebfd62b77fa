"""How often the tests kill what they test, and when: at moments that a printed seed decides."""

from __future__ import annotations

import os
import random

KILLS = int(os.environ.get("ARGOSY_TEST_KILLS", "1"))
"""Kills of each step; with 100 the deployment's seven steps take a quarter of an hour."""

# The workers of one session inherit it, so that they share it and the header tells it.
SEED = os.environ.setdefault("ARGOSY_TEST_SEED", str(random.SystemRandom().randrange(2**32)))


def moments(what: str) -> random.Random:
    """The moments at which `what` is killed: the same again with the same ARGOSY_TEST_SEED."""
    return random.Random(f"{SEED} {what}")
