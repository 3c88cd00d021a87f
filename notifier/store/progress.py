"""Is there anything left to do now? For doors that wait, such as the demo."""

from dataclasses import dataclass

from notifier.store.database import Tx


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
        """
        SELECT
            (SELECT count(*) FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
                WHERE s.state <> 'planned' AND s.plan_at <= notifier.now() AND r.state IN ('scheduled', 'running')
                    AND r.kind <> 'standing') AS steps,
            (SELECT count(*) FROM notifier.runs r WHERE r.state = 'running' AND EXISTS (
                SELECT 1 FROM notifier.messages m WHERE m.run_id = r.id AND m.state = 'queued'
                    AND m.due_at <= notifier.now())) AS runs_with_due_messages,
            (SELECT count(*) FROM notifier.claims) AS sending,
            (SELECT count(*) FROM notifier.callbacks WHERE applied_at IS NULL AND tries < 3) AS callbacks,
            (SELECT count(*) FROM notifier.sandbox_items
                WHERE reported_at IS NULL AND fate <> 'none' AND report_at <= notifier.now()) AS reports
        """
    )
    return OpenWork(**dict(row))
