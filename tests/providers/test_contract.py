"""What every provider keeps, whoever it is: three ways out of `send`, no other, and a clean end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from notifier.domain.channel import Channel, Outgoing
from notifier.domain.errors import NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.providers.base import CallbackRequest, Dependencies, Provider, SandboxItem
from notifier.providers.registry import KINDS, capabilities_of, open_provider
from tests.peers.http_peer import HttpPeer, Told
from tests.peers.mastodon_peer import TOKEN, mastodon_peer
from tests.peers.smtp_peer import SmtpPeer, smtp_peer
from tests.peers.twilio_peer import AUTH_TOKEN, twilio_error, twilio_peer
from tests.providers import builders


@dataclass
class Case:
    """A provider with the means to bring about each outcome; an outcome it cannot have is missing."""

    provider: Provider
    message: Callable[[str], Outgoing]
    taken: Callable[[], int]  # how many messages the other side has
    brings: dict[str, Callable[[], Outgoing]] = field(default_factory=dict)


Rig = Callable[[], Awaitable[Case]]


def _http_case(provider: Provider, peer: HttpPeer, message: Callable[[str], Outgoing], refusal: Told) -> Case:
    def bring(*told: Told) -> Callable[[], Outgoing]:
        def prepare() -> Outgoing:
            peer.answers.extend(told)
            return message("m.9.9.tag")

        return prepare

    return Case(
        provider,
        message,
        lambda: len(peer.requests),
        {
            "never": bring(refusal),
            "later": bring(Told(429, b"{}")),
            "account": bring(Told(401, b'{"code": 20003, "error": "no", "message": "no"}')),
            "error 500": bring(Told(500, b"oops")),
            "dropped": bring(Told(how="drop")),
            "stalled": bring(Told(how="stall")),
            "dripped": bring(Told(201, b" " * 60, how="drip")),
            "html": bring(Told(200, b"<html>welcome</html>")),
            "list": bring(Told(200, b"[1, 2]")),
            "no id": bring(Told(200, b'{"sid": 5, "id": null}')),
            "not http": bring(Told(body=b"\x00\xff garbage\r\n\r\n", how="raw")),
            "endless": bring(Told(200, b"[" * 400_000)),
            "deep": bring(Told(200, b"[" * 100_000)),
        },
    )


async def _twilio(stack: AsyncExitStack, patience_s: float) -> Case:
    peer = await stack.enter_async_context(twilio_peer())
    provider = open_provider(builders.twilio_account(peer.address, timeout_s=patience_s), {"auth_token": AUTH_TOKEN})
    return _http_case(provider, peer, builders.sms, twilio_error(400, 21211, "The 'To' number +12125550123 is bad"))


async def _mastodon(stack: AsyncExitStack, patience_s: float) -> Case:
    peer = await stack.enter_async_context(mastodon_peer())
    provider = open_provider(builders.mastodon_account(peer.address, timeout_s=patience_s), {"access_token": TOKEN})
    return _http_case(provider, peer, builders.post, Told(422, b'{"error": "Validation failed"}'))


async def _smtp(stack: AsyncExitStack, patience_s: float) -> Case:
    peer = await stack.enter_async_context(smtp_peer(SmtpPeer()))
    settings = {"timeout_s": patience_s, "final_timeout_s": patience_s}
    provider = open_provider(builders.smtp_account(peer.port, **settings), {})

    def bring(**replies: str) -> Callable[[], Outgoing]:
        def prepare() -> Outgoing:
            peer.replies.clear()
            peer.replies.update({"." if verb == "DOT" else verb: reply for verb, reply in replies.items()})
            return builders.email("m.9.9.tag")

        return prepare

    brings = {
        "never": bring(RCPT="550 5.1.1 <ann@example.com>: no such user"),
        "later": bring(RCPT="450 4.2.0 greylisted"),
        "account": bring(HELLO="554 5.7.1 go away"),
        "dropped": bring(DOT="drop"),
        "stalled": bring(DOT="stall"),
        "garbage": bring(DOT="what?"),
    }
    return Case(provider, builders.email, lambda: len(peer.mails), brings)


async def _sandbox(stack: AsyncExitStack, patience_s: float) -> Case:
    del stack, patience_s
    kept: list[SandboxItem] = []

    async def keep(items: Sequence[SandboxItem]) -> None:
        await asyncio.sleep(0)
        kept.extend(items)

    provider = open_provider(builders.account("sandbox", Channel.EMAIL), {}, deps=Dependencies(keep=keep))
    brings: dict[str, Callable[[], Outgoing]] = {
        "never": lambda: builders.email("m.9.9.tag", to="refuse@example.com"),
        "later": lambda: builders.email("m.9.9.tag", to="try-again@example.com"),
        "dropped": lambda: builders.email("m.9.9.tag", to="lose-reply@example.com"),
    }
    return Case(provider, builders.email, lambda: len(kept), brings)


async def _manual(stack: AsyncExitStack, patience_s: float) -> Case:
    del stack, patience_s
    provider = open_provider(builders.account("manual", Channel.SOCIAL, settings={"max_chars": 50}), {})
    brings: dict[str, Callable[[], Outgoing]] = {"never": lambda: builders.post(text="x" * 51)}
    return Case(provider, builders.post, lambda: 0, brings)


RIGS = {"smtp": _smtp, "twilio": _twilio, "mastodon": _mastodon, "sandbox": _sandbox, "manual": _manual}
WANTED: dict[str, type[SendError]] = {"never": NeverAgain, "later": TryAgain, "account": TryAgain}


@asynccontextmanager
async def rig(name: str, patience_s: float = 30) -> AsyncIterator[Case]:
    async with AsyncExitStack() as stack:
        case = await RIGS[name](stack, patience_s)
        try:
            yield case
        finally:
            await case.provider.aclose()


@pytest.fixture(params=sorted(RIGS))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with rig(request.param) as made:
        yield made


def test_every_registered_provider_is_under_this_contract() -> None:
    assert set(RIGS) == set(KINDS)


async def test_a_message_is_accepted(case: Case) -> None:
    acceptance = await case.provider.send(case.message("m.1.1.tag"))
    assert acceptance.detail
    assert "example.com" not in acceptance.detail


async def test_many_at_once_are_all_accepted_once(case: Case) -> None:
    before = case.taken()
    sends = (case.provider.send(case.message(f"m.1.{number}.tag")) for number in range(40))
    assert len(await asyncio.gather(*sends)) == 40
    assert case.taken() - before in (40, 0 if case.provider.capabilities.by_hand else 40)


HTTP_OUTCOMES = [
    "never",
    "later",
    "account",
    "error 500",
    "dropped",
    "stalled",
    "dripped",
    "html",
    "list",
    "no id",
    "not http",
    "endless",
    "deep",
]
OUTCOMES = {
    "smtp": ["never", "later", "account", "dropped", "stalled", "garbage"],
    "twilio": HTTP_OUTCOMES,
    "mastodon": HTTP_OUTCOMES,
    "sandbox": ["never", "later", "dropped"],
    "manual": ["never"],
}


@pytest.mark.parametrize(("name", "outcome"), [(name, outcome) for name in OUTCOMES for outcome in OUTCOMES[name]])
async def test_each_failure_leaves_by_its_own_way_and_the_next_message_goes(name: str, outcome: str) -> None:
    async with rig(name, patience_s=2) as case:
        message = case.brings[outcome]()
        with pytest.raises(SendError) as caught:
            async with asyncio.timeout(10):
                await case.provider.send(message)
        assert type(caught.value) is WANTED.get(outcome, OutcomeUnknown)
        assert "example.com" not in caught.value.reason
        assert "2125550123" not in caught.value.reason
        if name != "smtp":
            assert await case.provider.send(case.message("m.1.7.tag"))


@pytest.mark.parametrize("name", ["smtp", "twilio", "mastodon"])
async def test_a_server_that_is_not_there_is_a_definite_not_now(name: str) -> None:
    opened = {
        "smtp": open_provider(builders.smtp_account(1), {}),
        "twilio": open_provider(builders.twilio_account("http://127.0.0.1:1"), {"auth_token": AUTH_TOKEN}),
        "mastodon": open_provider(builders.mastodon_account("http://127.0.0.1:1"), {"access_token": TOKEN}),
    }
    messages = {"smtp": builders.email(), "twilio": builders.sms(), "mastodon": builders.post()}
    with pytest.raises(TryAgain):
        await opened[name].send(messages[name])
    for provider in opened.values():
        await provider.aclose()


async def test_closing_twice_and_unused_is_harmless(case: Case) -> None:
    await case.provider.aclose()
    await case.provider.aclose()


NONSENSE = [
    CallbackRequest(url="https://bank.example/hooks/x/y", headers={}, body=b""),
    CallbackRequest(url="https://bank.example:99999999/hooks", headers={"x-twilio-signature": "x"}, body=b"a=b"),
    CallbackRequest(url="http://[", headers={"x-twilio-signature": "x"}, body=b"a=b"),
    CallbackRequest(
        url="https://bank.example/", headers={"x-twilio-signature": "ü", "webhook-signature": "ü"}, body=b"\xff"
    ),
    CallbackRequest(
        url="https://bank.example/?bodySHA256=00",
        headers={"x-twilio-signature": "AAAA", "content-type": "application/json"},
        body=b"\xff\xfe",
    ),
    CallbackRequest(
        url="https://bank.example/",
        headers={"webhook-id": "1", "webhook-timestamp": "9e999", "webhook-signature": "v1,%%%"},
        body=b"{}",
    ),
    CallbackRequest(
        url="https://bank.example/",
        headers={"webhook-id": "1", "webhook-timestamp": "nan", "webhook-signature": "nonsense"},
        body=b"{}",
    ),
]


@pytest.mark.parametrize("number", range(len(NONSENSE)))
async def test_a_callback_of_nonsense_is_not_theirs(case: Case, number: int) -> None:
    assert case.provider.verify_callback(NONSENSE[number]) is False


async def test_capabilities_are_known_before_opening(case: Case) -> None:
    opened = replace(case.provider.capabilities, slots=0)  # only an opened account knows its connections
    assert opened == capabilities_of(case.provider.name)
