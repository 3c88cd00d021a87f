"""An input that names a run names one of the own team."""

from pathlib import Path

import pytest

from notifier.domain.errors import InputError, NotFound
from notifier.planning.catalogue import find_campaign
from notifier.planning.draft import run_purpose
from notifier.store.database import Database
from tests.builders import campaign, define, execute, launch, set_now
from tests.planning.test_launch import FIX


async def test_the_run_of_another_team_cannot_be_named(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), FIX)
    theirs, ours = await launch(database), await launch(database, inputs={"word": "x"})
    await execute(database, "INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING")
    await execute(database, "UPDATE notifier.runs SET team_id = 2 WHERE id = $1", theirs.id)
    with pytest.raises(InputError, match=f"corrects: there is no run {theirs.id}"):
        await launch(database, "fix", inputs={"corrects": theirs.id})
    async with database.transaction() as tx:
        fix = (await find_campaign(tx, 1, "fix")).campaign
        with pytest.raises(NotFound, match="there is no run"):
            await run_purpose(tx, 1, fix, {"corrects": theirs.id})
        assert await run_purpose(tx, 1, fix, {"corrects": ours.id}) == ours.purpose


async def test_unreviewed_emergencies_are_found_by_an_index(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL enable_seqscan = off")
        plan = await tx.fetch(
            """
            EXPLAIN SELECT id FROM notifier.releases
            WHERE team_id = 1 AND break_glass <> '' AND reviewed_at IS NULL ORDER BY id
            """
        )
    assert any("releases_unreviewed" in row[0] for row in plan)
