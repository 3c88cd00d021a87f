"""A run's life before and around its messages: the states it goes through and what may be done in each."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands."""

    DRAFT = "draft"  # its author is at it
    WAITING = "waiting"  # a recurring run whose inputs nobody filled yet
    SUBMITTED = "submitted"  # a second person has to release it
    SCHEDULED = "scheduled"  # released, its time has not come
    RUNNING = "running"  # its messages go out
    STOPPED = "stopped"  # a person halted it; it can be resumed
    ENDED = "ended"
    CANCELLED = "cancelled"


OPEN = frozenset({RunState.DRAFT, RunState.WAITING, RunState.SUBMITTED, RunState.SCHEDULED})
"""Nothing of it was sent: its inputs, time and audience can still be changed."""

OVER = frozenset({RunState.ENDED, RunState.CANCELLED})


def run_name(run_id: int) -> str:
    """A run's number as one can say it: the month and which of its runs, `2026-03 #14`."""
    month, number = divmod(run_id, 1_000_000)
    return f"{month // 100}-{month % 100:02} #{number}"
