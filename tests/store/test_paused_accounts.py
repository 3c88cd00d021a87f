"""Paused accounts: how often each is tried again."""

import pytest

from notifier.store.database import Database
from notifier.store.paused_accounts import list_pauses, pause_account, take_probe
from tests.builders import execute


@pytest.mark.parametrize(("cause", "waits_s"), [("provider", [15, 30, 60, 120, 240, 300]), ("sender", [300] * 4)])
async def test_what_is_out_of_order_is_tried_ever_later_and_what_is_not_accepted_every_five_minutes(
    database: Database, cause: str, waits_s: list[float]
) -> None:
    async with database.transaction() as tx:
        await pause_account(tx, 1, "email", cause=cause, reason="x", code="x")
    found = []
    for _ in waits_s:
        async with database.transaction() as tx:
            (pause,) = await list_pauses(tx, 1)
        found.append(pause.probe_in_s)
        await execute(database, "UPDATE notifier.paused_accounts SET probe_at = now()")
        async with database.transaction() as tx:
            assert await take_probe(tx, 1, "email")
            assert not await take_probe(tx, 1, "email")
    assert found == pytest.approx(waits_s, abs=5)
