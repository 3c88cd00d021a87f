"""Errors in words: problem+json for machines, a page for people; never a stack trace."""

import traceback
from collections.abc import Mapping, Sequence

from asyncpg import DataError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notifier.domain.errors import (
    Busy,
    Conflict,
    DefinitionError,
    DefinitionErrors,
    Forbidden,
    InputError,
    NotFound,
    NotifierError,
    RenderError,
    ServiceError,
)
from notifier.logs import get_logger
from notifier.store.database import CANNOT_STORE, TRANSIENT
from notifier.web.access.sessions import ForgedForm, LoginNeeded, NotAllowed, login_url
from notifier.web.console.show import show_error
from notifier.web.problems import Problem, problem_json

_STATUS: tuple[tuple[type[NotifierError], int], ...] = (
    (InputError, 422),
    (DefinitionError, 422),
    (DefinitionErrors, 422),
    (RenderError, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (ServiceError, 503),
)
_COME_BACK_S = 5
_MACHINE_DOORS = ("/api/", "/hooks/")
log = get_logger()


def add_error_handlers(app: FastAPI) -> None:
    """One handler per kind of error; `LastResort` catches what nobody expected."""
    app.add_exception_handler(NotifierError, _answer_ours)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(LoginNeeded, _send_to_login)
    app.add_exception_handler(ForgedForm, _answer_forged)
    app.add_exception_handler(NotAllowed, _answer_not_allowed)
    app.add_exception_handler(DataError, _answer_data)
    app.add_exception_handler(Busy, _answer_busy)
    for kind in (*TRANSIENT, *CANNOT_STORE):
        app.add_exception_handler(kind, _answer_unstored)


def _is_machine(request: Request) -> bool:
    return request.url.path.startswith(_MACHINE_DOORS)


async def _answer(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    if _is_machine(request):
        return problem_json(status, detail, headers=headers)
    page = await show_error(request, status, detail)
    page.headers.update(headers or {})
    return page


async def _answer_ours(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 422)
    if _is_machine(request) and isinstance(error, InputError):
        problem = error.problem + (f". {error.remedy}" if error.remedy else "")
        return problem_json(status, str(error), errors=[{"field": error.field, "problem": problem}])
    detail = "A service we need cannot be reached. Try again in a moment." if status == 503 else str(error)
    return await _answer(request, status, detail)


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _answer(request, error.status_code, str(error.detail), error.headers)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_json(error.status, error.detail, headers=error.headers)


async def _answer_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _field_name(item["loc"]), "problem": str(item["msg"])} for item in error.errors()]
    if not _is_machine(request):
        # A number in an address that is none: there is no such page.
        is_address = all(item["loc"][:1] == ("path",) for item in error.errors())
        return await show_error(request, 404 if is_address else 422, "")
    names = ", ".join(item["field"] for item in errors)
    return problem_json(422, f"the request is wrong at: {names}", errors=errors)


def _field_name(loc: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in loc if part not in {"body", "query", "path", "header"}) or "body"


async def _send_to_login(request: Request, error: Exception) -> Response:
    if request.headers.get("hx-request"):
        return PlainTextResponse("", 401, headers={"hx-redirect": "/login"})
    if request.method != "GET" or request.headers.get("accept", "").startswith("text/event-stream"):
        return PlainTextResponse("log in first", 401)
    return RedirectResponse(login_url(request), 303)


async def _answer_forged(request: Request, error: Exception) -> Response:
    return await _answer(request, 403, "This form is out of date or came from another site. Go back and try again.")


async def _answer_not_allowed(request: Request, error: Exception) -> Response:
    return await _answer(request, 403, str(error) or "Your role may look at this but not change it.")


async def _answer_data(request: Request, error: Exception) -> Response:
    # A net: what the shapes let through and the database cannot hold.
    log.warning("web.value_refused", **_name_error(error))
    return await _answer(request, 422, "The request holds a value that cannot be stored.")


async def _answer_busy(request: Request, error: Exception) -> Response:
    assert isinstance(error, Busy)
    return await _answer(request, 429, str(error), {"retry-after": str(error.after_s)})


async def _answer_unstored(request: Request, error: Exception) -> Response:
    """PostgreSQL is gone, full or only to be read; where only the answer of the commit was lost, a repeat finds the work done."""
    log.warning("web.nothing_stored", **_name_error(error))
    detail = "A service we need cannot be reached. Try again in a moment."
    return await _answer(request, 503, detail, {"retry-after": str(_COME_BACK_S)})


class LastResort:
    """Answers 500 where nobody expected the error; its text, which may quote a customer's data, goes nowhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI door; an answer that has begun is broken off."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def note_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, note_begin)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the process edge
            log.error("web.request_failed", **_name_error(error))
            if has_begun:
                raise ConnectionAbortedError("the answer broke off") from None
        else:
            return
        answer = await _answer(Request(scope, receive), 500, "")
        await answer(scope, receive, send)


def _name_error(error: Exception) -> dict[str, str]:
    """Kind, SQLSTATE and place of an error, without a word of its text."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/notifier/" in frame.filename] or frames
    last = ours[-1]
    return {
        "error": type(error).__name__,
        "sqlstate": str(getattr(error, "sqlstate", "") or ""),
        "at": f"{last.filename.rpartition('/notifier/')[2]}:{last.lineno}",
    }
