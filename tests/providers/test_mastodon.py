"""Mastodon: one post per key, the limit counted as the server counts, waits by the server's clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.channel import Sought
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.providers.base import LooksUp, Provider
from notifier.providers.mastodon import count_chars
from notifier.providers.registry import open_provider
from tests.peers.http_peer import HttpPeer, Told
from tests.peers.mastodon_peer import TOKEN, Wall, mastodon_peer
from tests.providers import builders


@asynccontextmanager
async def mastodon(wall: Wall | None = None, **settings: object) -> AsyncIterator[tuple[HttpPeer, Provider]]:
    async with mastodon_peer(wall) as peer:
        account = builders.mastodon_account(peer.address, **settings)
        provider = open_provider(account, {"access_token": TOKEN})
        try:
            yield peer, provider
        finally:
            await provider.aclose()


async def test_a_post_carries_its_key_and_comes_back_with_its_address() -> None:
    async with mastodon(language="zh", visibility="unlisted") as (peer, provider):
        acceptance = await provider.send(builders.post("m.1.3.tag", text="网点恢复营业"))
    assert acceptance.provider_ref == "1000"
    assert acceptance.url == "https://social.example/@bank/1000"
    assert peer.requests[0].headers["idempotency-key"] == "m.1.3.tag"
    assert json.loads(peer.requests[0].body) == {"status": "网点恢复营业", "visibility": "unlisted", "language": "zh"}


async def test_the_same_message_again_is_still_one_post() -> None:
    wall = Wall()
    async with mastodon(wall) as (_, provider):
        first, second = [await provider.send(builders.post()) for _ in range(2)]
    assert first == second
    assert len(wall) == 1


async def test_concurrent_posts_are_each_their_own() -> None:
    wall = Wall()
    async with mastodon(wall) as (_, provider):
        await asyncio.gather(*(provider.send(builders.post(f"m.1.{number}.tag")) for number in range(10)))
    assert len(wall) == 10


@pytest.mark.parametrize(("text", "chars"), [("a" * 500, 500), ("see https://example.com/" + "x" * 600, 27), ("", 0)])
def test_a_link_counts_23_characters(text: str, chars: int) -> None:
    assert count_chars(text) == chars


async def test_a_post_over_the_limit_never_leaves() -> None:
    async with mastodon() as (peer, provider):
        with pytest.raises(NeverAgain) as caught:
            await provider.send(builders.post(text="x" * 501))
        assert not peer.requests
    assert caught.value.fault is Fault.CONTENT


DATE = "Mon, 02 Feb 2026 01:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({"date": DATE, "x-ratelimit-reset": "2026-02-02T01:02:30.123Z"}, 150),
        ({"date": DATE, "x-ratelimit-reset": "2026-02-03T01:00:00Z"}, 3600),
        ({"date": DATE, "x-ratelimit-reset": "2026-02-02T00:00:00Z"}, 1),
        ({"x-ratelimit-reset": "2020-02-02T00:00:00Z"}, 1),
        ({"x-ratelimit-reset": "soon"}, 300),
        ({"date": "never", "x-ratelimit-reset": "2026-02-02T01:02:30Z"}, 300),
        ({"date": DATE, "x-ratelimit-reset": "2026-02-02T01:02:30"}, 300),
        ({}, 300),
    ],
)
async def test_a_limit_is_waited_for_by_the_servers_clock(headers: dict[str, str], after_s: float) -> None:
    async with mastodon() as (peer, provider):
        peer.answers.append(Told(429, b"{}", headers))
        with pytest.raises(TryAgain) as caught:
            await provider.send(builders.post())
    assert caught.value.after_s == pytest.approx(after_s, abs=1)


@pytest.mark.parametrize(
    ("told", "kind", "fault"),
    [
        (Told(401, b'{"error": "revoked"}'), TryAgain, Fault.SENDER),
        (Told(403, b"not json"), TryAgain, Fault.SENDER),
        (Told(301, b"", {"location": "https://elsewhere.example"}), TryAgain, Fault.SENDER),
        (Told(422, b'{"error": "Validation failed: Text is too long"}'), NeverAgain, Fault.CONTENT),
        (Told(408, b""), OutcomeUnknown, Fault.PROVIDER),
        (Told(503, b""), OutcomeUnknown, Fault.PROVIDER),
        (Told(200, b'{"id": ""}'), OutcomeUnknown, Fault.PROVIDER),
    ],
)
async def test_what_an_answer_means(
    told: Told, kind: type[TryAgain | NeverAgain | OutcomeUnknown], fault: Fault
) -> None:
    async with mastodon() as (peer, provider):
        peer.answers.append(told)
        with pytest.raises(kind) as caught:
            await provider.send(builders.post())
    assert caught.value.fault is fault


async def test_an_address_that_is_no_web_page_is_not_shown() -> None:
    async with mastodon() as (peer, provider):
        peer.answers.append(Told(200, b'{"id": "7", "url": "javascript:alert(1)"}'))
        assert (await provider.send(builders.post())).url == ""


def sought(text: str = "Our branches are open.", **more: object) -> Sought:
    known = frozenset({str(more["known"])} if "known" in more else ())
    handed_at = datetime.now(UTC) - timedelta(minutes=2)
    return Sought(public_id="m.1.3.tag", to="wall", text=text, handed_at=handed_at, known_refs=known)


def looking(provider: Provider) -> LooksUp:
    assert isinstance(provider, LooksUp)
    return provider


async def test_a_post_whose_answer_was_lost_is_read_back() -> None:
    async with mastodon() as (_, provider):
        other = await provider.send(builders.post("m.1.1.tag", text="Something else"))
        taken = await provider.send(builders.post())
        found = await looking(provider).look_up(sought())
        assert found is not None
        assert (found.provider_ref, found.url) == (taken.provider_ref, taken.url)
        assert await looking(provider).look_up(sought(known=taken.provider_ref)) is None
        assert await looking(provider).look_up(sought(text="Never posted", known=other.provider_ref)) is None


@pytest.mark.parametrize(
    "told", [Told(403, b'{"error": "outside the authorized scopes"}'), Told(body=b"[]"), Told(how="drop")]
)
async def test_a_token_that_may_not_read_cannot_say(told: Told) -> None:
    async with mastodon() as (peer, provider):
        peer.answers.append(told)
        with pytest.raises(OutcomeUnknown):
            await looking(provider).look_up(sought())
