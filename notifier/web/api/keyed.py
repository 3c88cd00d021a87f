"""Who calls the API: the key, its scopes, and requests that must not act twice."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

import orjson
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.responses import Response

from notifier.domain.person import ACTING, ADMINISTERING, AUDITING, Person, Role
from notifier.store import access
from notifier.store.access import ApiKey
from notifier.store.database import Database, Tx
from notifier.web.access.keys import find_key
from notifier.web.problems import Problem

_BEARER = HTTPBearer(auto_error=False, description="An API key: `nk_<number>_<secret>`")
_LONGEST_KEY = 200


async def find_caller(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> ApiKey:
    """The key that calls; 401 without a live one."""
    database: Database = request.app.state.database
    if given is not None:
        async with database.transaction() as tx:
            key = await find_key(tx, given.credentials)
        if key is not None:
            return key
    raise Problem(401, "wants `Authorization: Bearer nk_…` with a live API key", headers={"www-authenticate": "Bearer"})


def _with_scope(scope: str) -> Callable[[ApiKey], Awaitable[ApiKey]]:
    async def check(key: Annotated[ApiKey, Depends(find_caller)]) -> ApiKey:
        if scope not in key.scopes:
            raise Problem(403, f"this key lacks the scope {scope!r}")
        return key

    return check


def _of_role(scope: str, roles: frozenset[Role]) -> Callable[[ApiKey], Awaitable[ApiKey]]:
    has_scope = _with_scope(scope)

    async def check(key: Annotated[ApiKey, Depends(has_scope)]) -> ApiKey:
        if not person(key).may(roles):
            raise Problem(403, f"wants a key of a user who is {' or '.join(sorted(roles))}")
        return key

    return check


async def _acting(key: Annotated[ApiKey, Depends(_with_scope("read"))]) -> ApiKey:
    if key.user_id is not None and not person(key).may(ACTING):
        raise Problem(403, "this key's user only looks: files with personal data are for those who act")
    return key


Reader = Annotated[ApiKey, Depends(_with_scope("read"))]
Writer = Annotated[ApiKey, Depends(_with_scope("write"))]
Sender = Annotated[ApiKey, Depends(_with_scope("send"))]
Exporter = Annotated[ApiKey, Depends(_acting)]
Releaser = Annotated[ApiKey, Depends(_with_scope("release"))]
AuditReader = Annotated[ApiKey, Depends(_of_role("read", AUDITING))]
AdminReader = Annotated[ApiKey, Depends(_of_role("read", ADMINISTERING | {Role.AUDITOR}))]
AdminWriter = Annotated[ApiKey, Depends(_of_role("write", ADMINISTERING))]


def actor(key: ApiKey) -> str:
    """How the audit names a key."""
    return f"api-key:{key.id}"


def person(key: ApiKey) -> Person:
    """Who acts by this key: the user it stands for, in the role they have now; nobody for a system's key."""
    return Person(name=actor(key), user_id=key.user_id, role=Role(key.user_role) if key.user_role else None)


async def once(
    request: Request, key: ApiKey, body: BaseModel, *, status: int, work: Callable[[Tx], Awaitable[BaseModel]]
) -> Response:
    """Do the work once per `Idempotency-Key`, and answer a repeated request as the first time.

    The key, the work and the answer are one commit: what failed can be tried again with the same key.
    Problems: 400 without a key, 409 while the first request is at work, 422 for another body.
    """
    given = request.headers.get("idempotency-key", "")
    if not 0 < len(given) <= _LONGEST_KEY or not given.isprintable():
        raise Problem(400, f"wants an Idempotency-Key header of 1 to {_LONGEST_KEY} characters")
    scope = f"{request.method} {request.url.path}"
    digest = hashlib.sha256(orjson.dumps(body.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        if not await access.hold_request(tx, key.team_id, scope, given):
            raise Problem(409, "a request with this Idempotency-Key is being worked on", headers={"retry-after": "1"})
        earlier = await access.reserve_request(tx, key.team_id, scope, given, digest)
        if earlier is not None:
            return _replay(earlier, digest)
        answer = (await work(tx)).model_dump_json()
        await access.keep_answer(tx, key.team_id, scope, given, status=status, body=answer)
    await request.app.state.bell.ring("tick")
    return Response(answer, status, media_type="application/json")


def _replay(earlier: access.Answered, digest: bytes) -> Response:
    if earlier.request_hash != digest:
        raise Problem(422, "this Idempotency-Key was used for a request with another body")
    if earlier.status is None:
        raise Problem(409, "a request with this Idempotency-Key is being worked on", headers={"retry-after": "1"})
    return Response(
        earlier.body, earlier.status, media_type="application/json", headers={"idempotent-replayed": "true"}
    )
