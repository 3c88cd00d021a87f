"""The sandbox: keeps everything once, misbehaves only as told, believes only signed callbacks."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from notifier.domain.channel import Channel
from notifier.domain.errors import InputError, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.event import EventKind
from notifier.providers.base import CallbackRequest, Dependencies, Provider, SandboxItem
from notifier.providers.registry import open_provider
from notifier.providers.sandbox import sandbox_headers, sandbox_secret, secret_bytes
from tests.providers import builders

KEY = b"k" * 32
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://bank.example/hooks/sandbox/email"


class Kept:
    """A store that counts its calls."""

    def __init__(self, error: Exception | None = None) -> None:
        self.items: list[SandboxItem] = []
        self.calls = 0
        self.error = error

    async def __call__(self, items: Sequence[SandboxItem]) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.items.extend(items)


def sandbox(kept: Kept | None = None, secrets: dict[str, str] | None = None, **settings: object) -> Provider:
    account = builders.account("sandbox", Channel.EMAIL, settings=settings, secrets=tuple(secrets or ()))
    return open_provider(account, secrets or {}, deps=Dependencies(keep=kept or Kept(), signing_key=KEY))


async def test_many_sends_share_few_calls_of_the_store() -> None:
    kept = Kept()
    await asyncio.gather(*(sandbox_send(sandbox(kept), number) for number in range(3)))
    provider = sandbox(kept)
    kept.calls = 0
    await asyncio.gather(*(sandbox_send(provider, number) for number in range(64)))
    assert len(kept.items) == 67
    assert kept.calls <= 2


async def sandbox_send(provider: Provider, number: int) -> str:
    try:
        await provider.send(builders.email(f"m.1.{number}.tag", to=f"contact{number}@example.com"))
    except SendError as error:
        return type(error).__name__
    return "accepted"


async def test_by_default_every_channel_is_taken_and_all_but_posts_reported_delivered() -> None:
    kept = Kept()
    provider = sandbox(kept)
    for message in (builders.email(), builders.sms(), builders.post()):
        await provider.send(message)
    assert [(item.account, item.delay_s) for item in kept.items] == [("sandbox-email", 0)] * 3
    assert [item.fate for item in kept.items] == ["delivered", "delivered", "none"]
    assert [item.headline() for item in kept.items] == ["Hello", "Hello Ann", "Our branches are open."]
    assert kept.items[0].content() == {"subject": "Hello", "html": "<p>Hello Ann</p>", "text": "Hello Ann"}


@pytest.mark.parametrize(
    ("to", "outcome", "fate"),
    [
        ("bounce@example.com", None, "bounced"),
        ("bounce+x@example.com", None, "bounced"),
        ("silent@example.com", None, "none"),
        ("refuse@example.com", NeverAgain, ""),
        ("lose-reply@example.com", OutcomeUnknown, "delivered"),
        ("ann@example.com", None, "delivered"),
    ],
)
async def test_an_address_can_ask_for_a_behaviour(to: str, outcome: type[SendError] | None, fate: str) -> None:
    kept = Kept()
    provider = sandbox(kept)
    if outcome:
        with pytest.raises(outcome):
            await provider.send(builders.email(to=to))
    else:
        await provider.send(builders.email(to=to))
    assert [item.fate for item in kept.items] == ([fate] if fate else [])


async def test_a_number_of_area_code_500_can_ask_too() -> None:
    with pytest.raises(NeverAgain):
        await sandbox().send(builders.sms(to="+15005550001"))


async def test_a_message_sent_away_is_taken_the_second_time() -> None:
    kept = Kept()
    provider = sandbox(kept, try_again_pct=100)
    with pytest.raises(TryAgain):
        await provider.send(builders.email())
    await provider.send(builders.email())
    assert len(kept.items) == 1


async def test_shares_come_out_as_told_and_the_same_every_time() -> None:
    runs = []
    for _ in range(2):
        kept = Kept()
        provider = sandbox(kept, refuse_pct=10, lose_reply_pct=20, bounce_pct=30, delay_s=60, seed=7)
        outcomes = [await sandbox_send(provider, number) for number in range(2000)]
        runs.append((outcomes, [(item.outgoing.to, item.fate, item.delay_s) for item in kept.items]))
    assert runs[0] == runs[1]
    counts, fates = Counter(runs[0][0]), Counter(fate for _, fate, _ in runs[0][1])
    assert counts["NeverAgain"] == pytest.approx(200, abs=60)
    assert counts["OutcomeUnknown"] == pytest.approx(400, abs=80)
    assert fates["bounced"] == pytest.approx(600, abs=100)
    assert all(0 <= delay_s < 60 for _, _, delay_s in runs[0][1])


async def test_a_failing_store_leaves_each_sender_in_doubt_and_the_next_can_go() -> None:
    kept = Kept(error=ConnectionError("gone"))
    provider = sandbox(kept)
    assert await asyncio.gather(*(sandbox_send(provider, n) for n in range(3))) == ["OutcomeUnknown"] * 3
    kept.error = None
    assert await sandbox_send(provider, 4) == "accepted"


async def test_a_cancelled_sender_does_not_take_the_others_with_it() -> None:
    kept = Kept()
    provider = sandbox(kept)
    sends = [asyncio.create_task(sandbox_send(provider, number)) for number in range(3)]
    await asyncio.sleep(0)
    sends[0].cancel()
    assert await asyncio.gather(*sends[1:]) == ["accepted"] * 2


async def test_without_a_store_it_takes_nothing() -> None:
    provider = open_provider(builders.account("sandbox", Channel.EMAIL), {})
    with pytest.raises(TryAgain):
        await provider.send(builders.email())
    await provider.aclose()


def callback(events: object, secret: bytes | None = None, *, at: datetime | None = None) -> CallbackRequest:
    body = events if isinstance(events, bytes) else orjson.dumps(events)
    secret = sandbox_secret(KEY, "sandbox-email") if secret is None else secret
    return CallbackRequest(url=URL, headers=sandbox_headers(secret, "evt_1", at or datetime.now(UTC), body), body=body)


EVENT = {"id": "evt_1", "type": "delivered", "message": "m.1.1.tag", "at": "2026-02-02T09:00:00+08:00"}


def test_one_event_or_a_list_is_read() -> None:
    provider = sandbox()
    assert provider.verify_callback(callback(EVENT)) is True
    (event,) = provider.read_callback(callback(EVENT))
    assert (event.kind, event.event_key, event.public_id) == (EventKind.DELIVERED, "evt_1", "m.1.1.tag")
    assert event.at == datetime(2026, 2, 2, 1, tzinfo=UTC)
    bounced = {"id": "evt_2", "type": "bounced", "message": "m.1.2.tag", "reason": "no ann@example.com here"}
    _, second = provider.read_callback(callback([EVENT, bounced]))
    assert (second.kind, second.at, second.reason) == (EventKind.BOUNCED_HARD, None, "no … here")
    assert len(provider.read_callback(callback([EVENT] * 1000))) == 1000


def test_the_published_signature_of_standard_webhooks_is_made_again() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sandbox_headers(
        secret_bytes(PUBLISHED_SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_named_secret_replaces_the_derived_one() -> None:
    provider = sandbox(secrets={"callback_secret": PUBLISHED_SECRET})
    body = orjson.dumps(EVENT)
    headers = sandbox_headers(secret_bytes(PUBLISHED_SECRET), "evt_1", datetime.now(UTC), body)
    assert provider.verify_callback(CallbackRequest(url=URL, headers=headers, body=body)) is True
    assert provider.verify_callback(callback(EVENT)) is False
    with pytest.raises(InputError, match=r"secrets\.callback_secret"):
        sandbox(secrets={"callback_secret": "whsec_%%%"})


def test_old_foreign_and_changed_callbacks_are_not_ours() -> None:
    provider, now = sandbox(), datetime.now(UTC)
    assert provider.verify_callback(callback(EVENT, at=now - timedelta(minutes=6))) is False
    assert provider.verify_callback(callback(EVENT, at=now + timedelta(minutes=6))) is False
    assert provider.verify_callback(callback(EVENT, sandbox_secret(KEY, "another"))) is False
    assert provider.verify_callback(replace(callback(EVENT), body=b"{}")) is False
    assert provider.verify_callback(replace(callback(EVENT), body=b"\xff")) is False
    unsigned = open_provider(builders.account("sandbox", Channel.EMAIL), {})
    assert unsigned.verify_callback(callback(EVENT, b"x")) is False


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b"nonsense",
        b"\xff",
        b"[" * 5000,
        5,
        [5],
        [None],
        [{}],
        [{**EVENT, "type": "exploded"}],
        [{**EVENT, "type": None}],
        [{**EVENT, "id": ""}],
        [{**EVENT, "id": "x" * 201}],
        [{**EVENT, "message": "a\x00b"}],
        [{**EVENT, "message": 5}],
        [{**EVENT, "at": "yesterday"}],
        [{**EVENT, "at": "2026-02-02T09:00:00"}],
        [{**EVENT, "at": "0001-01-01T00:00:00+14:00"}],
        [{**EVENT, "at": 5}],
        [EVENT] * 1001,
    ],
)
def test_a_malformed_body_is_an_input_error(events: object) -> None:
    body = events if isinstance(events, bytes) else orjson.dumps(events)
    with pytest.raises(InputError):
        sandbox().read_callback(CallbackRequest(url=URL, headers={}, body=body))


@pytest.mark.parametrize("signature", ["nonsense", "v1", "v1,", "v1,%", "v1,a,b", "v1,ü", "v2,AAAA", "v1,AAA", " , "])
def test_a_garbage_signature_is_not_ours(signature: str) -> None:
    good = callback(EVENT)
    headers = {**good.headers, "webhook-signature": signature}
    assert sandbox().verify_callback(replace(good, headers=headers)) is False


async def test_a_store_that_is_shut_down_cancels_those_who_wait() -> None:
    async def keep(items: Sequence[SandboxItem]) -> None:
        raise asyncio.CancelledError

    provider = open_provider(builders.account("sandbox", Channel.EMAIL), {}, deps=Dependencies(keep=keep))
    with pytest.raises(asyncio.CancelledError):
        await provider.send(builders.email())


async def test_closing_waits_for_what_is_being_kept() -> None:
    kept = Kept()
    provider = sandbox(kept)
    sending = asyncio.create_task(sandbox_send(provider, 1))
    await asyncio.sleep(0)
    await provider.aclose()
    assert len(kept.items) == 1
    await sending
