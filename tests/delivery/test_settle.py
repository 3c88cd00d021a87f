"""Settle: where nobody knows, a person decides, once, and it is written who did."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from notifier.delivery.settle import NOT_SENT, mark_not_sent, mark_sent
from notifier.domain.errors import Conflict, NotFound
from notifier.domain.message import MessageId, RunId, State
from notifier.settings import Settings
from notifier.store.database import Database, Tx
from notifier.store.messages.record import Receipt, record_receipts
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    fetch,
    launch_and_plan,
    set_now,
    states,
)

Mark = Callable[[Tx, int, int, str], Awaitable[None]]


async def _in_doubt(database: Database, settings: Settings, folder: Path) -> tuple[RunId, MessageId]:
    await set_now(database)
    await define(database, folder, campaign(purpose="transactional"))
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id, 2)
    receipt = Receipt(id=batch.messages[0].id, state=State.UNCERTAIN, reason="lost")
    async with database.transaction() as tx:
        await record_receipts(tx, run.id, batch.claim_id, [receipt])
    return run.id, receipt.id


@pytest.mark.parametrize(
    ("mark", "state", "reason"), [(mark_sent, "accepted", ""), (mark_not_sent, "failed", NOT_SENT)]
)
async def test_a_person_decides_a_doubt_once(
    database: Database, settings: Settings, tmp_path: Path, mark: Mark, state: str, reason: str
) -> None:
    run_id, message_id = await _in_doubt(database, settings, tmp_path)
    async with database.transaction() as tx:
        await mark(tx, run_id, message_id, "wang")
    assert await states(database) == [("c1", state, reason)]
    assert await fetch(database, "SELECT kind, reason, source FROM notifier.events WHERE source <> ''") == [
        (state, reason, "person")
    ]
    assert await fetch(database, "SELECT actor, act, subject FROM notifier.audit WHERE act LIKE 'message.%'") == [
        ("wang", f"message.decided_{state}", f"message:{run_id}/{message_id}")
    ]
    assert await fetch(database, "SELECT accepted_at IS NOT NULL FROM notifier.messages") == [(state == "accepted",)]
    with pytest.raises(Conflict, match="nothing to decide"):
        async with database.transaction() as tx:
            await mark_not_sent(tx, run_id, message_id, "wang")
    await assert_tallies_agree(database)


async def test_only_what_is_there_can_be_decided(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id, message_id = await _in_doubt(database, settings, tmp_path)
    with pytest.raises(NotFound):
        async with database.transaction() as tx:
            await mark_sent(tx, run_id, message_id + 1, "wang")
