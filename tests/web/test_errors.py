"""The last resort: what nobody expected says nothing, and an answer that has begun is broken off."""

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from notifier.web.errors import LastResort

HTTP: Scope = {"type": "http", "path": "/api/x", "method": "GET", "headers": [], "query_string": b""}


async def _no_message() -> Message:
    return {"type": "http.disconnect"}


async def _run(error: Exception, scope: Scope, *, begin: bool) -> list[Message]:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if begin:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    await LastResort(fail)(scope, _no_message, keep)
    return sent


async def test_answer_that_has_begun_is_broken_off_without_a_word() -> None:
    with capture_logs() as lines, pytest.raises(ConnectionAbortedError) as broken:
        await _run(ValueError("a customer's name"), HTTP, begin=True)
    assert broken.value.__suppress_context__
    assert (lines[0]["error"], "customer" in str(lines)) == ("ValueError", False)


async def test_error_before_the_answer_is_a_problem() -> None:
    sent = await _run(ValueError("a customer's name"), HTTP, begin=False)
    assert sent[0]["status"] == 500
    assert b"customer" not in sent[1]["body"]


async def test_visitor_who_leaves_is_no_error() -> None:
    with capture_logs() as lines:
        assert await _run(ClientDisconnect(), HTTP, begin=False) == []
    assert lines == []


async def test_start_that_fails_keeps_its_own_words() -> None:
    with pytest.raises(ValueError, match="no database"):
        await _run(ValueError("no database"), {"type": "lifespan"}, begin=False)
