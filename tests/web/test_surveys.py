"""Survey results: the months and the answers behind them, on the page and over the API."""

from datetime import UTC, datetime

import httpx

from notifier.feedback.record_answers import Given, record_answers
from notifier.store.database import Database
from notifier.store.definitions import find_latest
from notifier.web.catalogue import Catalogue
from tests.web.rooms import key_headers

KEY = "monthly-satisfaction"


async def _answer(database: Database, *given: tuple[datetime, int, str]) -> None:
    async with database.transaction() as tx:
        survey_id = (await find_latest(tx, 1, "survey", KEY)).id
        _, survey = await Catalogue().survey(tx, 1, KEY)
    for number, (at, rating, comment) in enumerate(given):
        answers = Given(
            answers={"rating": rating, "comment": comment}, source="tool", external_key=str(number), received_at=at
        )
        await record_answers(database, survey=survey, survey_id=survey_id, invitation_id=None, month=3, given=answers)


JANUARY = datetime(2026, 1, 31, 15, 59, tzinfo=UTC)  # a minute before midnight in Shanghai
FEBRUARY = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)


async def test_a_month_lists_its_own_answers(visitor: httpx.AsyncClient, database: Database) -> None:
    await _answer(database, (JANUARY, 5, "in January"), (FEBRUARY, 2, "in February"))
    page = (await visitor.get(f"/surveys/{KEY}")).text
    assert ('href="?month=2026-01#answers"' in page, 'class="trend"' in page) == (True, True)
    page = (await visitor.get(f"/surveys/{KEY}", params={"month": "2026-02"})).text
    answers = page[page.index('id="answers"') :]
    assert ("in February" in answers, "in January" in answers, "Answers of February 2026" in answers) == (
        True,
        False,
        True,
    )


async def test_a_month_nobody_knows_is_refused_in_words(visitor: httpx.AsyncClient) -> None:
    for wrong in ("2026-13", "march", "2026-3"):
        assert (await visitor.get(f"/surveys/{KEY}", params={"month": wrong})).status_code == 422
    assert "No answers in this month." in (await visitor.get(f"/surveys/{KEY}", params={"month": "2026-03"})).text


async def test_answers_go_on_over_pages(visitor: httpx.AsyncClient, database: Database) -> None:
    await _answer(database, *[(FEBRUARY, 5, f"comment {number:02}.") for number in range(12)])
    page = (await visitor.get(f"/surveys/{KEY}", params={"month": "2026-02"})).text
    assert "month=2026-02&amp;before=" in page
    assert "comment 00." not in page[page.index('id="answers"') :]


async def test_the_api_tells_months_and_narrows_responses(visitor: httpx.AsyncClient, database: Database) -> None:
    await _answer(database, (JANUARY, 5, ""), (FEBRUARY, 2, ""))
    headers = await key_headers(database, "read")
    found = (await visitor.get(f"/api/v1/surveys/{KEY}/score/months", headers=headers)).json()["items"]
    assert [(one["month"], one["n"], one["value_pct"]) for one in found] == [
        ("2026-01-01", 1, 100.0),
        ("2026-02-01", 1, 0.0),
    ]
    only = {"received_from": FEBRUARY.isoformat()}
    listed = (await visitor.get(f"/api/v1/surveys/{KEY}/responses", params=only, headers=headers)).json()["items"]
    assert [one["answers"]["rating"] for one in listed] == [2]
    assert (await visitor.get(f"/api/v1/surveys/{KEY}/score/months?months=0", headers=headers)).status_code == 422
