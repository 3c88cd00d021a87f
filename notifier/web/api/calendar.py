"""The calendar over the API: runs at their times, and the times recurring campaigns will get one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from notifier.planning.calendar import Entry, read_calendar
from notifier.store.database import Database
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Shape
from notifier.web.values import Moment

router = APIRouter(prefix="/calendar", tags=["runs"])


class CalendarEntryOut(Shape):
    """One thing of the calendar."""

    campaign: str
    at: datetime
    step: str = Field(description="a later step of a released run; empty: the run's start")
    each_zone: bool = Field(description="at this wall time of the bank's clock in each contact's time zone")
    state: str = Field(description="the run's state, or `expected`: a recurring campaign's time without a run yet")
    run_id: int | None
    at_once: bool = Field(description="starts when it is released; `at` is when it was drafted")
    drill: bool


class CalendarOut(Shape):
    """What happens in a span of time, by time."""

    entries: list[CalendarEntryOut]


@router.get("", summary="What goes out when")
async def get_calendar(
    request: Request,
    key: Reader,
    from_: Annotated[Moment, Query(alias="from")],
    to: Annotated[Moment, Query(description="excluded; 400 days after `from` at most")],
) -> CalendarOut:
    """Runs of every state, and from now on the times of recurring campaigns for which no run was made yet."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        entries = await read_calendar(tx, key.team_id, from_, to)
    return CalendarOut(entries=[_tell(entry) for entry in entries])


def _tell(entry: Entry) -> CalendarEntryOut:
    return CalendarEntryOut(
        campaign=entry.campaign_key,
        at=entry.at,
        step=entry.step,
        each_zone=entry.each_zone,
        state=entry.state,
        run_id=entry.run.id if entry.run else None,
        at_once=bool(entry.run and entry.run.at_once and entry.run.state in {"draft", "submitted"}),
        drill=bool(entry.run and entry.run.drill),
    )
