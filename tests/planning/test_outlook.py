"""Before anybody is asked: how many answers to expect, and whether they will decide anything."""

from pathlib import Path

import pytest

from notifier.domain.scores import chance_of_verdict
from notifier.domain.spec import survey_from_spec
from notifier.planning.outlook import ASSUMED_PCT, SurveyOutlook, look_out
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.definitions import find_latest
from tests.builders import add_contact, campaign, define, drain, execute, launch_and_plan, set_now

ASK = campaign("ask", steps="ask: {survey: opinion, by: [email]}")


async def _look(database: Database, invitations: int, run_id: int = 0) -> SurveyOutlook:
    async with database.transaction() as tx:
        survey = survey_from_spec((await find_latest(tx, 1, "survey", "opinion")).spec)
        return await look_out(tx, 1, survey, invitations=invitations, run_id=run_id)


async def _asked(database: Database, settings: Settings, folder: Path, *, asked: int, answered: int) -> int:
    """A run whose first `answered` contacts answered, 9 of 10 of them satisfied."""
    await set_now(database)
    await define(database, folder, ASK)
    for number in range(asked):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database, "ask")
    await drain(settings, database)
    await execute(
        database,
        """
        WITH chosen AS (SELECT i.* FROM notifier.invitations i ORDER BY i.id LIMIT $1),
        said AS (UPDATE notifier.invitations i SET answered_at = notifier.now() FROM chosen WHERE i.id = chosen.id),
        came AS (INSERT INTO notifier.responses (team_id, survey_id, survey_key, invitation_id, run_id, contact_id, source,
            locale, simulated) SELECT 1, survey_id, survey_key, id, run_id, contact_id, 'web', '', false FROM chosen
            RETURNING id)
        INSERT INTO notifier.answers (response_id, question, number)
        SELECT id, 'rating', CASE WHEN row_number() OVER (ORDER BY id) % 10 = 0 THEN 1 ELSE 5 END FROM came
        """,
        answered,
    )
    return run.id


async def test_without_a_past_a_tenth_is_assumed_and_said_to_be(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, ASK)
    found = await _look(database, 3_000)
    assert (found.response_pct, found.is_assumed, found.expected) == (ASSUMED_PCT, True, 300)
    assert not found.is_last_score
    assert [one.share_pct for one in found.chances] == [88, 82]
    assert found.chances[0] == chance_of_verdict(300, 88, target_pct=85)


async def test_the_past_tells_the_rate_and_the_share(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _asked(database, settings, tmp_path, asked=80, answered=40)
    found = await _look(database, 600)
    assert (found.response_pct, found.is_assumed, found.asked_before, found.expected) == (50, False, 80, 300)
    (chance,) = found.chances
    assert chance.share_pct == pytest.approx(90)
    assert 0.8 < chance.clear < 0.9


async def test_a_few_answers_and_exercises_say_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await _asked(database, settings, tmp_path, asked=40, answered=20)
    found = await _look(database, 100)
    assert (found.is_assumed, found.is_last_score) == (False, False)
    await execute(database, "UPDATE notifier.runs SET drill = true WHERE id = $1", run)
    assert (await _look(database, 100)).is_assumed


async def test_a_run_does_not_foretell_itself(database: Database, settings: Settings, tmp_path: Path) -> None:
    run = await _asked(database, settings, tmp_path, asked=40, answered=40)
    assert (await _look(database, 100)).is_last_score
    assert not (await _look(database, 100, run)).is_last_score
