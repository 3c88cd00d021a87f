"""One mother of all workers."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.mother import Mother, open_mother


@pytest.fixture(scope="session")
async def only_mother() -> AsyncIterator[Mother]:
    """Imports once."""
    async with open_mother() as opened:
        yield opened


@pytest.fixture
async def mother(only_mother: Mother) -> AsyncIterator[Mother]:
    """Forks real workers, none of which outlives the test."""
    yield only_mother
    await only_mother.bury()
