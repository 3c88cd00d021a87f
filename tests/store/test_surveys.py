"""What can be counted over invitations and responses."""

from datetime import UTC, datetime, timedelta

from notifier.store import surveys
from notifier.store.database import Database
from notifier.store.surveys import NewResponse, Window
from tests.feedback.rows import SURVEY, Scene, add_message, add_messages, add_scene, fetch

AT = datetime(2026, 3, 5, 2, tzinfo=UTC)


async def _respond(database: Database, scene: Scene, key: str, at: datetime = AT, **answers: int | str) -> int | None:
    new = NewResponse(
        team_id=1,
        survey_id=scene.survey_id,
        survey_key=SURVEY.key,
        invitation_id=None,
        run_id=None,
        contact_id=None,
        source="tool",
        external_key=key,
        locale="en",
        simulated=False,
        received_at=at,
    )
    async with database.transaction() as tx:
        response_id = await surveys.add_response(tx, new)
        if response_id is not None:
            await surveys.put_answers(tx, response_id, answers)
        return response_id


async def test_an_invitation_has_the_language_of_its_message_else_of_its_contact(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), locale="en")
    await fetch(database, "UPDATE notifier.contacts SET locale = 'zh-CN'")
    for locale, expected in (("en", "en"), ("", "zh-CN")):
        await fetch(database, "UPDATE notifier.messages SET locale = $1", locale)
        async with database.transaction() as tx:
            found = await surveys.find_invitation(tx, sent.invitation_id)
        assert found is not None
        assert found.locale == expected


async def test_an_invitation_closes_at_its_time(database: Database) -> None:
    scene = await add_scene(database)
    for closes, expected in (("1 hour", False), ("0 hours", True)):
        sent = await add_message(database, scene, closes=closes)
        async with database.transaction() as tx:
            found = await surveys.lock_invitation(tx, sent.invitation_id)
        assert found is not None
        assert found.is_closed is expected
    async with database.transaction() as tx:
        assert await surveys.lock_invitation(tx, 999) is None


async def test_the_first_look_is_the_one_that_counts(database: Database) -> None:
    sent = await add_message(database, await add_scene(database))
    seen = []
    for shift in ("0", "1 day"):
        await fetch(database, "UPDATE notifier.clock SET shift = $1::text::interval", shift)
        async with database.transaction() as tx:
            await surveys.note_opened(tx, sent.invitation_id)
        seen += await fetch(database, "SELECT opened_at FROM notifier.invitations")
    assert seen[0] == seen[1] != (None,)


async def test_a_source_key_is_kept_once(database: Database) -> None:
    scene = await add_scene(database)
    assert await _respond(database, scene, "r1", rating=4) is not None
    assert await _respond(database, scene, "r1", rating=5) is None


async def test_later_answers_replace_and_add(database: Database) -> None:
    response_id = await _respond(database, await add_scene(database), "r1", rating=4)
    assert response_id is not None
    async with database.transaction() as tx:
        await surveys.put_answers(tx, response_id, {"rating": 5, "comment": "ok"})
        assert await surveys.get_answers(tx, response_id) == {"rating": 5, "comment": "ok"}


async def test_ratings_are_counted_within_the_window(database: Database) -> None:
    scene = await add_scene(database)
    for day, rating in enumerate((5, 5, 4, 1)):
        await _respond(database, scene, f"r{day}", AT + timedelta(days=day), rating=rating, improve="app")
    await _respond(database, scene, "skip", AT, improve="app")
    window = Window(received_from=AT, received_until=AT + timedelta(days=3))
    async with database.transaction() as tx:
        assert await surveys.count_answers(tx, 1, SURVEY.key, "rating", window) == {4: 1, 5: 2}
        assert await surveys.count_answers(tx, 1, "other", "rating", window) == {}
        assert await surveys.count_answers(tx, 2, SURVEY.key, "rating", window) == {}
        assert await surveys.count_responses(tx, 1, SURVEY.key, window) == (4, 0)


async def test_choices_are_ranked_by_count_then_name(database: Database) -> None:
    scene = await add_scene(database)
    for number, choice in enumerate(("web", "app", "branch", "branch")):
        await _respond(database, scene, str(number), improve=choice)
    async with database.transaction() as tx:
        found = await surveys.rank_choices(tx, 1, SURVEY.key, "improve", Window())
    assert [(one.choice, one.count) for one in found] == [("branch", 2), ("app", 1), ("web", 1)]


async def test_comments_come_newest_first_with_the_rating_beside_them(database: Database) -> None:
    scene = await add_scene(database)
    await _respond(database, scene, "1", AT, rating=2, comment="old")
    await _respond(database, scene, "2", AT + timedelta(hours=1), comment="new")
    async with database.transaction() as tx:
        found = await surveys.list_comments(tx, 1, SURVEY.key, ("comment",), Window(), score="rating", limit=5)
        first = await surveys.list_comments(tx, 1, SURVEY.key, ("comment",), Window(), score="rating", limit=1)
    assert [(one.text, one.rating) for one in found] == [("new", None), ("old", 2)]
    assert [one.text for one in first] == ["new"]


async def test_invitations_are_counted_as_far_as_they_went(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_messages(database, scene, ["delivered", "accepted", "bounced", "queued"])
    async with database.transaction() as tx:
        await surveys.note_opened(tx, sent[0].invitation_id)
        invitation = await surveys.find_invitation(tx, sent[1].invitation_id)
        assert invitation is not None
        await surveys.note_answered(tx, invitation, source="tool")
        counts = await surveys.count_invitations(tx, 1, SURVEY.key, Window(run_id=scene.run_id))
    assert (counts.invited, counts.delivered, counts.opened, counts.answered) == (4, 2, 2, 1)
