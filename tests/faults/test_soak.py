"""A short soak: the long one is `make soak`."""

import os

from tests.faults.soak import soak


async def test_a_short_soak_under_random_faults_is_clean() -> None:
    done = await soak(minutes=float(os.environ.get("FAULTS_SOAK_MINUTES", "0.4")), seed=7, workers=2)
    assert sum(done.faults.values()) >= 3
    assert done.found["taken"] > done.singles > 0
