"""The calendar: which runs stand for which time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarStep:
    """A later step of a run with steps: at this instant, or (`each_zone`) at this wall time of each contact."""

    run: CalendarRun
    step: str
    at: datetime
    each_zone: bool


async def list_calendar_steps(
    tx: Tx, team_id: int, since: datetime, until: datetime, *, zone: str, limit: int = 1000
) -> list[CalendarStep]:
    """Steps that start later than their run and from `since` to before `until`; a wall time counts in `zone`."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.campaign_key, r.kind, r.state, s.purpose, r.nominal_at, r.at_once, r.drill, s.step,
            due.at, s.due_local IS NOT NULL AS each_zone
        FROM notifier.runs r JOIN notifier.run_steps s ON s.run_id = r.id
        CROSS JOIN LATERAL (SELECT coalesce(s.due_at, s.due_local AT TIME ZONE $4) AS at) AS due
        WHERE r.team_id = $1 AND r.kind <> 'standing' AND s.position > 1
            AND due.at >= $2 AND due.at < $3 AND due.at <> r.nominal_at
        ORDER BY due.at, r.id, s.position LIMIT $5
        """,
        team_id,
        since,
        until,
        zone,
        limit,
    )
    return [_read_step(dict(row)) for row in rows]


def _read_step(row: dict[str, Any]) -> CalendarStep:
    step, at, each_zone = row.pop("step"), row.pop("at"), row.pop("each_zone")
    return CalendarStep(run=CalendarRun(**row), step=step, at=at, each_zone=each_zone)


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
