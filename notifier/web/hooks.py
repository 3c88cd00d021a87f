"""`/hooks/…`: providers and survey tools report here. Verified, stored once, answered fast; applied later."""

from collections.abc import Mapping
from datetime import UTC
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from notifier.delivery.accounts import Accounts
from notifier.delivery.callbacks import keep_callback
from notifier.domain.errors import InputError, NotFound
from notifier.domain.links import LinkKind, read_link
from notifier.domain.survey import Survey
from notifier.feedback.record_answers import AlreadyAnswered, Closed, Given, Outcome, Recorded, record_answers
from notifier.providers.base import CallbackRequest
from notifier.store.clock import now
from notifier.store.surveys import find_invitation
from notifier.web.catalogue import DEFAULT_TEAM, Catalogue
from notifier.web.problems import problem_json
from notifier.web.public.face import read_bank
from notifier.web.public.visitor import read_body
from notifier.web.values import Json, Moment, Text

router = APIRouter(include_in_schema=False)

MAX_BODY_BYTES = 1_048_576
JOB = "callbacks"
"""What the bell is told after a callback is stored."""


class SurveyResponse(BaseModel):
    """What a survey tool posts to `/hooks/survey/{source}`."""

    model_config = ConfigDict(extra="forbid")

    id: Text = Field(
        min_length=1, max_length=200, description="the tool's id of the response; the same id again adds answers to it"
    )
    survey: Text = Field(min_length=1, max_length=100, description="key of the survey")
    answers: dict[Text, Json] = Field(description="question → rating, key of a choice, or text")
    invitation: Text | None = Field(default=None, description="token of the invitation, the last part of its link")
    contact: Text | None = Field(default=None, description="external id of the contact, where there is no invitation")
    received_at: Moment | None = Field(default=None, description="when the answer was given; not in the future")
    simulated: bool = Field(default=False, description="true marks every figure made of it as simulated")


@router.post("/hooks/survey/{source}")
async def receive_survey_response(request: Request, source: str) -> Response:
    """The same effect as our own page; Standard Webhooks signature."""
    secret = request.app.state.settings.survey_sources.get(source)
    if secret is None:
        return problem_json(404, f"Set NOTIFIER_SURVEY_SOURCES to hold a secret for {source!r}")
    body = await _read_callback_body(request)
    if isinstance(body, Response):
        return body
    if not _is_signed(secret.get_secret_value(), body, request.headers):
        return problem_json(403, "Sign id, timestamp and body as Standard Webhooks says, within 5 minutes")
    try:
        told = SurveyResponse.model_validate_json(body)
        outcome = await _record(request, source, told)
    except ValidationError as error:
        return problem_json(422, _first_problem(error))
    except NotFound as error:
        return problem_json(422, str(error))
    except InputError as error:
        return problem_json(422, str(error))
    return _outcome_response(outcome)


@router.post("/hooks/{provider}/{account}")
async def receive_callback(request: Request, provider: str, account: str) -> Response:
    """Stored before the answer; a repetition is answered the same and stored once."""
    accounts: Accounts = request.app.state.accounts
    opened = (await accounts.latest()).get(account)
    if opened is None or opened.name != provider:
        return problem_json(404, "No account of this name and provider is configured")
    body = await _read_callback_body(request)
    if isinstance(body, Response):
        return body
    callback = CallbackRequest(
        url=public_address(request), headers={name.lower(): value for name, value in request.headers.items()}, body=body
    )
    if not opened.verify_callback(callback):
        return problem_json(403, "The signature does not fit the address, the body and the account's secret")
    await keep_callback(request.app.state.database, provider=provider, account=account, request=callback)
    return Response(status_code=204, background=BackgroundTask(request.app.state.bell.ring, JOB))


def public_address(request: Request) -> str:
    """The address the provider was given: of the settings, never of the Host header."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"].decode("latin-1")
    base: str = request.app.state.settings.public_url
    return base.rstrip("/") + raw.decode("latin-1") + (f"?{query}" if query else "")


async def _read_callback_body(request: Request) -> bytes | Response:
    try:
        return await read_body(request, MAX_BODY_BYTES)
    except HTTPException as error:
        return problem_json(error.status_code, f"Send at most {MAX_BODY_BYTES} bytes")


def _is_signed(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # garbage in a header is a bare ValueError or binascii.Error
        return False
    return True


async def _record(request: Request, source: str, told: SurveyResponse) -> Outcome:
    survey_id, survey, invitation_id = await _find(request, told)
    moment = told.received_at.astimezone(UTC) if told.received_at else None
    async with request.app.state.database.transaction() as tx:
        today = await now(tx)
    if moment is not None and moment > today:
        moment = None
    return await record_answers(
        request.app.state.database,
        survey=survey,
        survey_id=survey_id,
        invitation_id=invitation_id,
        month=(moment or today).astimezone(await _zone(request)).month,
        given=Given(
            answers=told.answers,
            source=source,
            external_key=told.id,
            contact=told.contact,
            simulated=told.simulated,
            received_at=moment,
        ),
    )


async def _find(request: Request, told: SurveyResponse) -> tuple[int, Survey, int | None]:
    """The version that was answered: the invitation's, else the newest."""
    catalogue: Catalogue = request.app.state.catalogue
    async with request.app.state.database.transaction() as tx:
        if told.invitation is None:
            definition, survey = await catalogue.survey(tx, DEFAULT_TEAM, told.survey)
            return definition.id, survey, None
        numbers = read_link(request.app.state.keys.links, LinkKind.SURVEY, told.invitation)
        invitation = await find_invitation(tx, numbers[0]) if numbers and len(numbers) == 1 else None
        if invitation is None or invitation.survey_key != told.survey:
            raise NotFound("there is no such invitation to this survey")
        return invitation.survey_id, await catalogue.survey_version(tx, invitation.survey_id), invitation.id


async def _zone(request: Request) -> ZoneInfo:
    bank = await read_bank(request)
    return ZoneInfo(bank.zone if bank else "UTC")


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or 'body'}: {first['msg']}"


def _outcome_response(outcome: Outcome) -> Response:
    match outcome:
        case Recorded(is_new=is_new):
            return JSONResponse({"outcome": "recorded" if is_new else "completed"})
        case AlreadyAnswered():
            return JSONResponse({"outcome": "already-answered"})
        case Closed():
            # 404 and 410 make some tools switch the whole webhook off.
            return problem_json(409, "The invitation takes no answers any more")
