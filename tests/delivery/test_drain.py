"""Drain: from due rows to providers and back to rows, whatever goes wrong with a single message, account or run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from notifier.delivery.accounts import Accounts
from notifier.delivery.drain import Sender
from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.domain.keys import derive_keys
from notifier.domain.links import message_token
from notifier.planning.control import stop_run
from notifier.providers.base import Capabilities, Provider, WithoutCallbacks
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.database import Database
from notifier.store.progress import next_moment
from notifier.store.queue import open_redis
from tests.builders import (
    FILES,
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    kept,
    launch_and_plan,
    open_sender,
    opt_out,
    pass_time,
    set_now,
    state_counts,
    states,
)
from tests.peers.smtp_peer import SmtpPeer, smtp_peer
from tests.peers.twilio_peer import ACCOUNT_SID, AUTH_TOKEN, twilio_peer

BY_SMS = campaign(steps="inform: {channels: [sms], template: note}")
MARKETING = campaign(purpose="marketing", more="topic: education\n")
ORDINARY = 7  # of the 8 connections of the settings one is kept for what is urgent


def _smtp(port: int) -> str:
    return (
        "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
        f"settings: {{host: 127.0.0.1, port: {port}, tls: none, timeout_s: 5, final_timeout_s: 5}}\n"
    )


async def _scene(
    database: Database, folder: Path, text: str = campaign(), files: Mapping[str, str | None] | None = None
) -> None:
    await set_now(database)
    await define(database, folder, text, **(files or {}))


@dataclass
class Scripted(WithoutCallbacks):
    """A provider that does what it is told for each address; anything else it accepts."""

    by_address: dict[str, Exception] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    sent: list[Outgoing] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)
    begun_for: set[str] = field(default_factory=set)
    name: str = "scripted"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(channels=frozenset()))

    async def send(self, outgoing: Outgoing) -> Acceptance:
        self.begun.set()
        self.begun_for.add(outgoing.to)
        if len(self.begun_for) == ORDINARY:
            self.all_begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if outgoing.to in self.by_address:
            raise self.by_address[outgoing.to]
        self.sent.append(outgoing)
        return Acceptance(provider_ref=f"ref-{len(self.sent)}", detail="ok")

    async def aclose(self) -> None:
        """Nothing is open."""


class _Accounts(Accounts):
    provider: Provider

    async def get(self, definition_id: int) -> tuple[Account, Provider]:
        account, _ = await super().get(definition_id)
        return account, self.provider


class ScriptedSender(Sender):
    """A sender whose only provider is the scripted one."""

    def __init__(self, settings: Settings, database: Database, provider: Scripted) -> None:
        accounts = _Accounts(settings, database)
        accounts.provider = provider
        super().__init__(settings, database, worker="test", accounts=accounts)


@pytest.fixture
async def scripted(settings: Settings, database: Database) -> AsyncIterator[tuple[ScriptedSender, Scripted]]:
    provider = Scripted()
    sender = ScriptedSender(settings, database, provider)
    yield sender, provider
    await sender.aclose()


async def test_a_due_message_is_sent_and_its_account_is_kept(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1", locale="en", name="Anna Adams")
    await launch_and_plan(database, inputs={"word": "hello"})
    drained = await drain(settings, database)
    assert (drained.sent, drained.settled, drained.more) == (1, 0, False)
    ((state, account, locale, ref, agreed, accepted),) = await fetch(
        database,
        """
        SELECT state, account, locale, provider_ref, content_hash IS NOT NULL, accepted_at IS NOT NULL
        FROM notifier.messages
        """,
    )
    assert (state, account, locale, agreed, accepted) == ("accepted", "email", "en", True, True)
    ((recipient, public_id),) = await kept(database)
    assert (recipient, ref) == ("c1@example.com", f"sandbox-{public_id}")
    assert await fetch(database, "SELECT event_key, kind, reason FROM notifier.events") == [
        ("accepted:1", "accepted", "kept")
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]
    await assert_tallies_agree(database)


async def test_an_email_over_smtp_carries_all_its_headers(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer() as peer:
        await _scene(database, tmp_path, MARKETING, {"campaigns/accounts/email.yaml": _smtp(peer.port)})
        await add_contact(database, settings, "c1", opt_in=("email/education",))
        await launch_and_plan(database, inputs={"word": "防骗"})
        await drain(settings, database, 4)
        (mail,) = peer.mails
    message = message_from_bytes(mail.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert (mail.mail_from, mail.rcpt_to) == ("notices@riverside-bank.example", "c1@example.com")
    assert message["To"] == "c1@example.com"
    assert message["Subject"] == "通知防骗"
    assert message["From"].addresses[0].display_name == "江畔银行"
    assert message["Reply-To"] == "service@riverside-bank.example"
    assert message["List-Id"].strip("<>") == "education.riverside-bank.example"
    assert message["List-Unsubscribe"].startswith("<https://notify.riverside-bank.example/u/")
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    ((run_id, message_id, ref, state),) = await fetch(
        database, "SELECT run_id, id, provider_ref, state FROM notifier.messages"
    )
    public_id = message_token(derive_keys(settings.secret).links, run_id, message_id)
    assert message["Message-ID"] == f"<{public_id}@riverside-bank.example>"
    assert (state, ref) == ("accepted", "Q1")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "尊敬的王芳：通知防骗" in text.get_content()
    assert "尊敬的王芳：防骗" in html.get_content()


async def test_a_service_email_without_topic_has_no_list_headers(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer() as peer:
        await _scene(database, tmp_path, files={"campaigns/accounts/email.yaml": _smtp(peer.port)})
        await add_contact(database, settings, "c1")
        await launch_and_plan(database)
        await drain(settings, database)
        message = message_from_bytes(peer.mails[0].data, policy=policy.default)
    assert (message["List-Id"], message["List-Unsubscribe"]) == (None, None)


async def test_a_lost_reply_is_in_doubt_and_goes_again_with_the_same_message_id(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer(SmtpPeer(replies={".": "drop"})) as peer:
        await _scene(database, tmp_path, files={"campaigns/accounts/email.yaml": _smtp(peer.port)})
        await add_contact(database, settings, "c1")
        await launch_and_plan(database)
        await drain(settings, database)
        assert await state_counts(database) == {"uncertain": 1}
        await settle_doubts(database)
        assert await state_counts(database) == {"uncertain": 1}  # a report may still come
        await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
        assert (await settle_doubts(database)).resent == 1
        del peer.replies["."]
        await drain(settings, database)
        assert await state_counts(database) == {"accepted": 1}
        await assert_tallies_agree(database)
        ids = {message_from_bytes(mail.data)["Message-ID"] for mail in peer.mails}
    assert len(peer.mails) == 2
    assert len(ids) == 1


async def test_an_sms_over_twilio_says_where_to_report(
    database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TWILIO_TOKEN", AUTH_TOKEN)
    async with twilio_peer() as peer:
        account = (
            'account: sms\ntitle: SMS\nchannel: sms\nprovider: twilio\nsender: "+12125550100"\n'
            f'settings: {{account_sid: {ACCOUNT_SID}, api_base: "{peer.address}"}}\n'
            "secrets: {auth_token: {env: TEST_TWILIO_TOKEN}}\n"
        )
        await _scene(database, tmp_path, BY_SMS, {"campaigns/accounts/sms.yaml": account})
        await add_contact(database, settings, "c1", phone="+12125550123")
        await launch_and_plan(database)
        await drain(settings, database)
        (request,) = peer.requests
    form = request.form()
    assert (form["To"], form["From"]) == ("+12125550123", "+12125550100")
    assert form["Body"] == "【江畔银行】尊敬的王芳：通知好"
    assert form["StatusCallback"].startswith("https://notify.riverside-bank.example/hooks/twilio/sms?")
    assert int(form["ValidityPeriod"]) == 36_000
    assert await fetch(database, "SELECT state, parts, left(provider_ref, 2) FROM notifier.messages") == [
        ("accepted", 1, "SM")
    ]


async def test_only_links_to_the_banks_own_domains_are_tracked(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    links = (
        '<a href="https://www.riverside-bank.example/a?x=1&amp;y=2">a</a><a href="https://other.example/b">b</a>'
        '<a href="https://riverside-bank.example.evil.example/c">c</a>'
        '<a href="https://notify.riverside-bank.example/p/own">d</a>'
    )
    async with smtp_peer() as peer:
        files = {"templates/note/email.zh-CN.html": links, "campaigns/accounts/email.yaml": _smtp(peer.port)}
        await _scene(database, tmp_path, files=files)
        await add_contact(database, settings, "c1")
        await launch_and_plan(database)
        await drain(settings, database)
        message = message_from_bytes(peer.mails[0].data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("html",))
    assert body is not None
    html = body.get_content()
    assert html.count("https://notify.riverside-bank.example/l/l.") == 1
    assert 'href="https://other.example/b"' in html
    assert 'href="https://riverside-bank.example.evil.example/c"' in html
    assert 'href="https://notify.riverside-bank.example/p/own"' in html
    assert await fetch(database, "SELECT target FROM notifier.links") == [
        ("https://www.riverside-bank.example/a?x=1&y=2",)
    ]


async def test_an_undefined_variable_fails_that_message_only(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    files = {"templates/note/email.zh-CN.txt": "{{ contact.attributes.branch }}"}
    files["templates/note/template.yaml"] = FILES["templates/note/template.yaml"].replace(
        "variables:\n", "variables:\n  contact.attributes.branch: {example: 静安支行}\n"
    )
    await _scene(database, tmp_path, files=files)
    await add_contact(database, settings, "c1", attributes={"branch": "外滩支行"})
    await add_contact(database, settings, "c2")
    await launch_and_plan(database)
    await drain(settings, database)
    (_, first, _), (_, second, reason) = await states(database)
    assert (first, second) == ("accepted", "failed")
    assert "contact.attributes.branch" in reason
    await assert_tallies_agree(database)


async def test_try_again_waits_as_told_and_goes_again(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = TryAgain("mailbox busy", after_s=400, code="451")
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    ((state, due_in),) = await fetch(
        database, "SELECT state, extract(epoch FROM due_at - notifier.now())::float FROM notifier.messages"
    )
    assert state == "queued"
    assert 390 < due_in <= 480
    assert await fetch(database, "SELECT kind, code, reason FROM notifier.events") == [
        ("deferred", "451", "mailbox busy")
    ]
    provider.by_address.clear()
    await pass_time(database, timedelta(minutes=8))
    await sender.drain_lane(3)
    assert await state_counts(database) == {"accepted": 1}
    assert await fetch(database, "SELECT attempts FROM notifier.messages") == [(2,)]
    await assert_tallies_agree(database)


async def test_what_was_turned_away_is_checked_again_before_it_goes(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = TryAgain("greylisted", after_s=60)
    await _scene(database, tmp_path)
    contact = await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    provider.by_address.clear()
    await opt_out(database, contact)
    await pass_time(database, timedelta(minutes=15))
    await sender.drain_lane(3)
    assert await states(database) == [("c1", "refused", "opted-out")]
    assert provider.sent == []


async def test_a_provider_that_says_at_once_again_makes_no_message_spin(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = TryAgain("busy", after_s=0)
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    drained = await asyncio.wait_for(sender.drain_lane(3), 5)
    assert (drained.sent, drained.more) == (1, False)


async def test_try_again_past_the_expiry_expires(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = TryAgain("come back tomorrow", after_s=90_000)
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    assert await state_counts(database) == {"expired": 1}
    assert await fetch(database, "SELECT kind FROM notifier.events") == [("expired",)]
    await assert_tallies_agree(database)


@pytest.mark.parametrize(("fault", "suppressed"), [(Fault.RECIPIENT, 1), (Fault.CONTENT, 0)])
async def test_never_again_fails_and_only_a_bad_address_is_suppressed(
    database: Database,
    settings: Settings,
    tmp_path: Path,
    scripted: tuple[ScriptedSender, Scripted],
    fault: Fault,
    suppressed: int,
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = NeverAgain("no such user", code="550", fault=fault)
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    assert await states(database) == [("c1", "failed", "no such user")]
    assert await fetch(
        database,
        """
        SELECT count(*)::int FROM notifier.suppressions s JOIN notifier.addresses a USING (address_key)
        WHERE s.reason = 'invalid'
        """,
    ) == [(suppressed,)]
    await assert_tallies_agree(database)


async def test_an_exception_nobody_expected_leaves_only_its_message_in_doubt(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c2@example.com"] = ZeroDivisionError("poison")
    await _scene(database, tmp_path)
    for number in range(1, 4):
        await add_contact(database, settings, f"c{number}")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    assert await states(database) == [
        ("c1", "accepted", ""),
        ("c2", "uncertain", "unexpected ZeroDivisionError"),
        ("c3", "accepted", ""),
    ]
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]


async def test_a_message_that_is_in_doubt_each_time_goes_ever_more_rarely_until_it_expires(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = OutcomeUnknown("lost")
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    attempts = []
    for _ in range(14):
        await sender.drain_lane(3)
        attempts += [count for (count,) in await fetch(database, "SELECT attempts FROM notifier.messages")]
        await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
        await settle_doubts(database)
    assert attempts == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]
    await pass_time(database, timedelta(days=1))
    await settle_doubts(database)
    assert await state_counts(database) == {"expired": 1}
    await assert_tallies_agree(database)


@pytest.mark.parametrize("purpose", ["marketing", "transactional"])
async def test_where_doubt_is_asked_nothing_goes_again_by_itself(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted], purpose: str
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = OutcomeUnknown("lost")
    await _scene(database, tmp_path, campaign(purpose=purpose))
    await add_contact(database, settings, "c1", opt_in=("email",))
    await launch_and_plan(database)
    await sender.drain_lane({"transactional": 2, "marketing": 4}[purpose])
    await pass_time(database, timedelta(days=10))
    await settle_doubts(database)
    assert await state_counts(database) == {"uncertain": 1}


async def test_an_emergency_outlives_a_minute_without_answers(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = OutcomeUnknown("503")
    await _scene(database, tmp_path, campaign(purpose="emergency"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    for _ in range(12):
        await sender.drain_lane(1)
        await pass_time(database, timedelta(seconds=5))
        await settle_doubts(database)
    ((attempts, due_in),) = await fetch(
        database, "SELECT attempts, extract(epoch FROM changed_at - notifier.now())::float FROM notifier.messages"
    )
    assert attempts == 3  # at once, after 10 s and after 20 s more
    assert due_in < 0
    provider.by_address.clear()
    async with database.transaction() as tx:
        moment = await next_moment(tx, RECONCILE_FOR)
    assert moment is not None
    async with database.transaction() as tx:
        await clock.advance_to(tx, moment)
    assert (await settle_doubts(database)).resent == 1
    await sender.drain_lane(1)
    assert await state_counts(database) == {"accepted": 1}
    await assert_tallies_agree(database)


async def test_the_next_moment_of_a_doubt_that_may_not_go_again_is_none(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = OutcomeUnknown("lost")
    await _scene(database, tmp_path, campaign(purpose="transactional"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(2)
    async with database.transaction() as tx:
        assert await next_moment(tx, RECONCILE_FOR) is None


async def test_who_told_the_carrier_to_stop_is_opted_out_and_not_invalid(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.by_address["c1@example.com"] = NeverAgain("opted out", code="21610", fault=Fault.OPTED_OUT)
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await sender.drain_lane(3)
    assert await states(database) == [("c1", "failed", "opted out")]
    assert await fetch(database, "SELECT channel, act, source FROM notifier.consents") == [
        ("email", "opt-out", "carrier: 21610")
    ]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.suppressions WHERE reason = 'invalid'") == [(0,)]


async def test_an_emergency_does_not_wait_for_the_connections_of_marketing(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    held = provider.hold = asyncio.Event()
    await _scene(database, tmp_path, MARKETING)
    await define(database, tmp_path, campaign("alarm", purpose="emergency"))
    for number in range(10):
        await add_contact(database, settings, f"c{number:02}", opt_in=("email",))
    await launch_and_plan(database)
    marketing = asyncio.create_task(sender.drain_lane(4))
    await asyncio.wait_for(provider.all_begun.wait(), 10)
    provider.hold = None
    await launch_and_plan(database, "alarm")
    await asyncio.wait_for(sender.drain_lane(1), 10)
    assert len(provider.sent) == 10
    held.set()
    await marketing
    assert await state_counts(database) == {"accepted": 20}


async def test_an_account_that_cannot_be_opened_makes_messages_wait(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    account = (
        'account: sms\ntitle: SMS\nchannel: sms\nprovider: twilio\nsender: "+12125550100"\n'
        f"settings: {{account_sid: {ACCOUNT_SID}}}\nsecrets: {{auth_token: {{env: TEST_NO_SUCH_TOKEN}}}}\n"
    )
    await _scene(database, tmp_path, BY_SMS, {"campaigns/accounts/sms.yaml": account})
    await add_contact(database, settings, "c1", phone="+12125550123")
    await launch_and_plan(database)
    await drain(settings, database)
    assert await state_counts(database) == {"queued": 1}
    ((reason,),) = await fetch(database, "SELECT reason FROM notifier.events")
    assert "TEST_NO_SUCH_TOKEN" in reason


async def test_a_run_whose_template_cannot_be_used_is_stopped_and_others_go_on(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await define(database, tmp_path, campaign("other"))
    await add_contact(database, settings, "c1")
    bad = await launch_and_plan(database)
    await execute(
        database,
        "UPDATE notifier.run_steps SET template_id = (SELECT id FROM notifier.definitions WHERE kind = 'bank' LIMIT 1)",
    )
    good = await launch_and_plan(database, "other")
    await drain(settings, database)
    rows = await fetch(database, "SELECT id, state, problem <> '' FROM notifier.runs ORDER BY id")
    assert rows == [(bad.id, "stopped", True), (good.id, "running", False)]
    assert len(await kept(database)) == 1


async def test_what_was_cut_off_is_recorded_for_what_it_is(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.hold = asyncio.Event()
    await _scene(database, tmp_path)
    for number in range(12):
        await add_contact(database, settings, f"c{number:02}")
    await launch_and_plan(database)
    working = asyncio.create_task(sender.drain_lane(3))
    await asyncio.wait_for(provider.all_begun.wait(), 10)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    # So many were on the wire, the others had not begun.
    assert await state_counts(database) == {"uncertain": ORDINARY, "queued": 5}
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]
    await assert_tallies_agree(database)


async def test_what_waited_for_its_turn_when_the_contact_opted_out_is_not_sent(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.hold = asyncio.Event()
    await _scene(database, tmp_path)
    contacts = {f"c{number:02}": await add_contact(database, settings, f"c{number:02}") for number in range(10)}
    await launch_and_plan(database)
    working = asyncio.create_task(sender.drain_lane(3))
    await provider.begun.wait()
    await asyncio.sleep(1.1)
    waiting = next(name for name in contacts if f"{name}@example.com" not in provider.begun_for)
    await opt_out(database, contacts[waiting])
    provider.hold.set()
    await working
    assert len(provider.sent) == 9
    assert (waiting, "refused", "opted-out") in await states(database)
    await assert_tallies_agree(database)


async def test_what_waited_behind_a_slow_mail_server_when_its_run_was_stopped_is_not_sent(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer(SmtpPeer(dots_wait=asyncio.Event())) as peer:
        account = _smtp(peer.port).replace("_s: 5", "_s: 60").replace("settings: {", "settings: {connections: 2, ")
        await _scene(database, tmp_path, files={"campaigns/accounts/email.yaml": account})
        for number in range(6):
            await add_contact(database, settings, f"c{number}")
        run = await launch_and_plan(database)
        async with open_sender(settings, database) as sender, asyncio.timeout(60):
            working = asyncio.create_task(sender.drain_lane(3))
            for _ in range(6_000):
                if peer.mails:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(1.1)  # the others are at hand and in line
            begun = len(peer.mails)
            async with database.transaction() as tx:
                await stop_run(tx, run.id, "op")
            assert peer.dots_wait is not None
            peer.dots_wait.set()
            await working
            found = await fetch(database, "SELECT state, attempts, count(*) FROM notifier.messages GROUP BY 1, 2")
            assert sorted(found) == [("accepted", 1, begun), ("queued", 0, 6 - begun)]
            assert len(peer.mails) == begun < 3
            await execute(database, "UPDATE notifier.runs SET state = 'running'")
            while len(peer.mails) < 6:
                await sender.drain_lane(3)
        assert len({mail.rcpt_to for mail in peer.mails}) == len(peer.mails) == 6
    await assert_tallies_agree(database)


async def test_a_mail_server_slower_than_a_stop_gets_everything_at_the_first_try(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with smtp_peer(SmtpPeer(dots_wait=asyncio.Event())) as peer:
        account = _smtp(peer.port).replace("_s: 5", "_s: 60").replace("settings: {", "settings: {connections: 2, ")
        await _scene(database, tmp_path, files={"campaigns/accounts/email.yaml": account})
        for number in range(6):
            await add_contact(database, settings, f"c{number}")
        await launch_and_plan(database)
        async with open_sender(settings, database) as sender, asyncio.timeout(60):
            working = asyncio.create_task(sender.drain_lane(3))
            await asyncio.sleep(1.1)
            assert peer.dots_wait is not None
            peer.dots_wait.set()
            await working
        assert await fetch(database, "SELECT state, attempts, count(*) FROM notifier.messages GROUP BY 1, 2") == [
            ("accepted", 1, 6)
        ]
        assert peer.connections <= 2
    assert len(peer.mails) == 6


async def test_a_sender_told_to_stop_claims_nothing_more(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    async with open_sender(settings, database) as sender:
        sender.stop_claiming()
        await sender.drain_lane(3)
    assert await state_counts(database) == {"queued": 1}


async def test_runs_of_a_lane_share_its_time(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    await _scene(database, tmp_path)
    await define(database, tmp_path, campaign("other"))
    for number in range(200):
        await add_contact(database, settings, f"c{number:03}")
    first = await launch_and_plan(database)
    second = await launch_and_plan(database, "other")
    await sender.drain_lane(3, budget_s=0.02)
    rows: list[tuple[Any, ...]] = await fetch(
        database, "SELECT run_id, count(*)::int FROM notifier.messages WHERE state = 'accepted' GROUP BY 1 ORDER BY 1"
    )
    assert [run for run, _ in rows] == [first.id, second.id]
    assert provider.sent


async def test_a_post_goes_to_its_accounts_without_an_address(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, tmp_path, campaign(steps="post: {social: [wall, paper], template: note}"))
    await launch_and_plan(database)
    await drain(settings, database)
    rows = await fetch(
        database, 'SELECT account, state, contact_id FROM notifier.messages ORDER BY account COLLATE "C"'
    )
    assert rows == [("paper", "to-post", None), ("wall", "accepted", None)]
    assert [recipient for recipient, _ in await kept(database)] == ["wall"]


async def test_emergency_content_is_kept_as_sent(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path, campaign(purpose="emergency"))
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    await drain(settings, database, 1)
    ((content,),) = await fetch(database, "SELECT content FROM notifier.messages")
    assert content["subject"] == "通知好"


async def test_a_batch_that_lost_its_lease_records_nothing(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.hold = asyncio.Event()
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    await launch_and_plan(database)
    working = asyncio.create_task(sender.drain_lane(3))
    await provider.begun.wait()
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    assert (await settle_doubts(database)).in_doubt == 1
    provider.hold.set()
    await working
    assert await states(database) == [("c1", "uncertain", "the worker died")]
    await assert_tallies_agree(database)


async def test_claims_of_marketing_are_as_many_as_connections(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.hold = asyncio.Event()
    await _scene(database, tmp_path, campaign(purpose="marketing"), {"campaigns/accounts/email.yaml": _smtp(25)})
    for number in range(12):
        await add_contact(database, settings, f"c{number:02}", opt_in=("email",))
    await launch_and_plan(database)
    working = asyncio.create_task(sender.drain_lane(4))
    await asyncio.wait_for(provider.all_begun.wait(), 10)
    assert await state_counts(database) == {"sending": ORDINARY, "queued": 5}
    provider.hold.set()
    await working
    assert await state_counts(database) == {"accepted": 12}


async def test_an_account_with_fewer_connections_is_given_fewer_messages(
    database: Database, settings: Settings, tmp_path: Path, scripted: tuple[ScriptedSender, Scripted]
) -> None:
    sender, provider = scripted
    provider.hold = asyncio.Event()
    provider.capabilities = Capabilities(channels=frozenset(), slots=3)
    await _scene(database, tmp_path, campaign(purpose="marketing"), {"campaigns/accounts/email.yaml": _smtp(25)})
    for number in range(6):
        await add_contact(database, settings, f"c{number}", opt_in=("email",))
    await launch_and_plan(database)
    working = asyncio.create_task(sender.drain_lane(4))
    await provider.begun.wait()
    await asyncio.sleep(0.2)
    assert await state_counts(database) == {"sending": 2, "queued": 4}
    assert len(provider.begun_for) == 2
    provider.hold.set()
    await working
    assert await state_counts(database) == {"accepted": 6}


async def test_redis_is_not_needed_to_send(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, tmp_path)
    await add_contact(database, settings, "c1")
    run = await launch_and_plan(database)
    redis = open_redis(settings.redis_url)
    await redis.flushall()
    await redis.aclose()
    batch = await claim(database, run.id, limit=1)
    assert len(batch.messages) == 1
