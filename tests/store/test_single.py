"""One message asked for by another system: by the first channel that can reach the contact, with its survey."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import InputError
from notifier.domain.person import Person
from notifier.planning.single import SentOne, send_one
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    drain,
    fetch,
    release_singles,
    set_now,
    state_counts,
    suppress,
)

BOTH = campaign("code", purpose="transactional", steps="inform: {by: [email, sms], template: note}")
ASK = campaign("ask", purpose="transactional", steps="ask: {survey: opinion, by: [email], closes: 7d}")
API = Person(name="api")


async def _send(database: Database, key: str = "code") -> SentOne:
    await release_singles(database, key)
    async with database.transaction() as tx:
        return await send_one(tx, team_id=1, campaign_key=key, external_id="c1", inputs={"word": "1"}, by=API)


@pytest.mark.parametrize(
    ("email", "opt_out", "blocked", "channel"),
    [
        (None, (), False, "email"),
        ("", (), False, "sms"),
        (None, ("email",), False, "sms"),
        (None, (), True, "sms"),
        (None, ("email", "sms"), False, "email"),
    ],
)
async def test_the_first_channel_that_can_reach_the_contact_is_taken(
    database: Database,
    settings: Settings,
    tmp_path: Path,
    email: str | None,
    opt_out: tuple[str, ...],
    blocked: bool,
    channel: str,
) -> None:
    await set_now(database)
    await define(database, tmp_path, BOTH)
    await add_contact(database, settings, "c1", email=email, phone="+12125550123", opt_out=opt_out)
    if blocked:
        await suppress(database, settings, "c1@example.com", "hard-bounce")
    await _send(database)
    assert await fetch(database, "SELECT channel, state FROM notifier.messages") == [(channel, "queued")]
    await assert_tallies_agree(database)


async def test_where_nothing_is_possible_an_address_is_refused_and_none_is_an_error(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, BOTH)
    await add_contact(database, settings, "c1", email="", phone="+12125550123", opt_out=("sms",))
    await _send(database)
    assert await fetch(database, "SELECT channel FROM notifier.messages") == [("sms",)]
    await add_contact(database, settings, "c1", email="", phone="")
    with pytest.raises(InputError, match="no address"):
        await _send(database)


async def test_an_invitation_that_is_asked_for_carries_its_survey(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, ASK)
    await add_contact(database, settings, "c1")
    for _ in range(2):
        await _send(database, "ask")
    rows = await fetch(
        database,
        """
        SELECT i.survey_key, i.month::int, i.step, i.closes_at - m.due_at FROM notifier.invitations i
        JOIN notifier.messages m ON m.run_id = i.run_id AND m.id = i.message_id AND m.contact_id = i.contact_id
        """,
    )
    assert rows == [("opinion", 6, "ask", timedelta(days=7))] * 2
    await drain(settings, database)  # a question is service, whatever asked for it
    assert await state_counts(database) == {"accepted": 2}


async def test_a_message_without_a_survey_invites_nobody(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, BOTH)
    await add_contact(database, settings, "c1")
    await _send(database)
    assert await fetch(database, "SELECT count(*)::int FROM notifier.invitations") == [(0,)]
