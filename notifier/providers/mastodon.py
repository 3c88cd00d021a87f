"""Posts to a Mastodon server; its Idempotency-Key makes a repeated post harmless for about an hour."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal
from urllib.parse import quote

import httpx
import orjson
from pydantic import Field

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing, Sought
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.domain.event import EventKind, ProviderEvent
from notifier.providers.base import (
    Capabilities,
    Dependencies,
    Provider,
    ProviderKind,
    Settings,
    WithoutCallbacks,
    safe_reason,
)
from notifier.providers.web_client import SAFE_ADDRESS, Answer, ask, open_client

_CAPABILITIES = Capabilities(channels=frozenset({Channel.SOCIAL}), idempotent=True, looks_up=True)
_URL_CHARS = 23  # what every link counts on Mastodon, however long it is
_ACCOUNT_TROUBLE_S = 900
_RATE_LIMIT_S = 300
_LOOK_BACK = 20  # posts: one page of them fits into a bounded answer
_CLOCKS_APART = timedelta(minutes=5)  # theirs and the ledger's


class MastodonSettings(Settings):
    """Where and how to post."""

    instance: Annotated[
        str, Field(pattern=SAFE_ADDRESS, description="the server's address, e.g. https://social.example")
    ]
    visibility: Annotated[
        Literal["public", "unlisted", "private"], Field(description="public, unlisted or private (followers only)")
    ] = "public"
    language: Annotated[
        str, Field(pattern=r"^([a-z]{2,3})?$", description="an ISO 639 code such as zh or en, or nothing")
    ] = ""
    max_chars: Annotated[int, Field(ge=1, le=100_000, description="the server's longest post in characters")] = 500
    timeout_s: Annotated[float, Field(gt=0, le=300, description="seconds to wait for the whole answer")] = 30


class Mastodon(WithoutCallbacks):
    """One account on one server."""

    name = "mastodon"
    capabilities = _CAPABILITIES

    def __init__(self, settings: MastodonSettings, token: str) -> None:
        self._settings = settings
        self._token = token
        self._client = open_client(settings.timeout_s)

    async def send(self, outgoing: Outgoing) -> Acceptance:
        text = outgoing.content.text
        if (length := count_chars(text)) > self._settings.max_chars:
            reason = f"{length} characters, the server takes {self._settings.max_chars}"
            raise NeverAgain(reason, code="length", fault=Fault.CONTENT)
        answer = await ask(self._client, self._request(outgoing.public_id, text), self._settings.timeout_s)
        return _read_answer(answer)

    async def look_up(self, sought: Sought) -> ProviderEvent | None:
        """Among the account's newest posts, the one with exactly this source text."""
        who = _read_object(await self._get("accounts/verify_credentials"))
        listed = _read_list(
            await self._get(f"accounts/{quote(str(who.get('id')), safe='')}/statuses?limit={_LOOK_BACK}")
        )
        since = sought.handed_at - _CLOCKS_APART
        fresh = [post for post in listed if _created_at(post) >= since]
        for post in fresh:
            if str(post.get("id")) not in sought.known_refs and not post.get("reblog"):
                source = _read_object(await self._get(f"statuses/{quote(str(post.get('id')), safe='')}/source"))
                if str(source.get("text")).strip() == sought.text.strip():
                    return _found(post, sought)
        if len(fresh) == _LOOK_BACK:
            raise OutcomeUnknown("the account posted too much since", code="look-up")
        return None

    async def aclose(self) -> None:
        async with asyncio.timeout(5):
            await self._client.aclose()

    async def _get(self, what: str) -> Answer:
        address = f"{self._settings.instance.rstrip('/')}/api/v1/{what}"
        request = self._client.build_request("GET", address, headers={"Authorization": f"Bearer {self._token}"})
        answer = await ask(self._client, request, self._settings.timeout_s)
        if answer.status != 200:
            reason = safe_reason(f"the server lets nobody read the posts: {_error_text(answer)}")
            raise OutcomeUnknown(reason, code=str(answer.status))
        return answer

    def _request(self, public_id: str, text: str) -> httpx.Request:
        status = {"status": text, "visibility": self._settings.visibility}
        if self._settings.language:
            status["language"] = self._settings.language
        return self._client.build_request(
            "POST",
            f"{self._settings.instance.rstrip('/')}/api/v1/statuses",
            json=status,
            headers={"Authorization": f"Bearer {self._token}", "Idempotency-Key": public_id},
        )


