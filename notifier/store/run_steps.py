"""The steps of runs: written by a release, planned when they are due."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from notifier.domain.message import RunId
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A step as launched: everything a claim needs to know about it."""

    step: str
    position: int
    template_id: int
    survey_id: int | None
    purpose: str
    topic: str
    lane: int
    in_doubt: str
    consent: str
    open_from: time | None
    open_until: time | None
    expires: timedelta
    plan_at: datetime
    due_at: datetime | None
    due_local: datetime | None
    closes: timedelta | None


async def add_steps(tx: Tx, run_id: RunId, steps: list[NewStep]) -> None:
    """Keep the steps of a run."""
    await tx.executemany(
        """
        INSERT INTO notifier.run_steps (run_id, step, position, template_id, survey_id, purpose, topic, lane, in_doubt,
            consent, open_from, open_until, expires, plan_at, due_at, due_local, closes)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        """,
        [
            (
                run_id,
                s.step,
                s.position,
                s.template_id,
                s.survey_id,
                s.purpose,
                s.topic,
                s.lane,
                s.in_doubt,
                s.consent,
                s.open_from,
                s.open_until,
                s.expires,
                s.plan_at,
                s.due_at,
                s.due_local,
                s.closes,
            )
            for s in steps
        ],
    )


async def lock_steps(tx: Tx, run_id: int) -> None:
    """Wait for the planners of this run: they lock a step and then the run, and so does who changes both."""
    await tx.execute("SELECT 1 FROM notifier.run_steps WHERE run_id = $1 ORDER BY step FOR UPDATE", run_id)


async def drop_steps(tx: Tx, run_id: int) -> None:
    """Forget the steps of a run that has not begun; its next release writes them anew."""
    await tx.execute("DELETE FROM notifier.run_steps WHERE run_id = $1", run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueStep:
    """A step whose time to be planned has come."""

    run_id: RunId
    step: str


async def list_due_steps(tx: Tx) -> list[DueStep]:
    """Steps to plan now, oldest first."""
    rows = await tx.fetch(
        """
        SELECT s.run_id, s.step FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE s.state <> 'planned' AND greatest(s.plan_at, r.held_until) <= notifier.now()
            AND r.state IN ('scheduled', 'running') AND r.kind <> 'standing'
        ORDER BY s.lane, s.plan_at, s.run_id, s.position
        """
    )
    return [DueStep(run_id=RunId(row["run_id"]), step=row["step"]) for row in rows]
