"""Surveys over the API: the score with its uncertainty, and the responses."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from notifier.domain.errors import NotFound
from notifier.domain.survey import Survey
from notifier.feedback.satisfaction import satisfaction
from notifier.feedback.trend import score_months
from notifier.store.database import Database
from notifier.store.surveys import Window
from notifier.store.views.surveys import list_responses
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import InvitationsOut, MonthScoreOut, ResponseOut, ScoreOut, ScoreWindow, SurveyOut
from notifier.web.catalogue import Catalogue
from notifier.web.export import responses_csv
from notifier.web.values import Id, Moment, Text

router = APIRouter(prefix="/surveys", tags=["surveys"])


@router.get("", summary="List surveys")
async def list_surveys(request: Request, key: Reader) -> Listed[SurveyOut]:
    """Every survey in use, by key; always one page."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        found = await catalogue.surveys(tx, key.team_id)
    return Listed(items=[_tell(survey) for survey in found], next_cursor=None)


@router.get("/{survey_key}/score", summary="Get a survey's score")
async def get_score(  # noqa: PLR0917
    request: Request,
    key: Reader,
    survey_key: Text,
    run_id: Id | None = None,
    received_from: Moment | None = None,
    received_until: Moment | None = None,
) -> ScoreOut:
    """Of one run, of a time (its end excluded), or of all; 404 where the survey has no score."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    window = Window(run_id=run_id, received_from=received_from, received_until=received_until)
    async with database.transaction() as tx:
        _, survey = await catalogue.survey(tx, key.team_id, survey_key)
        result = await satisfaction(tx, survey, window=window, team_id=key.team_id, comments=0)
    score = result.csat
    if score is None:
        raise NotFound(f"the survey {survey_key!r} has no score")
    counts = result.invitations
    return ScoreOut(
        survey=survey_key,
        definition=score.definition,
        method=score.method,
        value_pct=score.value_pct,
        low_pct=score.low_pct,
        high_pct=score.high_pct,
        verdict_bound_pct=score.verdict_bound_pct,
        verdict_upper_pct=score.verdict_upper_pct,
        target_pct=score.target_pct,
        n=score.n,
        verdict=score.verdict.value,
        simulated=result.is_simulated,
        responses=result.responses,
        invitations=InvitationsOut(
            invited=counts.invited, delivered=counts.delivered, opened=counts.opened, answered=counts.answered
        ),
        window=ScoreWindow(run_id=run_id, received_from=received_from, received_until=received_until),
    )


@router.get("/{survey_key}/score/months", summary="Get a survey's score by month")
async def get_score_months(
    request: Request, key: Reader, survey_key: Text, months: Annotated[int, Query(ge=1, le=120)] = 12
) -> Listed[MonthScoreOut]:
    """The last months up to the newest answer, oldest first, as the bank's calendar divides them; always one page."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        _, survey = await catalogue.survey(tx, key.team_id, survey_key)
        bank = await catalogue.bank(tx, key.team_id)
        found = await score_months(tx, survey, zone=bank.zone, team_id=key.team_id, months=months)
    items = [
        MonthScoreOut(
            month=one.month,
            value_pct=one.csat.value_pct,
            low_pct=one.csat.low_pct,
            high_pct=one.csat.high_pct,
            target_pct=one.csat.target_pct,
            n=one.csat.n,
            verdict=one.csat.verdict.value,
        )
        for one in found
    ]
    return Listed(items=items, next_cursor=None)


@router.get("/{survey_key}/responses.csv", summary="Export a survey's responses", response_class=StreamingResponse)
async def export_responses(request: Request, key: Reader, survey_key: Text) -> StreamingResponse:
    """All of them as CSV with a header, safe to open in a spreadsheet; `simulated` says what the demo played."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        _, survey = await catalogue.survey(tx, key.team_id, survey_key)
    return await responses_csv(database, key.team_id, survey)


@router.get("/{survey_key}/responses", summary="List a survey's responses")
async def list_all_responses(  # noqa: PLR0917
    request: Request,
    key: Reader,
    survey_key: Text,
    cursor: Cursor = "",
    limit: Limit = 50,
    received_from: Moment | None = None,
    received_until: Moment | None = None,
) -> Listed[ResponseOut]:
    """The newest first; of a time (its end excluded), or all."""
    window = Window(received_from=received_from, received_until=received_until)
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        await catalogue.survey(tx, key.team_id, survey_key)
        found = await list_responses(
            tx, key.team_id, survey_key, window=window, before=read_cursor(cursor), limit=limit + 1
        )
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    items = [
        ResponseOut(
            id=one.id,
            run_id=one.run_id,
            contact=one.external_id,
            source=one.source,
            locale=one.locale,
            simulated=one.simulated,
            received_at=one.received_at,
            answers=dict(one.answers),
        )
        for one in found[:limit]
    ]
    return Listed(items=items, next_cursor=more)


def _tell(survey: Survey) -> SurveyOut:
    return SurveyOut(
        key=survey.key,
        title=dict(survey.title.texts),
        questions=[question.key for question in survey.questions],
        scored_question=survey.score.question if survey.score else None,
        target_pct=survey.score.target_pct if survey.score else None,
    )
