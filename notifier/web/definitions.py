"""The stored definitions the public doors need, as domain objects."""

from functools import lru_cache

import orjson

from notifier.domain.spec import BANK_KEY, bank_from_spec, survey_from_spec
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.store import definitions as store
from notifier.store.database import Tx

TEAM = 1


async def get_survey(tx: Tx, survey_id: int) -> Survey:
    """This version of a survey; `NotFound`."""
    definition = await store.get_definition(tx, survey_id)
    return _survey(definition.id, orjson.dumps(definition.spec))


async def find_survey(tx: Tx, key: str) -> tuple[int, Survey]:
    """The newest version of a survey and its id; `NotFound`."""
    definition = await store.find_latest(tx, TEAM, "survey", key)
    return definition.id, _survey(definition.id, orjson.dumps(definition.spec))


async def find_bank(tx: Tx) -> Bank:
    """The bank as it is now; `NotFound` before the first definitions are applied."""
    definition = await store.find_latest(tx, TEAM, "bank", BANK_KEY)
    return _bank(definition.id, orjson.dumps(definition.spec))


@lru_cache(maxsize=64)
def _survey(survey_id: int, spec: bytes) -> Survey:
    del survey_id
    return survey_from_spec(orjson.loads(spec))


@lru_cache(maxsize=4)
def _bank(bank_id: int, spec: bytes) -> Bank:
    del bank_id
    return bank_from_spec(orjson.loads(spec))
