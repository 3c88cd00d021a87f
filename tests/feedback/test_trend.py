"""The score over time."""

from dataclasses import replace
from datetime import UTC, date, datetime

from notifier.domain.scores import Verdict
from notifier.feedback.record_answers import Given, record_answers
from notifier.feedback.trend import MonthScore, next_month, score_months
from notifier.store.database import Database
from notifier.store.surveys import Window
from notifier.store.views.surveys import list_responses
from tests.builders import execute
from tests.feedback.rows import SURVEY, add_scene

ZONE = "Asia/Shanghai"


async def _answer(database: Database, *ratings: tuple[datetime, int]) -> None:
    scene = await add_scene(database)
    for number, (at, rating) in enumerate(ratings):
        given = Given(answers={"rating": rating}, source="tool", external_key=str(number), received_at=at)
        await record_answers(
            database, survey=SURVEY, survey_id=scene.survey_id, invitation_id=None, month=3, given=given
        )


async def _months(database: Database, **options: int) -> list[MonthScore]:
    async with database.transaction() as tx:
        return await score_months(tx, SURVEY, zone=ZONE, **options)


async def test_answers_belong_to_the_month_of_the_banks_calendar(database: Database) -> None:
    last_evening = datetime(2026, 1, 31, 16, 30, tzinfo=UTC)  # February in Shanghai
    await _answer(database, (datetime(2026, 1, 31, 15, 0, tzinfo=UTC), 5), (last_evening, 1))
    found = await _months(database)
    assert [(one.month, one.csat.n, one.csat.satisfied) for one in found] == [
        (date(2026, 1, 1), 1, 1),
        (date(2026, 2, 1), 1, 0),
    ]


async def test_a_month_without_answers_stands_in_its_place(database: Database) -> None:
    await _answer(database, (datetime(2025, 11, 5, tzinfo=UTC), 5), (datetime(2026, 2, 5, tzinfo=UTC), 4))
    found = await _months(database)
    assert [one.month.month for one in found] == [11, 12, 1, 2]
    assert [one.csat.value_pct for one in found] == [100, None, None, 100]
    assert found[1].csat.verdict is Verdict.TOO_CLOSE_TO_SAY


async def test_only_the_last_months_are_told(database: Database) -> None:
    await _answer(database, (datetime(2024, 1, 5, tzinfo=UTC), 5), (datetime(2026, 2, 5, tzinfo=UTC), 4))
    assert [one.month for one in await _months(database, months=2)] == [date(2026, 1, 1), date(2026, 2, 1)]


async def test_an_exercise_proves_nothing(database: Database) -> None:
    await _answer(database, (datetime(2026, 2, 5, tzinfo=UTC), 1))
    await execute(database, "UPDATE notifier.responses SET run_id = (SELECT max(id) FROM notifier.runs)")
    assert len(await _months(database)) == 1
    await execute(database, "UPDATE notifier.runs SET drill = true")
    assert await _months(database) == []


async def test_a_survey_without_a_score_has_no_months(database: Database) -> None:
    await _answer(database, (datetime(2026, 2, 5, tzinfo=UTC), 5))
    async with database.transaction() as tx:
        assert await score_months(tx, replace(SURVEY, score=None), zone=ZONE) == []


async def test_responses_are_listed_by_window(database: Database) -> None:
    january, february = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    await _answer(database, (january, 5), (february, 4))
    async with database.transaction() as tx:
        window = Window(received_from=january, received_until=february)
        found = await list_responses(tx, 1, SURVEY.key, window=window)
        assert [one.received_at for one in found] == [january]
        assert len(await list_responses(tx, 1, SURVEY.key)) == 2


def test_december_is_followed_by_the_next_year() -> None:
    assert next_month(date(2025, 12, 1)) == date(2026, 1, 1)
