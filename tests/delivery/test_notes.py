"""Notes on the wire: once, marked, over the real accounts, and unknown to the ledger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from notifier.delivery.accounts import Accounts
from notifier.delivery.callbacks import apply_callbacks
from notifier.delivery.notes import UNKNOWN, NoteSender
from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.errors import NeverAgain, OutcomeUnknown, TryAgain
from notifier.domain.keys import derive_keys
from notifier.domain.links import LinkKind, read_link
from notifier.domain.person import Person
from notifier.planning.alarms import alarm_break_glass
from notifier.planning.notes import queue_proofs, send_test
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.notes import LEASE_S, claim_notes, forget_old_notes
from notifier.store.sandbox import list_unreported
from notifier.store.views.sandbox import list_items
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    drain,
    execute,
    fetch,
    kept,
    launch,
    launch_and_plan,
    pass_time,
    set_now,
)
from tests.delivery.test_drain import Scripted, ScriptedSender, scripted
from tests.peers.smtp_peer import smtp_peer
from tests.planning.test_notes import add, add_user, scene

__all__ = ["scripted"]
MAIL = EmailContent(subject="通知", html="<body>正文</body>", text="正文\n")


@asynccontextmanager
async def note_sender(settings: Settings, database: Database) -> AsyncIterator[NoteSender]:
    """Notes over the accounts as they are."""
    accounts = Accounts(settings, database)
    key = derive_keys(settings.secret).links
    yield NoteSender(database, accounts, public_url=settings.public_url, key=key)
    await accounts.aclose()


def over(sender: ScriptedSender, settings: Settings, database: Database) -> NoteSender:
    """Notes over the scripted provider."""
    return NoteSender(database, sender.accounts, public_url=settings.public_url, key=derive_keys(settings.secret).links)


async def ask(database: Database, by: Person, count: int = 1) -> None:
    """Tests by e-mail."""
    async with database.transaction() as tx:
        for _ in range(count):
            await send_test(tx, team_id=1, by=by, channel=Channel.EMAIL, content=MAIL, locale="zh-CN")


async def states(database: Database) -> list[tuple[str, str]]:
    """(state, problem) of each note."""
    rows = await fetch(database, "SELECT state, problem FROM notifier.notes ORDER BY id")
    return [(state, problem) for state, problem in rows]


async def test_a_test_over_smtp_has_our_headers_and_no_list_unsubscribe(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer() as peer:
        await set_now(database)
        account = (
            "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
            f"settings: {{host: 127.0.0.1, port: {peer.port}, tls: none, timeout_s: 5, final_timeout_s: 5}}\n"
        )
        await define(database, tmp_path, campaign(), **{"campaigns/accounts/email.yaml": account})
        await ask(database, await add_user(database, email="lin@example.com"))
        async with note_sender(settings, database) as sender:
            assert await sender.drain() == 1
        (mail,) = peer.mails
    message = message_from_bytes(mail.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert (mail.mail_from, mail.rcpt_to) == ("notices@riverside-bank.example", "lin@example.com")
    assert message["Subject"] == "【测试】通知"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Reply-To"] == "service@riverside-bank.example"
    assert message["From"].addresses[0].display_name == "江畔银行"
    assert message["List-Unsubscribe"] is message["List-Id"] is None
    token = message["Message-ID"].strip("<>").partition("@")[0]
    key = derive_keys(settings.secret).links
    assert read_link(key, LinkKind.NOTE, token) == (1,)
    assert read_link(key, LinkKind.MESSAGE, token) is None
    assert await states(database) == [("sent", "")]


async def test_the_sandbox_shows_a_note_with_its_mark_and_reports_nothing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"))
    async with note_sender(settings, database) as sender:
        await sender.drain()
    assert await fetch(database, "SELECT recipient, headline, fate FROM notifier.sandbox_items") == [
        ("lin@example.com", "【测试】通知", "none")
    ]
    await pass_time(database, timedelta(days=1))
    async with database.transaction() as tx:
        assert await list_unreported(tx, 10) == []


async def test_notes_are_in_no_count_while_a_run_goes_out(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await add(database)
    run = await launch_and_plan(database)
    assert await queue_proofs(database) == 1
    await ask(database, await add_user(database, email="lin@example.com"))
    await drain(settings, database)
    async with note_sender(settings, database) as sender:
        assert await sender.drain() == 2
        assert not await apply_callbacks(database, providers={}, key=b"x" * 32)
    assert len(await kept(database)) == 3
    assert await fetch(database, "SELECT count(*)::int, min(run_id) FROM notifier.messages") == [(1, run.id)]
    assert await fetch(database, "SELECT recipients FROM notifier.runs") == [(1,)]
    assert await fetch(database, "SELECT sum(delta)::int FROM notifier.tallies") == [(1,)]
    assert await fetch(database, "SELECT kind FROM notifier.events") == [("accepted",)]  # of the message
    for table in ("responses", "suppressions", "consents"):
        assert await fetch(database, f"SELECT count(*) FROM notifier.{table}") == [(0,)]
    await assert_tallies_agree(database)


async def test_an_alarm_leads_to_this_installation(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, tmp_path, campaign(purpose="emergency"))
    run = await launch(database)
    by = await add_user(database, "wang", role="approver")
    await add_user(database, "lin", role="admin", email="lin@example.com", phone="+12125550101")
    async with database.transaction() as tx:
        await alarm_break_glass(tx, run, by, "flood")
    async with note_sender(settings, database) as sender:
        await sender.drain()
    async with database.transaction() as tx:
        (mail,), (sms,) = [await list_items(tx, 1, channel) for channel in ("email", "sms")]
    link = f"{settings.public_url}/runs/{run.id}/review"
    assert f'href="{link}"' in mail.content["html"]
    assert link in mail.content["text"]
    assert link in sms.content["text"]
    assert "\ue000" not in str(mail.content) + str(sms.content)
    assert sms.content["parts"] == 2


async def test_alarms_leave_before_tests(database: Database, tmp_path: Path) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"), 3)
    await execute(database, "UPDATE notifier.notes SET kind = 'alarm' WHERE id = 3")
    async with database.transaction() as tx:
        (first,) = await claim_notes(tx, 1)
    assert first.id == 3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NeverAgain("no such mailbox"), ("failed", "no such mailbox")),
        (OutcomeUnknown("lost"), ("failed", UNKNOWN)),
        (RuntimeError("secret words"), ("failed", UNKNOWN)),
        (TryAgain("busy", after_s=60), ("queued", "busy")),
    ],
)
async def test_only_a_definite_not_now_is_tried_again(
    database: Database,
    settings: Settings,
    tmp_path: Path,
    scripted: tuple[ScriptedSender, Scripted],
    error: Exception,
    expected: tuple[str, str],
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"))
    sender, provider = scripted
    provider.by_address["lin@example.com"] = error
    notes = over(sender, settings, database)
    await notes.drain()
    assert await states(database) == [expected]
    provider.by_address.clear()
    assert await notes.drain() == 0
    assert await fetch(database, "SELECT count(*) FROM notifier.suppressions") == [(0,)]


async def test_a_not_now_goes_again_when_its_time_came_but_not_for_ever(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"))
    sender, provider = scripted
    provider.by_address["lin@example.com"] = TryAgain("busy", after_s=60)
    notes = over(sender, settings, database)
    for _ in range(6):
        assert await notes.drain() == 1
        await execute(database, "UPDATE notifier.notes SET due_at = now()")
    assert await states(database) == [("failed", "busy (tried 6 times)")]


async def test_a_note_is_committed_as_sending_before_it_leaves_and_taken_once(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"))
    sender, provider = scripted
    provider.hold = asyncio.Event()
    notes = over(sender, settings, database)
    first = asyncio.create_task(notes.drain())
    await provider.begun.wait()
    assert await states(database) == [("sending", "")]
    assert await notes.drain() == 0
    provider.hold.set()
    assert await first == 1
    assert len(provider.sent) == 1


async def test_what_a_dead_worker_held_has_failed_and_is_not_sent_again(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"))
    await execute(
        database,
        "UPDATE notifier.notes SET state = 'sending', claimed_at = now() - make_interval(secs => $1)",
        float(LEASE_S + 1),
    )
    sender, provider = scripted
    assert await over(sender, settings, database).drain() == 0
    assert await states(database) == [("failed", UNKNOWN)]
    assert provider.sent == []


async def test_an_account_that_cannot_be_opened_fails_the_note_with_its_reason(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    account = (
        "account: sms\ntitle: SMS\nchannel: sms\nprovider: twilio\nsender: '+12125550100'\n"
        "settings: {account_sid: AC00000000000000000000000000000000}\nsecrets: {auth_token: {env: NOT_THERE_AT_ALL}}\n"
    )
    await define(database, tmp_path, campaign(), **{"campaigns/accounts/sms.yaml": account})
    by = await add_user(database, phone="+12125550101")
    async with database.transaction() as tx:
        content = SmsContent(text="x", parts=1, encoding="GSM-7")
        await send_test(tx, team_id=1, by=by, channel=Channel.SMS, content=content, locale="en")
    async with note_sender(settings, database) as sender:
        await sender.drain()
    ((state, problem),) = await states(database)
    assert state == "failed"
    assert problem
    assert "+1212" not in problem


async def test_line_ends_in_names_and_subjects_make_no_header(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer() as peer:
        await set_now(database)
        account = (
            "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
            f"settings: {{host: 127.0.0.1, port: {peer.port}, tls: none, timeout_s: 5, final_timeout_s: 5}}\n"
        )
        await define(database, tmp_path, campaign(), **{"campaigns/accounts/email.yaml": account})
        by = await add_user(database, email="lin@example.com", name="Lin\r\nBcc: all@example.com")
        content = EmailContent(subject="x\r\nBcc: all@example.com", html="<p>", text="t")
        async with database.transaction() as tx:
            await send_test(tx, team_id=1, by=by, channel=Channel.EMAIL, content=content, locale="en")
        async with note_sender(settings, database) as sender:
            await sender.drain()
        (mail,) = peer.mails
    message = message_from_bytes(mail.data, policy=policy.default)
    assert message["Bcc"] is None
    assert mail.rcpt_to == "lin@example.com"


async def test_an_address_of_two_lines_is_refused_before_the_wire(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer() as peer:
        await set_now(database)
        account = (
            "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
            f"settings: {{host: 127.0.0.1, port: {peer.port}, tls: none, timeout_s: 5, final_timeout_s: 5}}\n"
        )
        await define(database, tmp_path, campaign(), **{"campaigns/accounts/email.yaml": account})
        await ask(database, await add_user(database, email="lin@example.com\r\nRCPT TO:<all@example.com>"))
        async with note_sender(settings, database) as sender:
            await sender.drain()
        assert peer.mails == []
    ((state, _),) = await states(database)
    assert state == "failed"


async def test_what_old_notes_said_is_forgotten_and_that_they_were_sent_is_kept(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, tmp_path)
    await ask(database, await add_user(database, email="lin@example.com"), 2)
    await execute(database, "UPDATE notifier.notes SET state = 'sent' WHERE id = 1")
    async with database.transaction() as tx:
        assert await forget_old_notes(tx) == 0
    await pass_time(database, timedelta(days=31))
    async with database.transaction() as tx:
        assert await forget_old_notes(tx) == 1
        assert await forget_old_notes(tx) == 0
    rows = await fetch(database, "SELECT state, address <> '', content = '{}' FROM notifier.notes ORDER BY id")
    assert rows == [("sent", False, True), ("queued", True, False)]