def count_chars(text: str) -> int:
    """Length as the server counts it: a link is 23 characters."""
    words = text.split()
    links = [word for word in words if word.startswith(("https://", "http://"))]
    return len(text) - sum(len(link) - _URL_CHARS for link in links)


def _read_answer(answer: Answer) -> Acceptance:
    if answer.status == 429:
        wait_s = _wait_s(answer)
        raise TryAgain("the server limits how fast we post", after_s=wait_s, code="429", retry_after_s=wait_s)
    if answer.status in (401, 403, 404) or 300 <= answer.status < 400:
        reason = safe_reason(f"the server does not accept our account: {_error_text(answer)}")
        raise TryAgain(reason, after_s=_ACCOUNT_TROUBLE_S, code=str(answer.status), fault=Fault.SENDER)
    if 400 <= answer.status < 500 and answer.status != 408:
        raise NeverAgain(safe_reason(_error_text(answer)), code=str(answer.status), fault=Fault.CONTENT)
    if answer.status != 200:
        raise OutcomeUnknown(f"the server answered {answer.status}", code=str(answer.status))
    return _acceptance(answer)


def _acceptance(answer: Answer) -> Acceptance:
    status = answer.json_object()
    ref, url = status.get("id"), status.get("url")
    if not isinstance(ref, str) or not ref:
        raise OutcomeUnknown("the server's answer names no post", code="garbage")
    web = isinstance(url, str) and url.startswith("https://")
    return Acceptance(provider_ref=ref, detail="posted", url=str(url) if web else "")


def _read_object(answer: Answer) -> dict[str, object]:
    found = answer.json_object()
    if found.get("id") is None:
        raise OutcomeUnknown("the server's answer has no id", code="garbage")
    return found


def _read_list(answer: Answer) -> list[dict[str, object]]:
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise OutcomeUnknown("the server's answer lists no posts", code="garbage")
    return found


def _created_at(post: dict[str, object]) -> datetime:
    try:
        return datetime.fromisoformat(str(post.get("created_at"))).astimezone(UTC)
    except ValueError as error:
        raise OutcomeUnknown("the server's posts have no date", code="garbage") from error


def _found(post: dict[str, object], sought: Sought) -> ProviderEvent:
    ref, url = str(post.get("id")), str(post.get("url") or "")
    return ProviderEvent(
        public_id=sought.public_id,
        provider_ref=ref,
        event_key=f"looked-up:{ref}",
        kind=EventKind.ACCEPTED,
        at=_created_at(post),
        reason="found by asking the provider",
        url=url if url.startswith("https://") else "",
    )


def _wait_s(answer: Answer) -> float:
    """Seconds until the limit is lifted, by the server's own clock; 1 s to 1 h."""
    try:
        reset = datetime.fromisoformat(answer.headers.get("x-ratelimit-reset", ""))
        now = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else datetime.now(UTC)
        wait_s = (reset - now).total_seconds()
    except (ValueError, TypeError):
        return _RATE_LIMIT_S
    return min(max(wait_s, 1), 3600)


def _error_text(answer: Answer) -> str:
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        found = None
    text = found.get("error") if isinstance(found, dict) else None
    return text if isinstance(text, str) else f"HTTP {answer.status}"


def _open(account: Account, secrets: Mapping[str, str], deps: Dependencies) -> Provider:
    del deps
    return Mastodon(MastodonSettings.model_validate(dict(account.settings)), secrets["access_token"])


MASTODON = ProviderKind(
    name="mastodon",
    settings=MastodonSettings,
    capabilities=_CAPABILITIES,
    opener=_open,
    required_secrets={
        "access_token": "the access token of an application with write:statuses, and with read to find a post again"
    },
)
