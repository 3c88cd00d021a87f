"""One response per invitation, and per source and key."""

import asyncio

import pytest

from notifier.domain.errors import InputError, NotFound
from notifier.feedback.record_answers import AlreadyAnswered, Closed, Given, Outcome, Recorded, record_answers
from notifier.store.database import Database
from tests.feedback.rows import SURVEY, Scene, Sent, add_message, add_scene, fetch


async def _record(database: Database, scene: Scene, sent: Sent | None, given: Given, month: int = 1) -> Outcome:
    return await record_answers(
        database,
        survey=SURVEY,
        survey_id=scene.survey_id,
        invitation_id=sent.invitation_id if sent else None,
        month=month,
        given=given,
    )


async def _answers(database: Database) -> list[tuple[object, ...]]:
    return await fetch(
        database, "SELECT response_id, question, number, text FROM notifier.answers ORDER BY response_id, question"
    )


async def test_answers_are_kept_with_invitation_run_and_contact(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    outcome = await _record(database, scene, sent, Given(answers={"rating": "4", "comment": " 很好 "}, locale="zh-CN"))
    assert isinstance(outcome, Recorded)
    assert outcome.is_new
    assert await _answers(database) == [(1, "comment", None, "很好"), (1, "rating", 4, None)]
    rows = await fetch(database, "SELECT invitation_id, run_id, contact_id, source, locale FROM notifier.responses")
    assert rows == [(sent.invitation_id, scene.run_id, sent.contact_id, "page", "zh-CN")]
    assert await fetch(database, "SELECT event_key FROM notifier.events") == [("answered",)]
    assert await fetch(database, "SELECT answered_at IS NOT NULL FROM notifier.invitations") == [(True,)]


async def test_the_first_of_two_answers_to_an_invitation_stands(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    await _record(database, scene, sent, Given(answers={"rating": 5}))
    assert await _record(database, scene, sent, Given(answers={"rating": 1})) == AlreadyAnswered()
    assert await _answers(database) == [(1, "rating", 5, None)]


async def test_of_answers_at_the_same_moment_one_is_kept(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    outcomes = await asyncio.gather(
        *(_record(database, scene, sent, Given(answers={"rating": n})) for n in (1, 2, 3, 4))
    )
    assert sum(isinstance(outcome, Recorded) for outcome in outcomes) == 1
    assert len(await _answers(database)) == 1


async def test_of_a_source_key_told_twice_at_once_one_response_is_kept(database: Database) -> None:
    scene = await add_scene(database)
    given = Given(answers={"rating": 4}, source="tool", external_key="r1")
    await asyncio.gather(*(_record(database, scene, None, given) for _ in range(4)))
    assert await _answers(database) == [(1, "rating", 4, None)]


async def test_a_closed_invitation_takes_no_answer(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene, closes="-1 second")
    assert await _record(database, scene, sent, Given(answers={"rating": 5})) == Closed()
    assert await _answers(database) == []


async def test_closing_follows_business_time(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene, closes="14 days")
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.clock SET shift = '15 days'")
    assert await _record(database, scene, sent, Given(answers={"rating": 5})) == Closed()


async def test_a_comment_after_the_score_joins_the_response(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    first = await _record(database, scene, sent, Given(answers={"rating": 4}, source="tool", external_key="r1"))
    later = Given(answers={"comment": "slow"}, source="tool", external_key="r1")
    second = await _record(database, scene, sent, later)
    assert second == Recorded(response_id=1, is_new=False)
    assert isinstance(first, Recorded)
    assert await _answers(database) == [(1, "comment", None, "slow"), (1, "rating", 4, None)]


async def test_a_tool_cannot_answer_what_the_page_has_answered(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    await _record(database, scene, sent, Given(answers={"rating": 4}))
    again = Given(answers={"rating": 1}, source="tool", external_key="r1")
    assert await _record(database, scene, sent, again) == AlreadyAnswered()


async def test_a_wrong_answer_leaves_nothing_behind(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    with pytest.raises(InputError, match="rating"):
        await _record(database, scene, sent, Given(answers={"rating": 9}))
    assert await fetch(database, "SELECT count(*) FROM notifier.responses") == [(0,)]
    assert await fetch(database, "SELECT answered_at FROM notifier.invitations") == [(None,)]


async def test_the_month_decides_what_was_asked(database: Database) -> None:
    scene = await add_scene(database)
    march = await add_message(database, scene, month=3)
    await _record(database, scene, march, Given(answers={"rating": 4, "trust": 5}), month=1)
    assert (1, "trust", 5, None) in await _answers(database)
    with pytest.raises(InputError, match="trust"):
        await _record(database, scene, None, Given(answers={"rating": 4, "trust": 5}), month=1)


async def test_an_invitation_to_another_survey_is_unknown(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene, survey_key="lecture-feedback")
    with pytest.raises(NotFound):
        await _record(database, scene, sent, Given(answers={"rating": 4}))


async def test_a_tool_may_name_the_contact(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    rows = await fetch(database, "SELECT external_id FROM notifier.contacts")
    given = Given(answers={"rating": 4}, source="tool", external_key="r1", contact=str(rows[0][0]))
    await _record(database, scene, None, given)
    assert await fetch(database, "SELECT contact_id FROM notifier.responses") == [(sent.contact_id,)]
    unknown = Given(answers={"rating": 4}, source="tool", external_key="r2", contact="nobody")
    with pytest.raises(InputError, match="contact"):
        await _record(database, scene, None, unknown)
