"""Settle: what a dead worker or a lost reply left in doubt, as its purpose says."""

from dataclasses import dataclass
from datetime import timedelta

from notifier.logs import get_logger
from notifier.store.database import Database
from notifier.store.messages.record import cancel_left_over, settle_uncertain, sweep_dead_claims

log = get_logger()
RECONCILE_FOR = timedelta(minutes=5)
"""How long a callback may take to settle a doubt before the message goes again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one sweep found."""

    in_doubt: int
    resent: int


async def settle_doubts(database: Database) -> Settled:
    """Take messages from leases that ran out; send again what its purpose allows."""
    async with database.transaction() as tx:
        in_doubt = await sweep_dead_claims(tx)
    async with database.transaction() as tx:
        resent = await settle_uncertain(tx, RECONCILE_FOR)
    async with database.transaction() as tx:
        await cancel_left_over(tx)
    if in_doubt or resent:
        log.warning("delivery.doubts_settled", in_doubt=in_doubt, resent=resent)
    return Settled(in_doubt=in_doubt, resent=resent)
