"""Doubts as rows: what a dead worker held is counted, claimed alone, and set aside after the third time."""

from pathlib import Path

from notifier.domain.message import RunId
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.claim import Batch, begin_suspect, claim_suspect, list_lane_runs
from notifier.store.messages.doubts import sweep_dead_claims
from notifier.store.views.doubts import list_set_aside
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    execute,
    fetch,
    launch_and_plan,
    set_now,
    states,
)

ASIDE = "set aside: three workers died holding it"


async def _scene(database: Database, settings: Settings, folder: Path, count: int = 3) -> RunId:
    await set_now(database)
    await define(database, folder, campaign())
    for number in range(count):
        await add_contact(database, settings, f"c{number}")
    return (await launch_and_plan(database)).id


async def _die(database: Database) -> None:
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    async with database.transaction() as tx:
        await sweep_dead_claims(tx)


async def _suspect(database: Database, run_id: RunId, *, begins: bool = False) -> Batch:
    async with database.transaction() as tx:
        batch = await claim_suspect(tx, run_id, 3, worker="test", zone="Asia/Shanghai", override_opt_out=False)
    if begins:
        async with database.transaction() as tx:
            assert await begin_suspect(tx, batch.claim_id)
    return batch


async def _requeue(database: Database) -> None:
    """As its purpose does after a while."""
    await execute(
        database, "UPDATE notifier.messages SET state = 'queued', address_key = NULL WHERE state = 'uncertain'"
    )
    await execute(
        database,
        """
        INSERT INTO notifier.tallies (run_id, step, channel, state, delta)
        SELECT t.run_id, t.step, t.channel, w.state, w.sign * sum(t.delta) FROM notifier.tallies t
        CROSS JOIN (VALUES ('uncertain', -1), ('queued', 1)) AS w (state, sign)
        WHERE t.state = 'uncertain' GROUP BY 1, 2, 3, 4, w.sign
        """,
    )


async def _crashes(database: Database) -> list[tuple[str, int]]:
    rows = await fetch(
        database,
        """
        SELECT c.external_id, m.crashes FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        ORDER BY c.external_id COLLATE "C"
        """,
    )
    return [(name, count) for name, count in rows]


async def test_a_dead_lease_counts_one_crash_for_each_message_of_its_batch(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await claim(database, run_id, limit=2)
    await _die(database)
    assert await _crashes(database) == [("c0", 1), ("c1", 1), ("c2", 0)]
    assert [state for _, state, _ in await states(database)] == ["uncertain", "uncertain", "queued"]


async def test_what_is_set_aside_after_it_may_have_left_is_told_as_a_doubt(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path, 1)
    await claim(database, run_id)
    await execute(database, "UPDATE notifier.messages SET crashes = 2")
    await _die(database)
    assert await states(database) == [("c0", "failed", ASIDE)]
    assert set(await fetch(database, "SELECT kind FROM notifier.events")) == {("failed",), ("uncertain",)}
    async with database.transaction() as tx:
        (line,) = await list_set_aside(tx, 1)
    assert line.in_doubt == 1


async def test_suspects_are_claimed_alone_and_ordinary_batches_pass_them_over(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path)
    await claim(database, run_id, limit=2)
    await _die(database)
    await _requeue(database)
    async with database.transaction() as tx:
        assert [run.has_suspects for run in await list_lane_runs(tx, 3)] == [True]
    assert len((await claim(database, run_id)).messages) == 1
    assert [len((await _suspect(database, run_id)).messages) for _ in range(3)] == [1, 1, 0]
    async with database.transaction() as tx:
        assert await list_lane_runs(tx, 3) == []


async def test_a_suspect_that_ends_its_worker_before_it_left_is_in_no_doubt(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path, 1)
    await claim(database, run_id)
    await _die(database)
    await _requeue(database)
    await _suspect(database, run_id)
    await _die(database)
    assert await states(database) == [("c0", "queued", "")]
    await _suspect(database, run_id, begins=True)
    await _die(database)
    assert await states(database) == [("c0", "failed", ASIDE)]
    assert await _crashes(database) == [("c0", 3)]
    await assert_tallies_agree(database)


async def test_a_suspect_whose_lease_was_lost_does_not_leave(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id = await _scene(database, settings, tmp_path, 1)
    await claim(database, run_id)
    await _die(database)
    await _requeue(database)
    batch = await _suspect(database, run_id)
    await _die(database)
    async with database.transaction() as tx:
        assert not await begin_suspect(tx, batch.claim_id)
