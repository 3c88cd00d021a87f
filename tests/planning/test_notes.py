"""Tests to oneself and proofs: marked, queued once, and seen by no count."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.contact import ContactKind
from notifier.domain.errors import InputError, NotFound
from notifier.domain.person import Person, Role
from notifier.planning.notes import (
    TESTS_PER_HOUR,
    TooManyTests,
    add_reader,
    ask_for_test,
    change_reader,
    queue_proofs,
    remove_reader,
    send_test,
)
from notifier.planning.plan import plan_due
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.proofs import ProofReader
from notifier.store.runs import get_run
from tests.builders import add_contact, campaign, define, execute, fetch, launch, launch_and_plan, pass_time, set_now

MAIL = EmailContent(subject="通知", html="<body><p>正文</p></body>", text="正文\n")
READER = ProofReader(id=0, name="校对", email="proof@example.com", phone="", locale="zh-CN")
TWO_WAYS = campaign(steps="inform: {channels: [email, sms], template: note}")


async def add_user(
    database: Database, login: str = "lin", *, role: str = "author", email: str = "", phone: str = "", name: str = ""
) -> Person:
    """A user with addresses."""
    ((user_id,),) = await fetch(
        database,
        """
        INSERT INTO notifier.users (team_id, login, name, role, password_hash, locale, email, phone)
        VALUES (1, $1, $2, $3, 'x', 'zh-CN', $4, $5) RETURNING id
        """,
        login,
        name or login.title(),
        role,
        email,
        phone,
    )
    return Person(name=login, user_id=user_id, role=Role(role))


async def scene(database: Database, folder: Path, *campaigns: str) -> None:
    """Business time at noon and these campaigns."""
    await set_now(database)
    await define(database, folder, *(campaigns or (campaign(),)))


async def notes(database: Database) -> list[Mapping[str, Any]]:
    """Every note as it stands."""
    names = ("kind", "channel", "address", "locale", "state", "step", "content")
    rows = await fetch(database, f"SELECT {', '.join(names)} FROM notifier.notes ORDER BY id")
    return [dict(zip(names, row, strict=True)) for row in rows]


async def send(database: Database, by: Person, channel: Channel = Channel.EMAIL) -> int:
    """A test of fixed content."""
    content = MAIL if channel is Channel.EMAIL else SmsContent(text="【江畔银行】您好", parts=1, encoding="UCS-2")
    async with database.transaction() as tx:
        return await send_test(tx, team_id=1, by=by, channel=channel, content=content, locale="zh-CN")


async def add(database: Database, reader: ProofReader = READER) -> int:
    """One more proof reader."""
    async with database.transaction() as tx:
        return await add_reader(tx, 1, reader, Person(name="lin"))


# ── tests to oneself ──────────────────────────────────────────────────────────────────────────────


async def test_a_test_goes_marked_to_the_one_who_asks_and_says_so(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await send(database, await add_user(database, email="lin@example.com", name="林晓"))
    (note,) = await notes(database)
    assert (note["kind"], note["address"], note["state"]) == ("test", "lin@example.com", "queued")
    assert note["content"]["subject"] == "【测试】通知"
    assert "林晓" in note["content"]["text"].splitlines()[0]
    assert await fetch(database, "SELECT actor, act FROM notifier.audit WHERE act = 'test.asked'") == [
        ("lin", "test.asked")
    ]


async def test_the_audit_of_a_test_names_no_address(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await send(database, await add_user(database, email="lin@example.com"))
    ((detail,),) = await fetch(database, "SELECT detail::text FROM notifier.audit WHERE act = 'test.asked'")
    assert "example.com" not in detail


async def test_an_sms_test_is_counted_with_its_mark(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    by = await add_user(database, phone="+12125550123")
    content = SmsContent(text="【江畔银行】" + "字" * 64, parts=1, encoding="UCS-2")
    async with database.transaction() as tx:
        await send_test(tx, team_id=1, by=by, channel=Channel.SMS, content=content, locale="zh-CN")
    (note,) = await notes(database)
    assert note["content"]["text"].startswith("【江畔银行】【测试】字")
    assert note["content"]["parts"] == 2


@pytest.mark.parametrize(("channel", "field"), [(Channel.EMAIL, "email"), (Channel.SMS, "phone")])
async def test_who_has_no_address_is_told_where_to_fill_it_in(
    database: Database, tmp_path: Path, channel: Channel, field: str
) -> None:
    await scene(database, tmp_path)
    with pytest.raises(InputError, match="/me") as caught:
        await send(database, await add_user(database), channel)
    assert caught.value.field == field
    assert await notes(database) == []


async def test_a_key_of_no_user_gets_no_test(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    with pytest.raises(InputError, match="stands for no user"):
        await send(database, Person(name="api-key:1"))


async def test_a_disabled_user_gets_no_test(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    by = await add_user(database, email="lin@example.com")
    await execute(database, "UPDATE notifier.users SET disabled_at = now()")
    with pytest.raises(InputError, match="disabled"):
        await send(database, by)


async def test_twenty_tests_an_hour_are_enough(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    by = await add_user(database, email="lin@example.com")
    for _ in range(TESTS_PER_HOUR):
        await send(database, by)
    with pytest.raises(TooManyTests):
        await send(database, by)
    other = await add_user(database, "wang", email="wang@example.com")
    await send(database, other)
    await pass_time(database, timedelta(minutes=61))
    await send(database, by)
    assert len(await notes(database)) == TESTS_PER_HOUR + 2


async def test_a_channel_no_account_carries_is_named(database: Database, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), **{"campaigns/accounts/sms.yaml": None})
    with pytest.raises(InputError, match="no account sends sms"):
        await send(database, await add_user(database, phone="+12125550123"), Channel.SMS)


async def test_a_step_is_tested_with_a_real_contact_of_the_run(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path, TWO_WAYS)
    await add_contact(database, settings, "c1", name="欧阳")
    run = await launch_and_plan(database)
    by = await add_user(database, email="lin@example.com")
    async with database.transaction() as tx:
        fresh = await get_run(tx, run.id)
        await ask_for_test(tx, fresh, step="inform", channel=Channel.EMAIL, locale="zh-CN", by=by)
    (note,) = await notes(database)
    assert "尊敬的欧阳" in note["content"]["text"]
    assert (note["step"], note["locale"]) == ("inform", "zh-CN")


async def test_a_step_is_tested_before_anybody_is_meant(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    run = await launch(database)
    by = await add_user(database, email="lin@example.com")
    async with database.transaction() as tx:
        await ask_for_test(tx, run, step="inform", channel=Channel.EMAIL, locale="en", by=by)
    (note,) = await notes(database)
    assert note["content"]["subject"].startswith("[TEST] Note")


async def test_a_step_there_is_not_or_a_post_is_refused(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    run = await launch(database)
    by = await add_user(database, email="lin@example.com")
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await ask_for_test(tx, run, step="nothing", channel=Channel.EMAIL, locale="", by=by)
        with pytest.raises(InputError, match="one person"):
            await ask_for_test(tx, run, step="inform", channel=Channel.SOCIAL, locale="", by=by)


# ── proofs ────────────────────────────────────────────────────────────────────────────────────────


async def test_each_reader_gets_one_copy_per_step_and_channel_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path, TWO_WAYS)
    await add_contact(database, settings, "c1", phone="+12125550101")
    await add(database)
    await add(database, ProofReader(id=0, name="both", email="b@example.com", phone="+12125550199", locale="en"))
    await launch_and_plan(database)
    assert await queue_proofs(database) == 3
    assert await queue_proofs(database) == 0
    found = await notes(database)
    assert {(n["channel"], n["address"], n["locale"]) for n in found} == {
        ("email", "proof@example.com", "zh-CN"),
        ("email", "b@example.com", "en"),
        ("sms", "+12125550199", "en"),
    }
    assert all(n["kind"] == "proof" for n in found)
    by_way = {(n["channel"], n["locale"]): n["content"] for n in found}
    assert by_way["email", "zh-CN"]["subject"].startswith("【样稿】通知")
    assert "[PROOF] " in by_way["sms", "en"]["text"]


async def test_nobody_reads_what_no_second_person_let_out(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path, campaign("staff", more="audience: {kind: employee}\n"))
    await add_contact(database, settings, "e1", kind=ContactKind.EMPLOYEE)
    await add(database)
    await launch_and_plan(database, "staff")
    assert await fetch(database, "SELECT needs_second FROM notifier.releases") == [(False,)]
    assert await queue_proofs(database) == 0
    assert await fetch(database, "SELECT proofed_at IS NULL FROM notifier.run_steps") == [(False,)]


async def test_the_database_itself_refuses_a_second_proof(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await add(database)
    await launch_and_plan(database)
    await queue_proofs(database)
    await execute(database, "UPDATE notifier.run_steps SET proofed_at = NULL")
    assert await queue_proofs(database) == 0
    assert len(await notes(database)) == 1


async def test_nobody_reads_a_step_that_writes_to_nobody(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await add(database)
    await launch_and_plan(database)
    assert await queue_proofs(database) == 0


async def test_a_reader_who_comes_later_gets_no_old_proofs(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await queue_proofs(database)
    await add(database)
    assert await queue_proofs(database) == 0


async def test_an_emergency_is_read_too(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, tmp_path, campaign(purpose="emergency"))
    await add_contact(database, settings, "c1")
    await add(database)
    await launch_and_plan(database)
    assert await queue_proofs(database) == 1


async def test_a_proof_holds_no_live_link(database: Database, settings: Settings, tmp_path: Path) -> None:
    survey = "ask: {by: [email], survey: opinion, template: survey-invitation}"
    await scene(database, tmp_path, campaign(steps=survey))
    await add_contact(database, settings, "c1")
    await add(database)
    await launch_and_plan(database)
    await queue_proofs(database)
    (note,) = await notes(database)
    assert "/s/" in note["content"]["text"]
    assert settings.public_url not in str(note["content"])


async def test_proofs_are_in_no_count(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    tables = ("messages", "recipients", "tallies", "events", "invitations", "responses")
    count = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM notifier.{name}" for name in tables)
    before = await fetch(database, count)
    await add(database)
    await execute(database, "UPDATE notifier.run_steps SET proofed_at = NULL")
    assert await queue_proofs(database) == 1
    assert await fetch(database, count) == before


async def test_a_text_that_cannot_be_shown_holds_up_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    template = "template: note\ntitle: N\nvariables:\n  contact.attributes.city: {example: X}\nsubject: N\n"
    files = {"templates/note/template.yaml": template, "templates/note/sms.zh-CN.txt": "{{ contact.attributes.city }}"}
    await set_now(database)
    await define(database, tmp_path, campaign(steps="inform: {channels: [sms], template: note}"), **files)
    await add_contact(database, settings, "c1", phone="+12125550101")
    await add(database, ProofReader(id=0, name="r", email="", phone="+12125550199", locale="zh-CN"))
    await launch_and_plan(database)
    assert await queue_proofs(database) == 0
    assert await fetch(database, "SELECT state FROM notifier.runs") == [("running",)]
    assert await plan_due(database)


async def test_a_customer_who_reads_proofs_gets_the_message_too_and_keeps_their_consent(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await add(database, ProofReader(id=0, name="c1", email="c1@example.com", phone="", locale="zh-CN"))
    await launch_and_plan(database)
    await queue_proofs(database)
    assert await fetch(database, "SELECT state, count(*)::int FROM notifier.messages GROUP BY 1") == [("queued", 1)]
    assert [note["address"] for note in await notes(database)] == ["c1@example.com"]


# ── the list ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_proof_list_is_audited_without_addresses(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    reader_id = await add(database)
    by = Person(name="lin")
    async with database.transaction() as tx:
        changed = ProofReader(id=reader_id, name="Reader", email="", phone="+12125550199", locale="en")
        await change_reader(tx, 1, changed, by)
        await remove_reader(tx, 1, reader_id, by)
    rows = await fetch(
        database, "SELECT act, actor, detail::text FROM notifier.audit WHERE act NOT LIKE 'definition.%' ORDER BY id"
    )
    told = [(act, actor) for act, actor, _ in rows]
    assert told == [("proof-reader.added", "lin"), ("proof-reader.changed", "lin"), ("proof-reader.removed", "lin")]
    assert not any("example.com" in detail or "5550199" in detail for _, _, detail in rows)


@pytest.mark.parametrize(
    ("reader", "field"),
    [
        (ProofReader(id=0, name="", email="a@example.com", phone="", locale=""), "name"),
        (ProofReader(id=0, name="a", email="", phone="", locale=""), "email"),
    ],
)
async def test_a_reader_needs_a_name_and_an_address(database: Database, reader: ProofReader, field: str) -> None:
    with pytest.raises(InputError) as caught:
        await add(database, reader)
    assert caught.value.field == field


async def test_removing_a_reader_keeps_what_they_got(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    reader_id = await add(database)
    await launch_and_plan(database)
    await queue_proofs(database)
    async with database.transaction() as tx:
        await remove_reader(tx, 1, reader_id, Person(name="lin"))
        with pytest.raises(NotFound):
            await remove_reader(tx, 1, reader_id, Person(name="lin"))
    assert len(await notes(database)) == 1


async def test_workers_side_by_side_queue_each_proof_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path, TWO_WAYS, campaign("other"))
    await add_contact(database, settings, "c1", phone="+12125550101")
    for number in range(3):
        await add(database, ProofReader(id=0, name=f"r{number}", email=f"r{number}@example.com", phone="", locale="en"))
    await launch_and_plan(database)
    await launch_and_plan(database, "other")
    queued = await asyncio.gather(*(queue_proofs(database) for _ in range(4)))
    assert sum(queued) == len(await notes(database)) == 6
