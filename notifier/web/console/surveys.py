"""Survey results: the score and how sure it is, what people chose, what they wrote."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from notifier.feedback.satisfaction import satisfaction
from notifier.store.views.surveys import newest_response_at
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.show import open_page
from notifier.web.export import responses_csv
from notifier.web.values import Text

router = APIRouter()


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
async def show_survey(request: Request, visitor: LoggedIn, key: Text) -> Response:
    """One survey's result."""
    async with open_page(request, visitor) as page:
        _, survey = await page.catalogue.survey(page.tx, page.team_id, key)
        result = await satisfaction(page.tx, survey, team_id=page.team_id)
        newest = await newest_response_at(page.tx, page.team_id, key)
        return page.show("survey.html", survey=survey, result=result, newest=newest)
