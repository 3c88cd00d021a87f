"""Errors in words: problem+json for machines, a page for people; never a stack trace."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from notifier.domain.errors import (
    Conflict,
    DefinitionError,
    DefinitionErrors,
    InputError,
    NotFound,
    NotifierError,
    RenderError,
    ServiceError,
)
from notifier.logs import get_logger
from notifier.web.access.sessions import ForgedForm, LoginNeeded, NotAllowed, login_url
from notifier.web.console.show import show_error

_STATUS: tuple[tuple[type[NotifierError], int], ...] = (
    (InputError, 422),
    (DefinitionError, 422),
    (DefinitionErrors, 422),
    (RenderError, 422),
    (NotFound, 404),
    (Conflict, 409),
    (ServiceError, 503),
)
_MACHINE_DOORS = ("/api/", "/hooks/")
log = get_logger()


class Problem(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def problem_json(
    status: int, detail: str, *, errors: Sequence[Mapping[str, str]] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """RFC 9457; `errors` names each wrong field."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return JSONResponse(body, status, headers=dict(headers or {}), media_type="application/problem+json")


def add_error_handlers(app: FastAPI) -> None:
    """One handler per kind of error; the last one catches what nobody expected."""
    app.add_exception_handler(NotifierError, _answer_ours)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(LoginNeeded, _send_to_login)
    app.add_exception_handler(ForgedForm, _answer_forged)
    app.add_exception_handler(NotAllowed, _answer_not_allowed)
    app.add_exception_handler(Exception, _answer_unexpected)


def _is_machine(request: Request) -> bool:
    return request.url.path.startswith(_MACHINE_DOORS)


async def _answer(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    if _is_machine(request):
        return problem_json(status, detail, headers=headers)
    return await show_error(request, status, detail)


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
    return await _answer(request, 403, "Your role may look at this but not change it.")


async def _answer_unexpected(request: Request, error: Exception) -> Response:
    log.error(
        "web.request_failed", path=request.scope.get("route_path", ""), error=type(error).__name__, exc_info=error
    )
    return await _answer(request, 500, "")
