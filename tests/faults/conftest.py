"""One mother of all workers."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.mother import Mother, open_mother


@pytest.fixture(scope="session")
async def mother() -> AsyncIterator[Mother]:
    """Forks real workers; imports once."""
    async with open_mother() as opened:
        yield opened
