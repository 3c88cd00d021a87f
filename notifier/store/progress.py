"""What is left to do: now, next, and whether a run is through."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.domain.message import RunId
from notifier.store.database import Tx
from notifier.store.messages.fragments import FREE, RESEND_AT, RESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """What is due at this business time and not done."""

    steps: int
    runs_with_due_messages: int
    sending: int
    callbacks: int
    reports: int

    @property
    def is_idle(self) -> bool:
        """Nothing is due and nothing is on the wire."""
        return not any((self.steps, self.runs_with_due_messages, self.sending, self.callbacks, self.reports))


async def find_open_work(tx: Tx) -> OpenWork:
    """Counts of everything that is due; each is found by a partial index."""
    row = await tx.fetchrow(
        f"""
        SELECT
            (SELECT count(*) FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
                WHERE s.state <> 'planned' AND greatest(s.plan_at, r.held_until) <= notifier.now() AND r.state IN ('scheduled', 'running')
                    AND r.kind <> 'standing') AS steps,
            (SELECT count(*) FROM notifier.runs r WHERE r.state = 'running' AND EXISTS (
                SELECT 1 FROM notifier.messages m WHERE m.run_id = r.id AND m.state = 'queued'
                    AND m.due_at <= notifier.now() AND {FREE})) AS runs_with_due_messages,
            (SELECT count(*) FROM notifier.claims) AS sending,
            (SELECT count(*) FROM notifier.callbacks WHERE applied_at IS NULL AND tries < 3) AS callbacks,
            (SELECT count(*) FROM notifier.sandbox_items
                WHERE reported_at IS NULL AND fate <> 'none' AND report_at <= notifier.now()) AS reports
        """
    )
    return OpenWork(**dict(row))


async def list_runs_to_end(tx: Tx) -> list[RunId]:
    """Running runs whose steps are all planned and that have no open message left."""
    rows = await tx.fetch(
        """
        SELECT r.id FROM notifier.runs r
        LEFT JOIN LATERAL (
            SELECT 1 AS found FROM notifier.messages m WHERE m.run_id = r.id AND m.state = 'queued' LIMIT 1) AS queued ON true
        LEFT JOIN LATERAL (
            SELECT 1 AS found FROM notifier.messages m WHERE m.run_id = r.id AND m.state IN ('sending', 'uncertain', 'to-post') LIMIT 1
            ) AS open ON true
        WHERE r.state = 'running' AND r.kind <> 'standing' AND r.frozen_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM notifier.run_steps s WHERE s.run_id = r.id AND s.state <> 'planned')
            AND queued.found IS NULL AND open.found IS NULL
        ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
        """
    )
    return [RunId(row["id"]) for row in rows]


async def next_moment(tx: Tx, patience: timedelta) -> datetime | None:
    """The next business time at which something falls due: a step, a deferred message, an in-doubt look."""
    moment: datetime | None = await tx.fetchval(
        f"""
        SELECT min(at) FROM (
            SELECT min(greatest(s.plan_at, r.held_until)) AS at FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
                WHERE s.state <> 'planned' AND r.state IN ('scheduled', 'running') AND r.kind <> 'standing'
            UNION ALL
            SELECT min(first.due_at) FROM notifier.runs r CROSS JOIN LATERAL (
                SELECT min(m.due_at) AS due_at FROM notifier.messages m
                WHERE m.run_id = r.id AND m.state = 'queued' AND {FREE}) AS first
                WHERE r.state = 'running'
            UNION ALL
            SELECT min(least(m.expires_at, {RESEND_AT.format(patience="$1")}))
                FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
                JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
                WHERE r.state = 'running' AND m.state = 'uncertain' AND {RESENT}
            UNION ALL
            SELECT min(m.expires_at) FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
                WHERE r.state = 'running' AND m.state = 'to-post'
        ) AS moments
        """,
        patience,
    )
    return moment
