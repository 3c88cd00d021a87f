"""The calendar: a month of runs and of the times recurring campaigns will get one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from babel import dates
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from notifier.planning.calendar import Entry, read_calendar
from notifier.store import clock
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.catalogues import LOCALES
from notifier.web.console.names import read_names
from notifier.web.console.show import open_page
from notifier.web.console.words import Words

router = APIRouter()
Month = Annotated[str, Query(pattern=r"^((19|20)\d\d-(0[1-9]|1[0-2]))?$")]
"""As an address names it: 2026-03; none is the present one."""
LEGEND = ("expected", "draft", "waiting", "submitted", "scheduled", "running", "stopped", "ended", "cancelled")
_SHOWN_A_DAY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the grid with what happens on it, by the bank's clock."""

    day: date
    is_other_month: bool
    is_today: bool
    entries: Sequence[Entry]

    @property
    def shown(self) -> Sequence[Entry]:
        """What a cell has room for."""
        return self.entries[:_SHOWN_A_DAY]

    @property
    def more(self) -> int:
        """How many have no room."""
        return len(self.entries) - len(self.shown)


def month_weeks(first: date) -> list[list[date]]:
    """The weeks a month touches, Monday first; days of its neighbours fill the ends."""
    start = first - timedelta(days=first.weekday())
    after = next_month(first)
    weeks = []
    while start < after:
        weeks.append([start + timedelta(days=n) for n in range(7)])
        start += timedelta(weeks=1)
    return weeks


def next_month(first: date) -> date:
    """The first of the month after."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def month_before(first: date) -> date:
    """The first of the month before."""
    return (first - timedelta(days=1)).replace(day=1)


def weekday_names(t: Words) -> list[tuple[str, str]]:
    """(short, long) from Monday to Sunday, as the language writes them."""
    short = dates.get_day_names("abbreviated", locale=LOCALES[t.locale])
    wide = dates.get_day_names("wide", locale=LOCALES[t.locale])
    return [(short[number], wide[number]) for number in range(7)]


@router.get("/calendar")
async def show_calendar(request: Request, visitor: LoggedIn, month: Month = "") -> Response:
    """A month: a grid, and a list of its days where there is no room for one."""
    async with open_page(request, visitor) as page:
        zone = ZoneInfo(page.bank.zone)
        today = (await clock.now(page.tx)).astimezone(zone).date()
        first = date.fromisoformat(f"{month}-01") if month else today.replace(day=1)
        weeks = month_weeks(first)
        entries = await read_calendar(
            page.tx, page.team_id, _midnight(weeks[0][0], zone), _midnight(weeks[-1][-1] + timedelta(days=1), zone)
        )
        by_day: dict[date, list[Entry]] = {}
        for entry in entries:
            by_day.setdefault(entry.at.astimezone(zone).date(), []).append(entry)
        grid = [
            [
                Day(
                    day=day,
                    is_other_month=day.month != first.month,
                    is_today=day == today,
                    entries=by_day.get(day, []),
                )
                for day in week
            ]
            for week in weeks
        ]
        states = {entry.state for entry in entries}
        return page.show(
            "calendar.html",
            first=first,
            weeks=grid,
            weekdays=weekday_names(page.words),
            before=month_before(first),
            after=next_month(first),
            today=today,
            names=await read_names(page),
            legend_states=[state for state in LEGEND if state in states],
            clock_of=lambda at: at.astimezone(zone).strftime("%H:%M"),
        )


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
