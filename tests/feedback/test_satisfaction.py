"""The result of a survey: score, ranking, comments, response rate."""

import pytest

from notifier.domain.scores import Verdict
from notifier.feedback.record_answers import Given, record_answers
from notifier.feedback.satisfaction import Satisfaction, satisfaction
from notifier.store.database import Database
from notifier.store.surveys import Window
from tests.feedback.rows import SURVEY, Scene, add_messages, add_scene


async def _answer(database: Database, scene: Scene, invitation_id: int | None, **answers: object) -> None:
    simulated = bool(answers.pop("simulated", False))
    key = None if invitation_id else str(answers)
    given = Given(answers=answers, source="page" if invitation_id else "tool", external_key=key, simulated=simulated)
    await record_answers(
        database, survey=SURVEY, survey_id=scene.survey_id, invitation_id=invitation_id, month=3, given=given
    )


async def _result(database: Database, window: Window = Window()) -> Satisfaction:
    async with database.transaction() as tx:
        return await satisfaction(tx, SURVEY, window=window)


async def test_score_ranking_comments_and_rate_of_a_run(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_messages(database, scene, ["delivered"] * 4 + ["bounced"], month=3)
    await _answer(database, scene, sent[0].invitation_id, rating=5, improve="branch", comment="good", trust=4)
    await _answer(database, scene, sent[1].invitation_id, rating=4, improve="branch")
    await _answer(database, scene, sent[2].invitation_id, rating=2, improve="app", comment="slow")
    found = await _result(database)
    assert found.csat is not None
    assert (found.csat.counts, found.csat.n, found.csat.satisfied) == ((0, 1, 0, 1, 1), 3, 2)
    assert found.csat.verdict is Verdict.TOO_CLOSE_TO_SAY
    assert [(one.choice, one.count) for one in found.rankings[0].counts] == [("branch", 2), ("app", 1), ("web", 0)]
    assert {(one.text, one.rating) for one in found.comments} == {("good", 5), ("slow", 2)}
    assert found.ratings["trust"].counts == (0, 0, 0, 1, 0)
    counts = found.invitations
    assert (counts.invited, counts.delivered, counts.opened, counts.answered) == (5, 4, 3, 3)
    assert found.response_rate_pct == pytest.approx(75)
    assert not found.is_simulated


async def test_nothing_asked_is_no_score(database: Database) -> None:
    await add_scene(database)
    found = await _result(database)
    assert found.csat is not None
    assert (found.csat.n, found.csat.value_pct, found.response_rate_pct) == (0, None, None)


async def test_one_simulated_response_marks_the_result(database: Database) -> None:
    scene = await add_scene(database)
    await _answer(database, scene, None, rating=5)
    await _answer(database, scene, None, rating=4, simulated=True)
    found = await _result(database)
    assert (found.responses, found.simulated, found.is_simulated) == (2, 1, True)


async def test_a_window_takes_one_run_or_one_time(database: Database) -> None:
    scene, other = await add_scene(database), await add_scene(database)
    first = await add_messages(database, scene, ["delivered"])
    second = await add_messages(database, other, ["delivered", "delivered"])
    for sent in (*first, *second):
        await _answer(database, scene, sent.invitation_id, rating=5)
    found = await _result(database, Window(run_id=other.run_id))
    assert found.csat is not None
    assert (found.csat.n, found.invitations.invited) == (2, 2)
    async with database.transaction() as tx:
        now = await tx.fetchval("SELECT now()")
    before = await _result(database, Window(received_until=now.replace(year=now.year - 1)))
    assert before.csat is not None
    assert (before.csat.n, before.invitations.invited) == (0, 0)


async def test_what_an_exercise_was_answered_does_not_count(database: Database) -> None:
    scene, drill = await add_scene(database), await add_scene(database)
    real = await add_messages(database, scene, ["delivered"])
    exercise = await add_messages(database, drill, ["delivered", "delivered"])
    async with database.transaction() as tx:
        await tx.execute("UPDATE notifier.runs SET drill = true WHERE id = $1", drill.run_id)
    await _answer(database, scene, real[0].invitation_id, rating=5, improve="branch", comment="good")
    await _answer(database, drill, exercise[0].invitation_id, rating=1, improve="app", comment="bad")
    found = await _result(database)
    assert found.csat is not None
    assert (found.csat.n, found.csat.satisfied, found.responses) == (1, 1, 1)
    assert (found.invitations.invited, found.invitations.answered) == (1, 1)
    assert [one.text for one in found.comments] == ["good"]
    assert [one.count for one in found.rankings[0].counts] == [1, 0, 0]
