"""The calendar: which runs stand for which time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRun:
    """A run at its time; one that waits to be released at once stands where it was drafted."""

    id: int
    campaign_key: str
    kind: str
    state: str
    purpose: str
    nominal_at: datetime
    at_once: bool
    drill: bool


async def list_calendar_runs(
    tx: Tx, team_id: int, since: datetime, until: datetime, *, limit: int = 1000
) -> list[CalendarRun]:
    """Runs of all states from `since` to before `until`, by time; the standing ones of single messages are left out."""
    rows = await tx.fetch(
        """
        SELECT id, campaign_key, kind, state, purpose, nominal_at, at_once, drill FROM notifier.runs
        WHERE team_id = $1 AND kind <> 'standing' AND nominal_at >= $2 AND nominal_at < $3
        ORDER BY nominal_at, id LIMIT $4
        """,
        team_id,
        since,
        until,
        limit,
    )
    return [CalendarRun(**dict(row)) for row in rows]


async def list_occurrences(tx: Tx, team_id: int, since: datetime, until: datetime) -> Mapping[str, set[datetime]]:
    """Campaign → the times of its schedule for which there is a run already, whenever that starts now."""
    rows = await tx.fetch(
        """
        SELECT campaign_key, occurrence_at FROM notifier.runs
        WHERE team_id = $1 AND kind = 'recurring' AND occurrence_at >= $2 AND occurrence_at < $3
        """,
        team_id,
        since,
        until,
    )
    found: dict[str, set[datetime]] = {}
    for row in rows:
        found.setdefault(row["campaign_key"], set()).add(row["occurrence_at"])
    return found
