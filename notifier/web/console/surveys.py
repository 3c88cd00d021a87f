"""Survey results: the score and how sure it is, what people chose, what they wrote."""

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from notifier.feedback.satisfaction import satisfaction
from notifier.feedback.trend import next_month, score_months
from notifier.store.surveys import Window
from notifier.store.views.surveys import list_responses, newest_response_at
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.show import open_page
from notifier.web.export import responses_csv
from notifier.web.values import Id, Text

router = APIRouter()
_ANSWERS_SHOWN = 10
Month = Annotated[str, Query(pattern=r"^((19|20)\d\d-(0[1-9]|1[0-2]))?$")]
"""As an address names it: 2026-03, or none."""


@router.get("/surveys")
async def show_surveys(request: Request, visitor: LoggedIn) -> Response:
    """Every survey with its score."""
    async with open_page(request, visitor) as page:
        surveys = await page.catalogue.surveys(page.tx, page.team_id)
        results = [
            (survey, await satisfaction(page.tx, survey, team_id=page.team_id, comments=0)) for survey in surveys
        ]
        results.sort(key=lambda pair: (-pair[1].responses, pair[0].key))
        return page.show("surveys.html", results=results)


@router.get("/surveys/{key}/responses.csv")
async def export_responses(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """Every response, for a spreadsheet."""
    async with open_page(request, visitor) as page:
        _, survey = await page.catalogue.survey(page.tx, page.team_id, key)
    return await responses_csv(request.app.state.database, visitor.user.team_id, survey)


@router.get("/surveys/{key}")
async def show_survey(
    request: Request, visitor: LoggedIn, key: Text, month: Month = "", before: Id | None = None
) -> Response:
    """One survey's result; `month` (2026-03) lists what was answered then, else the newest answers."""
    async with open_page(request, visitor) as page:
        _, survey = await page.catalogue.survey(page.tx, page.team_id, key)
        window = _month_window(month, ZoneInfo(page.bank.zone))
        answers = await list_responses(
            page.tx, page.team_id, key, window=window, before=before, limit=_ANSWERS_SHOWN + 1
        )
        return page.show(
            "survey.html",
            survey=survey,
            result=await satisfaction(page.tx, survey, team_id=page.team_id),
            newest=await newest_response_at(page.tx, page.team_id, key),
            months=await score_months(page.tx, survey, zone=page.bank.zone, team_id=page.team_id),
            month=month,
            month_title=page.words.month(date.fromisoformat(f"{month}-01")) if month else "",
            asked=[question for question in survey.questions if any(question.key in one.answers for one in answers)],
            answers=answers[:_ANSWERS_SHOWN],
            older=answers[_ANSWERS_SHOWN - 1].id if len(answers) > _ANSWERS_SHOWN else None,
        )


def _month_window(month: str, zone: ZoneInfo) -> Window:
    """The month as the bank's calendar has it; everything where none is asked for."""
    if not month:
        return Window()
    first = date.fromisoformat(f"{month}-01")
    start, end = (datetime.combine(day, time(), zone) for day in (first, next_month(first)))
    return Window(received_from=start, received_until=end)
