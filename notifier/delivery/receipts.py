"""Receipts: what became of a batch is told to the ledger until it has heard, however long that is away."""

import asyncio
from collections.abc import Collection, Sequence

from notifier.domain.message import MessageId
from notifier.logs import get_logger
from notifier.store.database import CANNOT_STORE, TRANSIENT, Database
from notifier.store.messages.claim import Batch
from notifier.store.messages.give_back import spare_tries
from notifier.store.messages.record import Receipt, record_receipts

log = get_logger()
_FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 2.0


async def record(database: Database, batch: Batch, receipts: Sequence[Receipt], spared: Collection[MessageId]) -> None:
    """Receipts are precious: what is not recorded is in doubt. It ends when they are, or the lease is seen to be lost."""
    wait_s = _FIRST_WAIT_S
    while (held := await _try(database, batch, receipts, spared)) is None:
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    if held != len(receipts):
        log.warning("delivery.lease_lost", run=batch.run_id, claim=batch.claim_id, lost=len(receipts) - held)


async def _try(
    database: Database, batch: Batch, receipts: Sequence[Receipt], spared: Collection[MessageId]
) -> int | None:
    try:
        async with database.transaction() as tx:
            held = await record_receipts(tx, batch.run_id, batch.claim_id, receipts)
            if spared and held == len(receipts):
                await spare_tries(tx, batch.run_id, spared)
            return held
    except (*TRANSIENT, *CANNOT_STORE) as error:
        log.warning("delivery.record_failed", run=batch.run_id, error=type(error).__name__)
        return None
