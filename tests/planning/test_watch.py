"""Watch: what stands still is found, put right where that is safe, and told once."""

from pathlib import Path

import pytest

from notifier.domain.message import RunId
from notifier.domain.person import Role
from notifier.planning.control import stop_run
from notifier.planning.watch import watch_for_troubles
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.troubles import Trouble, list_troubles
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    execute,
    fetch,
    launch_and_plan,
    person,
    set_now,
    states,
)

HOUR_OLD = "now() - interval '61 minutes'"


async def _scene(database: Database, settings: Settings, folder: Path) -> RunId:
    """One planned message, and an operator who can be reached."""
    await set_now(database)
    await define(database, folder, campaign())
    async with database.transaction() as tx:
        await person(tx, "op", Role.OPERATOR)
        await person(tx, "lin", Role.AUTHOR)
        await tx.execute("UPDATE notifier.users SET email = login || '@example.com'")
    await add_contact(database, settings, "c1")
    return (await launch_and_plan(database)).id


async def _troubles(database: Database) -> list[Trouble]:
    async with database.transaction() as tx:
        return await list_troubles(tx, 1)


async def _age_heads(database: Database) -> None:
    await watch_for_troubles(database)
    await execute(database, "UPDATE notifier.queue_heads SET since = now() - interval '20 minutes'")


async def test_a_message_on_the_wire_by_nobody_is_in_doubt_and_told_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await claim(database, run_id)
    assert await watch_for_troubles(database) == 0  # a worker holds it
    await execute(database, "DELETE FROM notifier.claims")
    assert await watch_for_troubles(database) == 1
    assert await watch_for_troubles(database) == 0
    assert await states(database) == [("c1", "uncertain", "its lease was lost")]
    assert [(one.kind, one.count) for one in await _troubles(database)] == [("unleased", 1)]
    assert await fetch(database, "SELECT address, kind FROM notifier.notes") == [("op@example.com", "alarm")]
    await execute(database, f"UPDATE notifier.troubles SET since = {HOUR_OLD}")
    await watch_for_troubles(database)
    assert await _troubles(database) == []
    await assert_tallies_agree(database)


async def test_a_due_message_that_nobody_claims_is_a_trouble_until_somebody_does(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await watch_for_troubles(database)
    assert await _troubles(database) == []
    await _age_heads(database)
    assert await watch_for_troubles(database) == 1
    assert [(one.kind, one.run_id) for one in await _troubles(database)] == [("waiting", run_id)]
    await claim(database, run_id)
    assert await watch_for_troubles(database) == 0
    assert await _troubles(database) == []


async def test_a_long_queue_that_moves_is_none(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await add_contact(database, settings, "c2")
    await execute(
        database,
        """
        INSERT INTO notifier.messages (run_id, recipient_id, contact_id, due_at, expires_at, team_id, lane, step, channel, state)
        SELECT run_id, recipient_id, contact_id, due_at + interval '1 s', expires_at, team_id, lane, step, 'sms', state
        FROM notifier.messages
        """,
    )
    await execute(database, "UPDATE notifier.clock SET shift = shift + interval '1 minute'")
    await _age_heads(database)
    await claim(database, run_id, limit=1)
    assert await watch_for_troubles(database) == 0
    assert await _troubles(database) == []


async def test_what_a_person_stopped_does_not_stand_still(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await _age_heads(database)
    async with database.transaction() as tx:
        await stop_run(tx, run_id, "lin")
    assert await watch_for_troubles(database) == 0


@pytest.mark.parametrize("kind", ["callbacks", "lease"])
async def test_what_waits_or_is_held_for_too_long_is_told(
    database: Database, settings: Settings, tmp_path: Path, kind: str
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    if kind == "lease":
        await claim(database, run_id)
        await execute(database, f"UPDATE notifier.claims SET taken_at = {HOUR_OLD}")
    else:
        await execute(
            database,
            f"""
            INSERT INTO notifier.callbacks (dedupe_key, provider, account, url, content_type, body, try_at)
            VALUES ('x', 'sandbox', 'email', '', '', '', {HOUR_OLD})
            """,
        )
    assert await watch_for_troubles(database) == 1
    assert [one.kind for one in await _troubles(database)] == [kind]
    await execute(database, "DELETE FROM notifier.callbacks")
    await execute(database, "UPDATE notifier.claims SET taken_at = now()")
    await watch_for_troubles(database)
    assert await _troubles(database) == []
