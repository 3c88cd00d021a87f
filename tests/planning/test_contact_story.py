"""One contact's whole story is told, and what people do for them stands in it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.channel import Channel
from notifier.domain.contact import ContactKind
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.keys import derive_keys
from notifier.domain.person import Person, Role
from notifier.planning.contact_acts import Edited, edit_contact, fingerprint, lift_suppression, opt_out_for
from notifier.planning.contact_story import Story, What, tell_story
from notifier.settings import Settings
from notifier.store.contacts import get_contact_by_id
from notifier.store.database import Database
from notifier.store.views import contact_story as view
from tests.builders import (
    add_contact,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    launch,
    launch_and_plan,
    opt_out,
    pass_time,
    set_now,
    states,
    suppress,
)

LIN = Person(name="lin", user_id=None, role=Role.AUTHOR)


async def story(database: Database, who: int | str, before: int | None = None) -> Story:
    async with database.transaction() as tx:
        return await tell_story(tx, 1, who, before_run=before)


async def tell_opt_out(
    database: Database, who: int, channel: Channel = Channel.EMAIL, topic: str = "", source: str = "phone"
) -> bool:
    async with database.transaction() as tx:
        return await opt_out_for(tx, 1, who, channel=channel, topic=topic, source=source, note="at noon", by=LIN)


async def lift(database: Database, who: int, because: str = "new mailbox") -> None:
    async with database.transaction() as tx:
        await lift_suppression(tx, 1, who, Channel.EMAIL, because=because, by=LIN)


async def test_messages_of_all_runs_are_told_newest_first_and_paged_by_run(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), campaign("alarm"))
    who = await add_contact(database, settings, "C1")
    for key in ("news", "alarm", "news"):
        await launch_and_plan(database, key)
        await pass_time(database, timedelta(minutes=5))
    await add_contact(database, settings, "C2")
    await launch_and_plan(database, "alarm")
    told = await story(database, who)
    assert [one.campaign_key for one in told.messages] == ["alarm", "news", "alarm", "news"]
    assert told.older is None
    async with database.transaction() as tx:
        first, older = await view.list_sent(tx, 1, who, runs=3)
        rest, end = await view.list_sent(tx, 1, who, before_run=older, runs=3)
    assert ([one.run_id for one in (*first, *rest)], end) == ([one.run_id for one in told.messages], None)
    monkeypatch.setattr(view, "RUNS_LOOKED_THROUGH", 1)
    newcomer = await story(database, "C2")
    assert len(newcomer.messages) == 1
    assert newcomer.older is not None  # older runs were not looked through yet
    assert (await story(database, "C2", newcomer.older)).messages == []


async def test_who_was_left_out_of_a_run_is_told_why(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign("offer", purpose="marketing", more="topic: education\n"))
    who = await add_contact(database, settings, "C1")
    run = await launch_and_plan(database, "offer")
    await execute(database, "UPDATE notifier.recipients SET outcome = 'refused', reason = 'no-consent'")
    await execute(database, "DELETE FROM notifier.messages")
    (moment, *_) = (one for one in (await story(database, who)).timeline if one.what is What.LEFT_OUT)
    assert (moment.facts["message"].run_id, moment.facts["message"].reason) == (run.id, "no-consent")


async def test_the_timeline_tells_everything_once_and_newest_first(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    who = await add_contact(database, settings, "C1", opt_in=("email/education",))
    run = await launch_and_plan(database)
    await drain(settings, database)
    (message_id,) = (await fetch(database, "SELECT id FROM notifier.messages"))[0]
    await execute(
        database,
        "INSERT INTO notifier.events (run_id, message_id, event_key, kind) VALUES ($1, $2, 'c', 'clicked')",
        run.id,
        message_id,
    )
    await pass_time(database, timedelta(hours=1))
    await tell_opt_out(database, who)
    told = (await story(database, who)).timeline
    assert [one.at for one in told] == sorted((one.at for one in told), reverse=True)
    assert sorted(one.what for one in told) == sorted(
        [What.ADDED, What.CONSENT, What.CONSENT, What.MESSAGE, What.EVENT, What.SUPPRESSED]
    )
    assert [one.facts["event"].kind for one in told if one.what is What.EVENT] == ["clicked"]


async def test_a_delivered_message_is_one_line_with_its_final_state(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    who = await add_contact(database, settings, "C1")
    await launch_and_plan(database)
    await execute(database, "UPDATE notifier.messages SET state = 'delivered'")
    await execute(
        database,
        "INSERT INTO notifier.events (run_id, message_id, event_key, kind)"
        " SELECT run_id, id, kind, kind FROM notifier.messages, unnest('{delivered,clicked}'::text[]) AS kind",
    )
    told = (await story(database, who)).timeline
    assert [one.facts["message"].state for one in told if one.what is What.MESSAGE] == ["delivered"]
    assert [one.facts["event"].kind for one in told if one.what is What.EVENT] == ["clicked"]


async def test_surveys_are_told_with_their_answers(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    steps = "ask: {survey: opinion, by: [email], closes: 7d}"
    await define(database, tmp_path, campaign("poll", steps=steps))
    who = await add_contact(database, settings, "C1")
    run = await launch_and_plan(database, "poll")
    await execute(
        database,
        """
        WITH r AS (INSERT INTO notifier.responses (team_id, survey_id, survey_key, invitation_id, run_id, contact_id, source)
            SELECT 1, survey_id, survey_key, id, run_id, contact_id, 'link' FROM notifier.invitations RETURNING id)
        INSERT INTO notifier.answers (response_id, question, number) SELECT id, 'rating', 5 FROM r
        """,
    )
    await execute(database, "UPDATE notifier.invitations SET answered_at = notifier.now(), opened_at = notifier.now()")
    await execute(
        database,
        """
        INSERT INTO notifier.responses (team_id, survey_id, survey_key, contact_id, source)
        SELECT 1, survey_id, survey_key, contact_id, 'kiosk' FROM notifier.invitations
        """,
    )
    told = await story(database, who)
    answered = [one for one in told.asked if one.answers]
    assert [(one.survey_key, one.run_id, dict(one.answers)) for one in answered] == [("opinion", run.id, {"rating": 5})]
    assert len(told.asked) == 2
    assert {What.OPENED, What.ANSWERED} <= {one.what for one in told.timeline}


async def test_there_is_no_story_of_another_teams_contact(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1")
    async with database.transaction() as tx:
        for name in (who, "C1"):
            with pytest.raises(NotFound):
                await tell_story(tx, 2, name)
        with pytest.raises(NotFound):
            await opt_out_for(tx, 2, who, channel=Channel.EMAIL, topic="", source="phone", note="", by=LIN)


async def test_an_opt_out_told_by_phone_holds_for_what_is_queued(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    who = await add_contact(database, settings, "C1")
    run = await launch_and_plan(database)
    assert await tell_opt_out(database, who)
    assert not await tell_opt_out(database, who)  # they stand there already
    await claim(database, run.id)
    assert [state for _, state, _ in await states(database)] == ["refused"]
    ledger = (await story(database, who)).consents
    assert [(one.source, one.proof) for one in ledger] == [("phone", "lin · at noon")]


async def test_an_opt_out_of_a_topic_leaves_the_address_open(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1")
    await tell_opt_out(database, who, topic="education")
    told = await story(database, who)
    assert (told.suppressed, [one.topic for one in told.consents]) == ([], ["education"])


@pytest.mark.parametrize("reason", ["complaint", "opt-out", "erasure"])
async def test_the_contacts_own_word_is_not_lifted(database: Database, settings: Settings, reason: str) -> None:
    who = await add_contact(database, settings, "C1")
    await suppress(database, settings, "C1@example.com", reason)
    with pytest.raises(Conflict):
        await lift(database, who)
    assert [one.reason for one in (await story(database, who)).suppressed] == [reason]


@pytest.mark.parametrize("reason", ["hard-bounce", "invalid", "manual"])
async def test_our_own_block_is_lifted_with_a_reason_and_audited(
    database: Database, settings: Settings, reason: str
) -> None:
    who = await add_contact(database, settings, "C1")
    await suppress(database, settings, "C1@example.com", reason)
    with pytest.raises(InputError):
        await lift(database, who, because=" ")
    await lift(database, who)
    with pytest.raises(NotFound):
        await lift(database, who)
    told = await story(database, who)
    assert told.suppressed == []
    assert [(one.act, one.actor, one.detail["because"]) for one in told.done] == [
        ("contact.suppression-lifted", "lin", "new mailbox")
    ]


async def test_a_lifted_bounce_uncovers_the_opt_out_it_hid(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1", email="shared@example.com")
    other = await add_contact(database, settings, "C2", email="shared@example.com")
    await opt_out(database, other)
    await suppress(database, settings, "shared@example.com", "hard-bounce")
    await lift(database, who)
    assert [one.reason for one in (await story(database, who)).suppressed] == ["opt-out"]
    with pytest.raises(Conflict):
        await lift(database, who)


def edited(**changes: object) -> Edited:
    plain = Edited(
        kind=ContactKind.CUSTOMER,
        name="王芳",
        locale="zh-CN",
        zone="",
        email="C1@example.com",
        phone="",
        attributes={"age": "40"},
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


async def correct(database: Database, settings: Settings, who: int, wanted: Edited, seen: str = "") -> bool:
    async with database.transaction() as tx:
        stored = await get_contact_by_id(tx, 1, who)
        assert stored
        return await edit_contact(
            tx,
            1,
            who,
            wanted,
            seen=seen or fingerprint(stored.contact),
            region="CN",
            key=derive_keys(settings.secret).addresses,
            by=LIN,
        )


async def test_a_correction_changes_exactly_what_was_typed(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1", opt_in=("email",), attributes={"age": 40})
    assert not await correct(database, settings, who, edited())
    assert await fetch(database, "SELECT count(*)::int FROM notifier.audit WHERE act NOT LIKE 'definition.%'") == [(0,)]
    wanted = edited(name="李雷", phone="13812345678", email="", attributes={"age": "", "vip": "true"})
    assert await correct(database, settings, who, wanted)
    told = await story(database, who)
    contact = told.stored.contact
    assert (contact.name, contact.phone, contact.email) == ("李雷", "+8613812345678", "")
    assert contact.attributes == {"vip": True}
    assert len(told.consents) == 1
    assert told.done[0].detail == {"fields": ["name", "email", "phone", "attributes.age", "attributes.vip"]}


async def test_a_corrected_address_leaves_the_old_ones_block_behind(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1", attributes={"age": 40})
    await suppress(database, settings, "C1@example.com", "hard-bounce")
    await correct(database, settings, who, edited(email="new@example.com"))
    assert (await story(database, who)).suppressed == []
    await correct(database, settings, who, edited())
    assert len((await story(database, who)).suppressed) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"locale": "chinese!"}, "locale"),
        ({"zone": "Mars"}, "zone"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"attributes": {"age": "bell\x07"}}, "attributes.age"),
        ({"attributes": {"<b>": "1"}}, "attributes"),
        ({"attributes": {f"a{n}": "1" for n in range(101)}}, "attributes"),
    ],
)
async def test_a_wrong_correction_names_its_field_and_changes_nothing(
    database: Database, settings: Settings, wrong: dict[str, object], field: str
) -> None:
    who = await add_contact(database, settings, "C1", attributes={"age": 40})
    with pytest.raises(InputError) as caught:
        await correct(database, settings, who, edited(**wrong))
    assert caught.value.field == field
    assert (await story(database, who)).stored.contact.attributes == {"age": 40}


async def test_who_edits_what_another_changed_meanwhile_is_told(database: Database, settings: Settings) -> None:
    who = await add_contact(database, settings, "C1", attributes={"age": 40})
    seen = fingerprint((await story(database, who)).stored.contact)
    await correct(database, settings, who, edited(email="new@example.com"))
    with pytest.raises(Conflict):
        await correct(database, settings, who, edited(), seen)


async def test_a_run_not_yet_planned_is_no_part_of_the_story(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    who = await add_contact(database, settings, "C1")
    await launch(database)
    assert (await story(database, who)).messages == []
