"""What delivery must know of a run's steps."""

from dataclasses import dataclass

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """The pinned versions and purpose of one step."""

    step: str
    template_id: int
    survey_id: int | None
    purpose: str
    topic: str


async def list_step_facts(tx: Tx, run_id: int) -> list[StepFacts]:
    """The steps of a run in order."""
    rows = await tx.fetch(
        """
        SELECT step, template_id, survey_id, purpose, topic FROM notifier.run_steps WHERE run_id = $1 ORDER BY position
        """,
        run_id,
    )
    return [StepFacts(**dict(row)) for row in rows]
