"""One bounded HTTP request: a time-out on the whole of it, a cap on the answer, and a clear word on what a failure means."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import orjson

from notifier.domain.errors import Fault, OutcomeUnknown, TryAgain

SAFE_ADDRESS = r"^(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1)(:\d+)?)/?$"
"""An https origin; plain http only to this machine, because credentials travel with the request."""

_MAX_ANSWER_BYTES = 256 * 1024
_RETRY_S = 60
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer, ≤ 256 KB."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json_object(self) -> dict[str, object]:
        """The body as a JSON object; `OutcomeUnknown` if it is anything else."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise OutcomeUnknown("the answer is not JSON", code="garbage") from error
        if not isinstance(found, dict):
            raise OutcomeUnknown("the answer is not a JSON object", code="garbage")
        return found


def open_client(timeout_s: float) -> httpx.AsyncClient:
    """A client that retries nothing, follows nothing and reads no environment."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20)
    # Connecting must fail before the whole does: then we know for sure that nothing left.
    timeout = httpx.Timeout(timeout_s, connect=timeout_s / 4, pool=timeout_s / 4)
    return httpx.AsyncClient(timeout=timeout, limits=limits, follow_redirects=False, trust_env=False)


async def ask(client: httpx.AsyncClient, request: httpx.Request, timeout_s: float) -> Answer:
    """Send once. `TryAgain` if the request surely never left, `OutcomeUnknown` if it may have arrived.

    httpx bounds each read, not the whole answer, so the whole has its own bound: a peer that drips would hold us forever.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(client, request)
    except _NEVER_LEFT as error:
        raise TryAgain("cannot reach the server", after_s=_RETRY_S, code="connect", fault=Fault.PROVIDER) from error
    except (httpx.HTTPError, httpx.StreamError, TimeoutError) as error:
        raise OutcomeUnknown(f"the answer was lost ({type(error).__name__})", code="lost") from error


async def _exchange(client: httpx.AsyncClient, request: httpx.Request) -> Answer:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                raise OutcomeUnknown("the answer is too long", code="garbage")
        return Answer(status=response.status_code, headers=response.headers, body=bytes(body))
    finally:
        await response.aclose()
