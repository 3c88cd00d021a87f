"""The SDK's HTTP border, bounded: one POST, one answer, a time-out that holds."""

import base64
import logging
from collections.abc import Mapping

import orjson
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]

from notifier.domain.errors import OutcomeUnknown, TryAgain
from notifier.providers.web_client import Answer, ask, open_client

API = "https://api.twilio.com"
_RATE_LIMIT_S = 30


class BoundedHttpClient(AsyncHttpClient):  # type: ignore[misc]
    """What the SDK sends through. Its own async client ignores its time-out, and a retried POST is a second SMS."""

    def __init__(self, api_base: str, timeout_s: float) -> None:
        super().__init__(logging.getLogger(__name__), is_async=True, timeout=timeout_s)
        self._api_base = api_base.rstrip("/")
        self._timeout_s = timeout_s
        self._client = open_client(timeout_s)

    async def request(  # noqa: PLR0917 - the SDK's own signature
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the SDK's own signature
        allow_redirects: bool = False,
    ) -> Response:
        del timeout, allow_redirects
        request = self._client.build_request(
            method,
            self._api_base + uri.removeprefix(API),
            params={name: str(value) for name, value in params.items()} if params else None,
            data={name: _form_value(value) for name, value in (data or {}).items()},
            headers={**(headers or {}), **_authorization(auth)},
        )
        answer = await ask(self._client, request, self._timeout_s)
        return _checked_list(answer) if method == "GET" else _checked(answer)

    async def aclose(self) -> None:
        await self._client.aclose()


def _authorization(auth: tuple[str, str] | None) -> dict[str, str]:
    if auth is None:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(":".join(auth).encode()).decode()}


def _form_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checked(answer: Answer) -> Response:
    """An answer the SDK's parser, which trusts what it is given, can take: an error, or an object with a `sid`."""
    if (error := _refused(answer)) is not None:
        return error
    found = answer.json_object()
    if not isinstance(found.get("sid"), str) or not found["sid"]:
        raise OutcomeUnknown("Twilio's answer names no message", code="garbage")
    status = found.get("status")
    safe = {"sid": found["sid"], "status": status if isinstance(status, str) else ""}
    return Response(answer.status, orjson.dumps(safe).decode(), answer.headers)


def _checked_list(answer: Answer) -> Response:
    """A page of messages as the SDK's parser can take it."""
    if (error := _refused(answer)) is not None:
        return error
    found = answer.json_object()
    listed, following = found.get("messages"), found.get("next_page_uri")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise OutcomeUnknown("Twilio's answer lists no messages", code="garbage")
    if following is not None and not (isinstance(following, str) and following.startswith("/")):
        raise OutcomeUnknown("Twilio's answer leads elsewhere", code="garbage")
    safe = {"messages": [_safe_message(one) for one in listed], "next_page_uri": following}
    return Response(answer.status, orjson.dumps(safe).decode(), answer.headers)


def _safe_message(found: dict[str, object]) -> dict[str, object]:
    texts = {name: str(found.get(name) or "") for name in ("sid", "body", "status", "direction", "date_created")}
    return {**texts, "error_code": str(found.get("error_code") or "0")}


def _refused(answer: Answer) -> Response | None:
    if answer.status == 429:
        wait_s = _wait_s(answer)
        raise TryAgain("too many requests at once", after_s=wait_s or _RATE_LIMIT_S, code="20429", retry_after_s=wait_s)
    if answer.status >= 500 or answer.status in (408, 409):
        raise OutcomeUnknown(f"Twilio answered {answer.status}", code=str(answer.status))
    if answer.status >= 300:
        return Response(answer.status, answer.body.decode(errors="replace"), answer.headers)
    return None


def _wait_s(answer: Answer) -> float:
    given = answer.headers.get("retry-after", "")
    return min(max(int(given), 1), 3600) if given.isascii() and given.isdigit() and len(given) < 6 else 0
