"""Look up: after a lost answer the provider is asked; found settles, not there lets the purpose decide."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.callbacks import apply_callbacks
from notifier.delivery.look_up import LOOK_UP_AFTER, LookUps
from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.keys import derive_keys
from notifier.domain.links import message_token
from notifier.domain.message import MessageId, RunId
from notifier.settings import Settings
from notifier.store.callbacks import NewCallback, keep_callback
from notifier.store.database import Database
from notifier.store.messages.doubts import sweep_dead_claims
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    execute,
    fetch,
    launch_and_plan,
    open_sender,
    pass_time,
    set_now,
    states,
)
from tests.peers.http_peer import HttpPeer, Told
from tests.peers.mastodon_peer import TOKEN, Wall, mastodon_peer
from tests.peers.twilio_peer import ACCOUNT_SID, AUTH_TOKEN, Taken, as_taken, twilio_peer

SECOND = timedelta(seconds=1)
BY_SMS = "inform: {channels: [sms], template: note}"


class Desk:
    """A worker's hands on one database."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database

    async def drain(self, lane: int) -> None:
        async with open_sender(self.settings, self.database) as sender:
            await sender.drain_lane(lane)

    async def ask(self) -> int:
        """As the worker does: ask the providers, then settle what may be settled."""
        async with open_sender(self.settings, self.database) as sender:
            look_ups = LookUps(self.settings, self.database, sender.accounts, sender.library)
            asked = await look_ups.ask()
            await settle_doubts(self.database, looked_up=await look_ups.channels())
        return asked


@asynccontextmanager
async def _twilio(
    database: Database, settings: Settings, folder: Path, purpose: str
) -> AsyncIterator[tuple[Taken, HttpPeer]]:
    """A planned run of one SMS whose answer will be lost."""
    taken = Taken()
    taken.lost_answers = 1
    async with twilio_peer(taken) as peer:
        account = (
            'account: sms\ntitle: SMS\nchannel: sms\nprovider: twilio\nsender: "+12125550100"\n'
            f'settings: {{account_sid: {ACCOUNT_SID}, api_base: "{peer.address}"}}\n'
            "secrets: {auth_token: {env: TEST_TWILIO_TOKEN}}\n"
        )
        await set_now(database)
        more = "topic: education\n" if purpose == "marketing" else ""
        text = campaign(purpose=purpose, steps=BY_SMS, more=more)
        await define(database, folder, text, **{"campaigns/accounts/sms.yaml": account})
        contact = await add_contact(database, settings, "c1", phone="+12125550123")
        await execute(
            database,
            """
            INSERT INTO notifier.consents (contact_id, channel, act, source, at)
            VALUES ($1, 'sms', 'opt-in', 'form', notifier.now() - interval '1 day')
            """,
            contact,
        )
        await launch_and_plan(database)
        yield taken, peer


LANES = {"emergency": 1, "transactional": 2, "service": 3, "marketing": 4}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TWILIO_TOKEN", AUTH_TOKEN)
    monkeypatch.setenv("TEST_MASTODON_TOKEN", TOKEN)


@pytest.mark.parametrize("purpose", ["transactional", "service", "marketing"])
async def test_a_lost_answer_is_healed_by_looking_the_message_up(
    database: Database, settings: Settings, tmp_path: Path, purpose: str
) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, purpose) as (taken, peer):
        await desk.drain(LANES[purpose])
        assert [state for _, state, _ in await states(database)] == ["uncertain"]
        assert await desk.ask() == 0  # a callback may still come
        await pass_time(database, LOOK_UP_AFTER + SECOND)
        assert await desk.ask() == 1
        await pass_time(database, RECONCILE_FOR + SECOND)
        assert await desk.ask() == 0
        await desk.drain(LANES[purpose])
        assert len([seen for seen in peer.requests if seen.method == "POST"]) == 1
    assert await fetch(database, "SELECT state, provider_ref FROM notifier.messages") == [("accepted", taken[0]["sid"])]
    assert await fetch(database, "SELECT kind, source FROM notifier.events WHERE source <> ''") == [("accepted", "sms")]
    await assert_tallies_agree(database)


@pytest.mark.parametrize(
    ("purpose", "posts", "state"),
    [
        ("emergency", 2, "accepted"),
        ("transactional", 1, "uncertain"),
        ("service", 2, "accepted"),
        ("marketing", 1, "uncertain"),
    ],
)
async def test_what_the_provider_does_not_have_goes_on_as_its_purpose_says(
    database: Database, settings: Settings, tmp_path: Path, purpose: str, posts: int, state: str
) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, purpose) as (taken, peer):
        await desk.drain(LANES[purpose])
        taken.clear()  # the connection broke before they had it
        await pass_time(database, LOOK_UP_AFTER + SECOND)
        await desk.ask()
        await pass_time(database, RECONCILE_FOR)
        await desk.ask()
        await desk.drain(LANES[purpose])
        assert len([seen for seen in peer.requests if seen.method == "POST"]) == posts
    assert [found for _, found, _ in await states(database)] == [state]
    kinds = {kind for (kind,) in await fetch(database, "SELECT kind FROM notifier.events")}
    assert ("looked-up" in kinds) == (purpose != "emergency")
    await assert_tallies_agree(database)


