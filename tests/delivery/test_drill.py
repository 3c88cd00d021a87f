"""An exercise reaches nobody but staff, by any path, and says in every channel and language that it is one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from notifier.delivery.compose import Composer
from notifier.delivery.materials import Library
from notifier.delivery.show import show_message
from notifier.domain.channel import EmailContent
from notifier.domain.contact import ContactKind
from notifier.domain.keys import derive_keys
from notifier.domain.message import MessageId, RunId
from notifier.domain.person import Person
from notifier.planning.draft import Draft, draft_run
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.runs import Run, freeze_recipients
from notifier.store.sandbox import read_body
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    drain,
    execute,
    fetch,
    kept,
    released,
    set_now,
    states,
)

EMERGENCY = 1
STAFF = (ContactKind.EMPLOYEE, ContactKind.WORKING_GROUP)
STEPS = "inform: {channels: [email, sms], template: note}\npost: {social: [wall, paper], template: note}"
AUDIENCES = {
    "everybody": "",
    "customers": "audience: {kind: customer}\n",
    "customers of a branch": "audience: {all: [{kind: customer}, {attribute: branch, is: A}]}\n",
    "customers or employees": "audience: {any: [{kind: customer}, {kind: employee}]}\n",
}


async def _people(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "c1", phone="+12125550101", attributes={"branch": "A"})
    await add_contact(database, settings, "c2", phone="+12125550102", locale="en")
    await add_contact(database, settings, "e1", phone="+12125550103", kind=ContactKind.EMPLOYEE)
    await add_contact(
        database, settings, "w1", phone="+12125550104", kind=ContactKind.WORKING_GROUP, locale="en", name="Ada"
    )


async def _drill(database: Database, key: str = "news", **draft: Any) -> Run:
    async with database.transaction() as tx:
        wanted = Draft(campaign_key=key, drill=True, **draft)
        run = await released(tx, await launch_campaign(tx, team_id=1, draft=wanted, by=Person(name="test")))
    await plan_due(database)
    return run


async def _define(database: Database, settings: Settings, folder: Path, more: str = "") -> None:
    await set_now(database)
    await define(database, folder, campaign(purpose="emergency", steps=STEPS, more=more))
    await _people(database, settings)


async def _told(database: Database) -> set[str]:
    return {external_id for external_id, _, _ in await states(database)}


async def _sent(database: Database) -> dict[str, Mapping[str, Any]]:
    """Recipient → content of what the sandbox was given."""
    rows = await fetch(database, "SELECT recipient, body FROM notifier.sandbox_items")
    return {recipient: read_body(body) for recipient, body in rows}


@pytest.mark.parametrize("meant", AUDIENCES)
async def test_no_audience_brings_a_customer_into_an_exercise(
    database: Database, settings: Settings, tmp_path: Path, meant: str
) -> None:
    await _define(database, settings, tmp_path, AUDIENCES[meant])
    await _drill(database)
    await drain(settings, database, EMERGENCY)
    expected = {"e1"} if meant == "customers or employees" else {"e1", "w1"}
    assert await _told(database) == expected
    assert {to.partition("@")[0] for to, _ in await kept(database) if "@" in to} == expected


async def test_a_list_brings_no_customer_into_an_exercise(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'mixed')")
    await execute(
        database,
        """
        INSERT INTO notifier.list_members (list_id, contact_id)
        SELECT l.id, c.id FROM notifier.lists l, notifier.contacts c WHERE c.external_id IN ('c1', 'e1')
        """,
    )
    await _drill(database, audience_list="mixed")
    assert await _told(database) == {"e1"}


async def test_a_customer_who_got_into_an_exercise_is_refused_by_the_claim(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    run = await _drill(database)
    await execute(database, "UPDATE notifier.contacts SET kind = 'customer' WHERE external_id = 'w1'")
    await drain(settings, database, EMERGENCY)
    assert {one for one in await states(database) if one[0] == "w1"} == {("w1", "refused", "drill")}
    assert {to for to, _ in await kept(database)} == {"e1@example.com", "+12125550103"}
    assert run.drill
    await assert_tallies_agree(database)


async def test_a_run_that_becomes_an_exercise_reaches_no_customer_any_more(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    """As if a single send of the API had been put into one: the claim asks the run, not the plan."""
    await _define(database, settings, tmp_path)
    async with database.transaction() as tx:
        wanted = Draft(campaign_key="news")
        await released(tx, await launch_campaign(tx, team_id=1, draft=wanted, by=Person(name="test")))
    await plan_due(database)
    await execute(database, "UPDATE notifier.runs SET drill = true")
    await drain(settings, database, EMERGENCY)
    refused = {one for one in await states(database) if one[1] == "refused"}
    assert refused == {("c1", "refused", "drill"), ("c2", "refused", "drill")}
    posts = await fetch(database, "SELECT state, reason FROM notifier.messages WHERE channel = 'social'")
    assert set(posts) == {("refused", "drill")}


async def test_the_posts_of_an_exercise_are_counted_and_never_published(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    await _drill(database)
    await drain(settings, database, EMERGENCY)
    posts = await fetch(database, "SELECT state, reason FROM notifier.messages WHERE channel = 'social'")
    assert posts == [("refused", "drill")] * 2
    assert {to for to, _ in await kept(database)}.isdisjoint({"wall", "paper"})
    await assert_tallies_agree(database)


async def test_whatever_an_exercise_sends_is_stamped_in_the_readers_language(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    await _drill(database)
    await drain(settings, database, EMERGENCY)
    sent = await _sent(database)
    marks = {"e1@example.com": "【演练】", "+12125550103": "【演练】"}
    marks |= {"w1@example.com": "[EXERCISE]", "+12125550104": "[EXERCISE]"}
    assert sent.keys() == marks.keys()
    for to, mark in marks.items():
        assert mark in sent[to]["text"].split("\n")[0]
        if "@" in to:
            assert sent[to]["subject"].startswith(mark)
            assert mark in sent[to]["html"].split("<p>")[0]


async def test_a_run_that_is_no_exercise_is_not_stamped(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _define(database, settings, tmp_path)
    async with database.transaction() as tx:
        wanted = Draft(campaign_key="news")
        await released(tx, await launch_campaign(tx, team_id=1, draft=wanted, by=Person(name="test")))
    await plan_due(database)
    await drain(settings, database, EMERGENCY)
    texts = [str(content) for content in (await _sent(database)).values()]
    assert len(texts) == 9
    assert not any("演练" in text or "EXERCISE" in text for text in texts)


async def test_parts_and_hash_are_those_of_the_stamped_message(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    run = await _drill(database)
    await drain(settings, database, EMERGENCY)
    await execute(database, "UPDATE notifier.messages SET content = NULL")  # so that it has to be rendered again
    rows = await fetch(
        database, "SELECT id, parts, channel FROM notifier.messages WHERE state = 'accepted' ORDER BY id"
    )
    assert {channel for _, _, channel in rows} == {"email", "sms"}
    composer = Composer(settings.public_url, derive_keys(settings.secret).links)
    for number, parts, channel in rows:
        shown = await show_message(database, Library(database), composer, RunId(run.id), MessageId(number))
        assert (shown.is_stored, shown.agrees) == (False, True)
        assert shown.content is not None
        assert "演练" in shown.content.text or "EXERCISE" in shown.content.text
        assert isinstance(shown.content, EmailContent) == (channel == "email")
        assert (parts is None) == (channel == "email")


async def test_whatever_rule_is_frozen_an_exercise_takes_no_customer(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _define(database, settings, tmp_path)
    async with database.transaction() as tx:
        run = await draft_run(tx, team_id=1, draft=Draft(campaign_key="news", drill=True), by=Person(name="test"))
        assert await freeze_recipients(tx, run, "true", [], []) == 2
    kinds = await fetch(
        database,
        "SELECT DISTINCT c.kind FROM notifier.recipients k JOIN notifier.contacts c ON c.id = k.contact_id ORDER BY 1",
    )
    assert kinds == [(kind.value,) for kind in STAFF]
