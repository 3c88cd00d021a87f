"""The overview: what goes out now, what comes next, what needs a person, how satisfied people are."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from starlette.responses import Response

from notifier.domain.survey import Survey
from notifier.domain.text import Localized
from notifier.feedback.satisfaction import Satisfaction, satisfaction
from notifier.store import clock
from notifier.store.views import overview as view
from notifier.store.views.runs import RunLine, list_active_runs
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.sentences import missing_inputs
from notifier.web.console.show import Page, open_page

router = APIRouter()
MANUAL = "manual"


@router.get("/")
async def show_overview(request: Request, visitor: LoggedIn) -> Response:
    """Everything of today on one page."""
    async with open_page(request, visitor) as page:
        now = await clock.now(page.tx)
        runs = await list_active_runs(page.tx, page.team_id)
        return page.show(
            "overview.html",
            now=now,
            going=[run for run in runs if run.state != "waiting"],
            waiting=[(run, await _labels_missing(page, run)) for run in runs if run.state == "waiting"],
            upcoming=await view.list_upcoming(page.tx, page.team_id),
            posts=await list_open_posts(page),
            doubts=await view.list_doubts(page.tx, page.team_id),
            titles=await campaign_titles(page),
            survey=await _headline_survey(page),
            today=await view.count_since(page.tx, page.team_id, _start_of_day(page, now)),
        )


async def campaign_titles(page: Page) -> dict[str, Localized]:
    """Campaign key → title."""
    return {campaign.key: campaign.title for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)}


async def list_open_posts(page: Page) -> list[view.ManualPost]:
    """Posts that wait for a person."""
    accounts = await page.catalogue.accounts(page.tx, page.team_id)
    by_hand = [account.key for account in accounts if account.provider == MANUAL]
    return await view.list_manual_posts(page.tx, page.team_id, by_hand)


async def _labels_missing(page: Page, run: RunLine) -> list[str]:
    campaign = await page.catalogue.campaign_version(page.tx, run.campaign_id)
    return [page.say(campaign.inputs[name].label) for name in missing_inputs(campaign, run.inputs)]


async def _headline_survey(page: Page) -> tuple[Survey, Satisfaction] | None:
    """The survey with a score that has most answers; the one that measures satisfaction where none has any."""
    scored = [survey for survey in await page.catalogue.surveys(page.tx, page.team_id) if survey.score]
    results = [(survey, await satisfaction(page.tx, survey, team_id=page.team_id, comments=0)) for survey in scored]
    results.sort(key=lambda pair: ("satisfaction" not in pair[0].key, -pair[1].responses))
    return results[0] if results else None


def _start_of_day(page: Page, now: datetime) -> datetime:
    zone = ZoneInfo(page.bank.zone)
    return datetime.combine(now.astimezone(zone).date(), time(), zone)