async def test_a_service_message_waits_for_the_provider_to_say(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, "service") as (_, peer):
        await desk.drain(3)
        peer.answers.append(Told(status=503))
        await pass_time(database, RECONCILE_FOR + SECOND)
        assert await desk.ask() == 1
        assert [state for _, state, _ in await states(database)] == ["uncertain"]
        assert await desk.ask() == 0  # not at once again
        await execute(database, "UPDATE notifier.look_ups SET try_at = now()")
        assert await desk.ask() == 1
    assert [state for _, state, _ in await states(database)] == ["accepted"]


async def test_a_provider_that_never_says_does_not_hold_a_service_message_for_ever(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, "service") as (_, peer):
        await desk.drain(3)
        await pass_time(database, RECONCILE_FOR + SECOND)
        for _ in range(5):
            peer.answers.append(Told(status=503))
            assert await desk.ask() == 1
            await execute(database, "UPDATE notifier.look_ups SET try_at = now()")
    assert await states(database) == [("c1", "queued", "")]


async def test_what_a_dead_worker_held_is_looked_up_too(database: Database, settings: Settings, tmp_path: Path) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, "transactional") as (taken, _):
        ((run_id,),) = await fetch(database, "SELECT id FROM notifier.runs")
        batch = await claim(database, RunId(run_id), 2)
        form = {"To": "+12125550123", "From": "+12125550100", "Body": "【江畔银行】尊敬的王芳：通知好"}
        taken.append(as_taken(form, 1))
        await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
        async with database.transaction() as tx:
            await sweep_dead_claims(tx)
        await pass_time(database, LOOK_UP_AFTER + SECOND)
        assert await desk.ask() == 1
    assert len(batch.messages) == 1
    assert [state for _, state, _ in await states(database)] == ["accepted"]


async def test_a_callback_with_our_id_settles_a_lost_answer(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    desk = Desk(settings, database)
    async with _twilio(database, settings, tmp_path, "transactional") as (taken, peer):
        await desk.drain(2)
        ((run_id, message_id),) = await fetch(database, "SELECT run_id, id FROM notifier.messages")
        key = derive_keys(settings.secret).links
        token = message_token(key, RunId(run_id), MessageId(message_id))
        body = f"MessageSid={taken[0]['sid']}&MessageStatus=delivered".encode()
        callback = NewCallback(
            dedupe_key=b"1",
            provider="twilio",
            account="sms",
            url=f"https://notify.example.com/hooks/twilio/sms?message={token}",
            content_type="application/x-www-form-urlencoded",
            body=body,
        )
        async with database.transaction() as tx:
            await keep_callback(tx, callback)
        async with open_sender(settings, database) as sender:
            await apply_callbacks(database, providers=await sender.accounts.latest(), key=key, limit=10)
        await pass_time(database, RECONCILE_FOR + SECOND)
        assert await desk.ask() == 0
        assert len(peer.requests) == 1
    assert await fetch(database, "SELECT state, provider_ref FROM notifier.messages") == [
        ("delivered", taken[0]["sid"])
    ]


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_post_is_read_back_and_never_posted_twice(
    database: Database, settings: Settings, tmp_path: Path, is_there: bool
) -> None:
    desk, wall = Desk(settings, database), Wall()
    wall.lost_answers = 1
    async with mastodon_peer(wall) as peer:
        account = (
            "account: wall\ntitle: Wall\nchannel: social\nprovider: mastodon\n"
            f'settings: {{instance: "{peer.address}"}}\nsecrets: {{access_token: {{env: TEST_MASTODON_TOKEN}}}}\n'
        )
        await set_now(database)
        text = campaign(steps="post: {social: [wall], template: note}")
        await define(database, tmp_path, text, **{"campaigns/accounts/wall.yaml": account})
        await add_contact(database, settings, "c1")
        await launch_and_plan(database)
        await desk.drain(3)
        assert await fetch(database, "SELECT state FROM notifier.messages") == [("uncertain",)]
        if not is_there:
            wall.clear()
        await pass_time(database, RECONCILE_FOR + SECOND)
        assert await desk.ask() == 1
        await desk.drain(3)
        assert len([seen for seen in peer.requests if seen.method == "POST"]) == 1
    rows = await fetch(database, "SELECT state, provider_ref, post_url FROM notifier.messages")
    post = ("accepted", "1000", "https://social.example/@bank/1000") if is_there else ("uncertain", "", "")
    assert rows == [post]
