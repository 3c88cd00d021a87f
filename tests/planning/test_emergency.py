"""What the emergency page knows before anything is sent, and whom a correction reaches afterwards."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.contact import ContactKind
from notifier.domain.errors import InputError
from notifier.domain.person import Person
from notifier.planning.apply import apply_definitions
from notifier.planning.catalogue import CampaignVersion, find_campaign
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.draft import Draft
from notifier.planning.emergency.choice import Choice, complete_inputs, find_choice, names_of
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.planning.emergency.follow_up import follow_up, follow_up_inputs
from notifier.planning.emergency.messages import Said, read_messages
from notifier.planning.emergency.outlook import Outlook, count_everybody, list_groups, look_ahead
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.runs import Run, get_run
from notifier.store.views.emergency import count_people, list_not_reached, tried
from tests.builders import add_contact, drain, execute, fetch, opt_out, released, set_now, states

ROOT = Path(__file__).parents[2]
CLOSURE = "branch-closure-alert"
INPUTS: Mapping[str, object] = {
    "branch": "静安支行",
    "branch_name": {"zh-CN": "静安支行", "en": "Jing'an branch"},
    "closes_at": "2026-03-12T15:00",
    "reopens": {"zh-CN": "待定", "en": "not known yet"},
    "cash_at": {"zh-CN": "徐汇支行", "en": "Xuhui branch"},
}


@pytest.fixture
async def bank(database: Database, settings: Settings) -> Database:
    """The starter pack; three customers of two branches, one of them out of reach, and an employee."""
    await set_now(database)
    await apply_definitions(database, load_definitions(ROOT))
    for name, branch in (("c1", "静安支行"), ("c2", "静安支行"), ("c3", "徐汇支行")):
        phone = f"+1212555010{name[1]}"
        await add_contact(database, settings, name, phone=phone, attributes={"branch": branch})
    await add_contact(database, settings, "c4", email="", attributes={"branch": "静安支行"})
    await add_contact(
        database, settings, "e1", phone="+12125550109", kind=ContactKind.EMPLOYEE, attributes={"branch": "静安支行"}
    )
    return database


async def _version(database: Database, key: str = CLOSURE) -> CampaignVersion:
    async with database.transaction() as tx:
        return await find_campaign(tx, 1, key)


async def _look(database: Database, desk: EmergencyDesk, drill: bool = False, **inputs: object) -> Outlook:
    async with database.transaction() as tx:
        return await look_ahead(tx, desk, 1, await find_campaign(tx, 1, CLOSURE), inputs, drill=drill)


async def _read(database: Database, given: Mapping[str, object], *, drill: bool = False) -> dict[tuple[str, str], Said]:
    async with database.transaction() as tx:
        version = await find_campaign(tx, 1, CLOSURE)
        said = await read_messages(tx, EmergencyDesk(), 1, version, given, drill=drill)
    return {(one.channel.value, one.locale): one for one in said}


async def _run(database: Database, key: str = CLOSURE, drill: bool = False, **inputs: Any) -> Run:
    draft = Draft(campaign_key=key, inputs={**(INPUTS if key == CLOSURE else {}), **inputs}, drill=drill)
    async with database.transaction() as tx:
        run = await launch_campaign(tx, team_id=1, draft=draft, by=Person(name="test"))
        run = await released(tx, run)
    await plan_due(database)
    return run


async def test_the_choice_is_read_from_the_audience(bank: Database) -> None:
    choice = find_choice((await _version(bank)).campaign)
    assert choice == Choice(input="branch", attribute="branch", everybody="all", names="branch_name")
    assert find_choice((await _version(bank, "measures-notice")).campaign) is None


async def test_a_branch_is_called_as_prepared_and_an_unknown_one_by_its_value(bank: Database) -> None:
    version = await _version(bank)
    choice = find_choice(version.campaign)
    assert choice
    campaign, house = version.campaign, version.bank
    assert names_of(campaign, choice, "静安支行", house) == {"zh-CN": "静安支行", "en": "Jing'an branch"}
    assert names_of(campaign, choice, "天马支行", house) == {"zh-CN": "天马支行", "en": "天马支行"}
    assert names_of(campaign, choice, "all", house) == {"zh-CN": "我行全部网点", "en": "All our branches"}
    assert names_of(campaign, choice, "", house) == {}


async def test_a_name_somebody_wrote_stands(bank: Database) -> None:
    version = await _version(bank)
    given = {"branch": "静安支行", "branch_name": {"zh-CN": "", "en": "Our Jing'an office"}}
    completed = complete_inputs(version.campaign, given, version.bank)
    assert completed["branch_name"] == {"zh-CN": "静安支行", "en": "Our Jing'an office"}
    assert complete_inputs(version.campaign, {}, version.bank) == {}


async def test_branches_come_with_their_customers_and_all_with_theirs(bank: Database) -> None:
    version, desk = await _version(bank), EmergencyDesk()
    async with bank.transaction() as tx:
        groups = await list_groups(tx, desk, 1, version)
        everybody = await count_everybody(tx, desk, 1, version)
    assert [(group.value, group.contacts) for group in groups] == [("静安支行", 3), ("徐汇支行", 1)]
    assert everybody == 4


async def test_numbers_are_remembered_for_a_moment_only(bank: Database) -> None:
    patient, hasty = EmergencyDesk(), EmergencyDesk(keep_s=0)
    assert (await _look(bank, patient, branch="all")).contacts == (await _look(bank, hasty, branch="all")).contacts == 4
    await execute(bank, "DELETE FROM notifier.contacts WHERE external_id = 'c3'")
    assert ((await _look(bank, patient, branch="all")).contacts, (await _look(bank, hasty, branch="all")).contacts) == (
        4,
        3,
    )


async def test_the_outlook_says_who_cannot_be_reached_as_the_run_will_find(bank: Database, settings: Settings) -> None:
    (contact,) = (await fetch(bank, "SELECT id FROM notifier.contacts WHERE external_id = 'c2'"))[0]
    await opt_out(bank, contact, Channel.EMAIL)
    outlook = await _look(bank, EmergencyDesk(), branch="静安支行")
    assert (outlook.contacts, outlook.unreachable, outlook.reachable) == (3, 1, 2)
    assert {one.channel: dict(one.refused) for one in outlook.reach} == {
        "sms": {"no-address": 1},
        "email": {"no-address": 1, "opted-out": 1},
    }
    assert outlook.accounts == ("mastodon", "wechat")
    run = await _run(bank)
    await drain(settings, bank, 1)
    async with bank.transaction() as tx:
        people = await count_people(tx, run.id)
    assert (people.meant, people.handed_over, people.not_reached) == (3, 2, 1)


async def test_without_a_branch_nobody_is_counted(bank: Database) -> None:
    with pytest.raises(InputError) as told:
        await _look(bank, EmergencyDesk())
    assert told.value.field == "branch"


async def test_an_exercise_means_all_staff_and_no_account(bank: Database) -> None:
    outlook = await _look(bank, EmergencyDesk(), drill=True, branch="徐汇支行")
    assert (outlook.contacts, outlook.accounts) == (1, ())


async def test_every_channel_is_read_in_every_language_while_it_is_written(bank: Database) -> None:
    said = await _read(bank, {"branch": "静安支行", "closes_at": "2026-03-12T15:00"})
    assert set(said) == {(channel, locale) for channel in ("sms", "email", "social") for locale in ("zh-CN", "en")}
    assert all(one.content is not None and "____" in one.content.text for one in said.values())
    whole = await _read(bank, INPUTS)
    assert all(one.content is not None and "____" not in one.content.text for one in whole.values())
    sms = whole["sms", "en"].content
    assert isinstance(sms, SmsContent)
    assert "Jing'an branch closed from" in sms.text


async def test_a_date_nobody_chose_is_told_in_place_of_the_text(bank: Database) -> None:
    said = await _read(bank, {"branch": "静安支行", "closes_at": "tomorrow"})
    assert said["sms", "en"].content is None
    assert said["sms", "en"].problem


async def test_the_preview_of_an_exercise_is_stamped_everywhere(bank: Database) -> None:
    for (channel, locale), one in (await _read(bank, INPUTS, drill=True)).items():
        mark = "【演练】" if locale == "zh-CN" else "[EXERCISE]"
        assert one.content is not None
        assert mark in one.content.text.split("\n")[0]
        if isinstance(one.content, EmailContent):
            assert (channel, one.content.subject.startswith(mark)) == ("email", True)
            assert mark in one.content.html.split("<table")[0]


async def test_people_not_reached_are_listed_with_what_was_tried(bank: Database, settings: Settings) -> None:
    run = await _run(bank)
    async with bank.transaction() as tx:
        assert (await count_people(tx, run.id)).on_the_way == 2
    await drain(settings, bank, 1)
    async with bank.transaction() as tx:
        lost = await list_not_reached(tx, 1, run.id)
        assert [(one.external_id, tried(one)) for one in lost] == [
            ("c4", [("sms", "no-address"), ("email", "no-address")])
        ]
        assert await list_not_reached(tx, 2, run.id) == []
        assert await list_not_reached(tx, 1, run.id, after=lost[0].id) == []


async def test_one_channel_that_got_through_is_enough(bank: Database, settings: Settings) -> None:
    run = await _run(bank)
    await drain(settings, bank, 1)
    await execute(bank, "UPDATE notifier.messages SET state = 'delivered' WHERE channel = 'sms' AND state = 'accepted'")
    await execute(bank, "UPDATE notifier.messages SET state = 'bounced' WHERE channel = 'email' AND state = 'accepted'")
    async with bank.transaction() as tx:
        people = await count_people(tx, run.id)
    assert (people.delivered, people.handed_over, people.on_the_way, people.not_reached) == (2, 0, 0, 1)


@pytest.mark.parametrize("kind", ["correction", "all-clear"])
async def test_a_correction_reaches_exactly_those_who_got_it(bank: Database, settings: Settings, kind: str) -> None:
    run = await _run(bank)
    await drain(settings, bank, 1)
    # Moved to the branch after it went out: they never had the first message.
    await execute(
        bank, """UPDATE notifier.contacts SET attributes = '{"branch": "静安支行"}' WHERE external_id = 'c3'"""
    )
    async with bank.transaction() as tx:
        version = await find_campaign(tx, 1, "correction-and-all-clear")
        found = follow_up(version.campaign)
        assert found
        inputs = follow_up_inputs(found, kind, await get_run(tx, run.id), await find_campaign(tx, 1, CLOSURE))
        outlook = await look_ahead(tx, EmergencyDesk(), 1, version, inputs)
    assert (inputs["corrects"], inputs["kind"]) == (run.id, kind)
    assert outlook.contacts == 2
    texts: dict[str, Any] = {**inputs, "now": {"zh-CN": "照常营业", "en": "open as usual"}}
    second = await _run(bank, version.campaign.key, **texts)
    assert second.purpose == "emergency"
    reached = await fetch(
        bank,
        """
        SELECT DISTINCT c.external_id FROM notifier.messages m JOIN notifier.contacts c ON c.id = m.contact_id
        WHERE m.run_id = $1 ORDER BY 1
        """,
        second.id,
    )
    assert reached == [("c1",), ("c2",)]


async def test_a_follow_up_says_in_a_few_words_what_it_follows(bank: Database) -> None:
    run = await _run(bank)
    found = follow_up((await _version(bank, "correction-and-all-clear")).campaign)
    assert found
    inputs = follow_up_inputs(found, "nonsense", run, await _version(bank))
    assert "kind" not in inputs
    day = run.nominal_at.astimezone(ZoneInfo("Asia/Shanghai"))
    whole = {"zh-CN": f"静安支行{day.month}月{day.day}日通知", "en": f"Jing'an branch, {day:%B} {day.day}"}
    assert inputs["earlier"] == whole
    long = replace(run, inputs={**run.inputs, "branch_name": {"zh-CN": "静安支行", "en": "A" * 40}})
    assert follow_up_inputs(found, "", long, await _version(bank))["earlier"] == {"zh-CN": whole["zh-CN"]}
    nameless = replace(run, inputs={"branch": "all"})
    assert "earlier" not in follow_up_inputs(found, "", nameless, await _version(bank))
    assert follow_up((await _version(bank)).campaign) is None


async def test_the_correction_of_an_exercise_stays_with_those_who_had_it(bank: Database, settings: Settings) -> None:
    await add_contact(bank, settings, "e2", phone="+12125550108", kind=ContactKind.EMPLOYEE)
    run = await _run(bank, drill=True)
    await execute(
        bank,
        "DELETE FROM notifier.messages WHERE contact_id = (SELECT id FROM notifier.contacts WHERE external_id = 'e2')",
    )
    await drain(settings, bank, 1)
    found = follow_up((await _version(bank, "correction-and-all-clear")).campaign)
    assert found
    inputs = follow_up_inputs(found, "all-clear", run, await _version(bank))
    texts: dict[str, Any] = {**inputs, "now": {"zh-CN": "照常营业", "en": "open as usual"}}
    await _run(bank, found.campaign.key, drill=True, **texts)
    assert {external_id for external_id, _, _ in await states(bank)} == {"e1"}
