"""Launch: a run for a time once, with inputs that hold, and API sends that never run into each other."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.errors import Conflict, Forbidden, InputError, NotFound, NotReleased
from notifier.domain.person import Person
from notifier.planning.single import SentOne, send_one
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import (
    NOON,
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    kept,
    launch,
    launch_and_plan,
    release_singles,
    set_now,
    state_counts,
    states,
)

CODE = campaign("code", purpose="transactional")
FIX = """\
campaign: fix
title: {zh-CN: 更正, en: Correction}
purpose: {of: corrects}
inputs:
  corrects: {type: run, label: {zh-CN: 更正, en: Corrects}}
steps:
  inform: {channels: [email], template: note, with: {word: 更正}}
"""
API = Person(name="api")


async def _send(database: Database, contact: str, word: str = "1", key: str = "code") -> SentOne:
    await release_singles(database, key)
    async with database.transaction() as tx:
        return await send_one(tx, team_id=1, campaign_key=key, external_id=contact, inputs={"word": word}, by=API)


async def _ask(database: Database) -> SentOne:
    async with database.transaction() as tx:
        return await send_one(tx, team_id=1, campaign_key="code", external_id="c1", inputs={"word": "1"}, by=API)


async def test_a_campaign_has_one_run_for_a_time(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    at = NOON + timedelta(hours=1)
    await launch(database, at=at)
    with pytest.raises(Conflict, match="already has a run"):
        await launch(database, at=at)
    assert (await launch(database, at=at + timedelta(hours=1))).nominal_at == at + timedelta(hours=1)


async def test_of_launches_at_the_same_moment_one_wins(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    at = NOON + timedelta(hours=1)
    results = await asyncio.gather(*(launch(database, at=at) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 3
    assert await fetch(database, "SELECT count(*) FROM notifier.runs") == [(1,)]


async def test_what_is_launched_now_is_due_now_for_everybody(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    steps = "inform: {channels: [email], template: note}\nremind: {channels: [email], template: note, after: 1d}"
    anchored = 'on: {channels: [email], template: note, when: {input: day, at: "10:00"}}'
    more = "schedule: {start: 2030-01-07T09:00, zone: contact}\n"
    dated = campaign("dated", more=more, steps=anchored).replace(
        "inputs:\n", "inputs:\n  day: {type: date, label: {zh-CN: 日, en: Day}, example: 2030-07-01}\n"
    )
    await set_now(database)
    await define(database, tmp_path, campaign(more=more, steps=steps), dated)
    await add_contact(database, settings, "west", zone="America/Los_Angeles")
    await add_contact(database, settings, "east", zone="Pacific/Auckland")
    run = await launch_and_plan(database)
    due = await fetch(database, "SELECT DISTINCT due_at FROM notifier.messages")
    assert due == [(run.nominal_at,)]
    rows = await fetch(database, "SELECT due_at FROM notifier.run_steps ORDER BY position")
    assert rows == [(run.nominal_at,), (run.nominal_at + timedelta(days=1),)]
    await launch(database, "dated", inputs={"day": "2030-07-01"})  # a time of day is each contact's own
    assert await fetch(database, "SELECT due_local::text FROM notifier.run_steps WHERE step = 'on'") == [
        ("2030-07-01 10:00:00",)
    ]
    later = await launch(database, at=NOON + timedelta(days=2))
    rows = await fetch(database, "SELECT due_at FROM notifier.run_steps WHERE run_id = $1", later.id)
    assert rows == [(None,), (None,)]


async def test_a_launch_is_audited(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    run = await launch(database)
    assert await fetch(
        database, "SELECT actor, act, subject FROM notifier.audit WHERE act NOT LIKE 'definition.%' ORDER BY id"
    ) == [
        ("test", "run.drafted", f"run:{run.id}"),
        ("test", "run.submitted", f"run:{run.id}"),
        ("checker", "run.released", f"run:{run.id}"),
    ]


async def test_what_is_wrong_with_a_launch_is_said(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), FIX)
    with pytest.raises(NotFound, match="no campaign 'nothing'"):
        await launch(database, "nothing")
    with pytest.raises(InputError, match="wrod"):
        await launch(database, inputs={"wrod": "x"})
    with pytest.raises(InputError, match="at: lies in the past"):
        await launch(database, at=NOON - timedelta(days=2))
    with pytest.raises(InputError, match="audience_list: there is no list"):
        await launch(database, audience_list="nobody")
    with pytest.raises(InputError, match="corrects: is required"):
        await launch(database, "fix")
    with pytest.raises(InputError, match="corrects: there is no run 203001000009"):
        await launch(database, "fix", inputs={"corrects": 203001000009})
    assert await fetch(database, "SELECT count(*) FROM notifier.runs") == [(0,)]


async def test_a_correction_has_the_purpose_of_what_it_corrects(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign("alarm", purpose="emergency"), FIX)
    alarm = await launch(database, "alarm")
    fix = await launch(database, "fix", inputs={"corrects": alarm.id})
    assert fix.purpose == "emergency"
    assert await fetch(database, "SELECT lane, expires FROM notifier.run_steps WHERE run_id = $1", fix.id) == [
        (1, timedelta(hours=4))
    ]


async def test_a_campaign_shortens_the_life_of_messages_and_posts_and_never_lengthens_it(
    database: Database, tmp_path: Path
) -> None:
    steps = "inform: {channels: [email], template: note}\npost: {social: [wall], template: note}"
    await set_now(database)
    await define(
        database,
        tmp_path,
        campaign("short", more="expires: 2h\n", steps=steps),
        campaign("long", more="expires: 9d\n", steps=steps),
    )
    for key in ("short", "long"):
        await launch(database, key)
    rows = await fetch(database, "SELECT expires FROM notifier.run_steps ORDER BY run_id, position")
    assert [life for (life,) in rows] == [timedelta(hours=hours) for hours in (2, 2, 24, 24)]


async def test_a_run_is_of_the_versions_at_its_launch(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await define(database, tmp_path, campaign(), **{"templates/note/email.zh-CN.txt": "something else"})
    await drain(settings, database)
    ((_, public_id),) = await kept(database)
    assert public_id
    versions = await fetch(
        database, "SELECT d.version FROM notifier.run_steps s JOIN notifier.definitions d ON d.id = s.template_id"
    )
    assert versions == [(1,)]


async def test_each_api_request_is_a_message_of_its_own(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    await add_contact(database, settings, "c1")
    await release_singles(database, "code")
    await asyncio.gather(*(_send(database, "c1", str(number)) for number in range(5)))
    assert await fetch(database, "SELECT occurrence FROM notifier.messages ORDER BY 1") == [(n,) for n in range(1, 6)]
    assert await fetch(database, "SELECT count(*) FROM notifier.runs WHERE kind = 'standing'") == [(1,)]
    await drain(settings, database, 2)
    assert await state_counts(database) == {"accepted": 5}
    await assert_tallies_agree(database)


async def test_api_messages_to_a_shared_address_all_go(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    for name in ("c1", "c2"):
        await add_contact(database, settings, name, email="family@example.com")
        await _send(database, name, name)
    await drain(settings, database, 2)
    assert [state for _, state, _ in await states(database)] == ["accepted", "accepted"]


async def test_what_was_released_for_single_messages_goes_on_until_the_new_texts_are(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    await add_contact(database, settings, "c1")
    with pytest.raises(NotReleased, match="to be released by a person"):
        await _ask(database)
    before = await _send(database, "c1")
    await define(database, tmp_path, CODE, **{"templates/note/email.zh-CN.txt": "新的{{ inputs.word }}"})
    assert (await _ask(database)).run_id == before.run_id
    assert await fetch(database, "SELECT state FROM notifier.runs ORDER BY nominal_at") == [
        ("running",),
        ("submitted",),
    ]
    after = await _send(database, "c1")
    assert after.run_id != before.run_id
    assert (await _ask(database)).run_id == after.run_id
    await drain(settings, database, 2)
    assert await state_counts(database) == {"accepted": 4}


async def test_a_release_of_single_messages_holds_in_the_next_month(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    await add_contact(database, settings, "c1")
    june = await _send(database, "c1")
    await drain(settings, database, lane=2)  # what waits for a month would keep others out
    await define(database, tmp_path, CODE, **{"templates/note/email.zh-CN.txt": "新的{{ inputs.word }}"})
    await set_now(database, NOON + timedelta(days=30))
    july = await _ask(database)
    assert july.run_id // 1_000_000 == june.run_id // 1_000_000 + 1
    texts = "SELECT template_id FROM notifier.run_steps WHERE run_id = $1"
    assert await fetch(database, texts, july.run_id) == await fetch(database, texts, june.run_id)


async def test_a_persons_key_sends_no_single_messages(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    await add_contact(database, settings, "c1")
    await release_singles(database, "code")
    lin = Person(name="api-key:1", user_id=1)
    async with database.transaction() as tx:
        with pytest.raises(Forbidden, match="by systems"):
            await send_one(tx, team_id=1, campaign_key="code", external_id="c1", inputs={"word": "1"}, by=lin)


async def test_an_api_message_says_what_is_wrong(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE, campaign("wall", steps="post: {social: [wall], template: note}"))
    await add_contact(database, settings, "c1", email="")
    with pytest.raises(NotFound, match="no contact 'c9'"):
        await _send(database, "c9")
    with pytest.raises(InputError, match="no address for email"):
        await _send(database, "c1")
    with pytest.raises(InputError, match="is a post"):
        await _send(database, "c1", key="wall")
    assert await fetch(database, "SELECT count(*) FROM notifier.messages") == [(0,)]


async def test_api_messages_of_a_stopped_run_are_refused_in_words(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, CODE)
    await add_contact(database, settings, "c1")
    sent = await _send(database, "c1")
    await execute(database, "UPDATE notifier.runs SET state = 'stopped'")
    with pytest.raises(Conflict, match="is stopped: resume it first"):
        await _send(database, "c1")
    assert (await claim(database, sent.run_id, 2)).cursor is None
