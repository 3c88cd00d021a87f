"""Posts to a Mastodon server; its Idempotency-Key makes a repeated post harmless for about an hour."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

import httpx
import orjson
from pydantic import Field

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
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

_CAPABILITIES = Capabilities(channels=frozenset({Channel.SOCIAL}), idempotent=True)
_URL_CHARS = 23  # what every link counts on Mastodon, however long it is
_ACCOUNT_TROUBLE_S = 900
_RATE_LIMIT_S = 300


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

    async def aclose(self) -> None:
        async with asyncio.timeout(5):
            await self._client.aclose()

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
        raise TryAgain("the server limits how fast we post", after_s=_wait_s(answer), code="429")
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
    required_secrets={"access_token": "the access token of an application with write:statuses"},
)
