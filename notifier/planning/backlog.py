"""Backlog: what would be late is refused at the door, so that whoever asks can do something else."""

from notifier.domain.errors import Busy
from notifier.domain.purpose import RULES, Purpose
from notifier.store.database import Tx
from notifier.store.views.backlog import find_longest_wait

_COME_BACK_S = 30


async def refuse_when_late(tx: Tx, purpose: Purpose, *, late_pct: int) -> None:
    """`Busy` where the oldest due message of this lane has waited for so much of what a message of it lives."""
    rules = RULES[purpose]
    if await find_longest_wait(tx, rules.lane) > rules.expires * late_pct / 100:
        raise Busy(f"{purpose} messages are waiting so long that another one would be late", after_s=_COME_BACK_S)
