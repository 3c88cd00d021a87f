"""Drain a lane: claim, render, send, record, until nothing of it is due."""

import time
from dataclasses import dataclass
from datetime import datetime

from notifier.delivery.accounts import Accounts
from notifier.delivery.batch import BatchSender
from notifier.delivery.materials import Library, RunMaterials
from notifier.domain.errors import NotifierError
from notifier.domain.message import RunId
from notifier.domain.purpose import PURPOSE_OF_LANE, RULES, InDoubt
from notifier.logs import get_logger
from notifier.settings import Settings
from notifier.store.database import TRANSIENT, Database
from notifier.store.messages.claim import BATCH, Batch, LaneRun, claim_batch, claim_suspect, list_lane_runs
from notifier.store.runs import get_run, set_run_state

log = get_logger()
_RESENT = {InDoubt.RESEND, InDoubt.RECONCILE_THEN_RESEND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one drain did; `more` = it stopped for time, not for want of work."""

    sent: int
    settled: int
    more: bool


class Sender:
    """All a process needs to send; made once by a door."""

    def __init__(
        self, settings: Settings, database: Database, *, worker: str, accounts: Accounts | None = None
    ) -> None:
        self.database, self.worker = database, worker
        self.accounts = accounts or Accounts(settings, database)
        self.library = Library(database)
        self._batches = BatchSender(settings, database, self.accounts)
        self._is_stopping = False

    def stop_claiming(self) -> None:
        """Claim nothing more; what is claimed goes out."""
        self._is_stopping = True

    async def aclose(self) -> None:
        """Close the providers."""
        await self.accounts.aclose()

    async def drain_lane(self, lane: int, *, budget_s: float = 5.0) -> Drained:
        """Send what is due in a lane, each run its share of about `budget_s` seconds."""
        ends = time.monotonic() + budget_s
        sent = settled = 0
        while True:
            async with self.database.transaction() as tx:
                runs = await list_lane_runs(tx, lane)
            if not runs:
                return Drained(sent=sent, settled=settled, more=False)
            progress = 0
            for run in runs:
                share_ends = min(ends, time.monotonic() + budget_s / len(runs))
                one = await self._try_run(run, lane, share_ends)
                sent, settled, progress = sent + one.sent, settled + one.settled, progress + one.sent + one.settled
            if time.monotonic() >= ends or not progress or self._is_stopping:
                return Drained(sent=sent, settled=settled, more=bool(progress))

    async def _try_run(self, run: LaneRun, lane: int, ends: float) -> Drained:
        """One run's trouble is its own: the others of the lane go on."""
        try:
            materials = await self.library.get(run.id)
        except NotifierError as error:
            await self._halt(run.id, str(error))
            return Drained(sent=0, settled=0, more=False)
        try:
            return await self._drain_run(run, lane, ends, materials)
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stand before other runs
            log.error("delivery.run_failed", run=run.id, lane=lane, error=type(error).__name__)
            return Drained(sent=0, settled=0, more=False)

    async def _halt(self, run_id: RunId, problem: str) -> None:
        log.error("delivery.run_halted", run=run_id, problem=problem)
        async with self.database.transaction() as tx:
            if (await get_run(tx, run_id, lock=True)).state == "running":
                await set_run_state(tx, run_id, "stopped", problem)

    async def _drain_run(self, run: LaneRun, lane: int, ends: float, materials: RunMaterials) -> Drained:
        after, has_suspects = None, run.has_suspects
        sent = settled = 0
        more = True
        while more and not self._is_stopping:
            if has_suspects:  # one before each batch: neither holds up the other
                alone = await self._claim_suspect(run.id, lane, materials)
                has_suspects, settled = alone.cursor is not None, settled + alone.settled
                if alone.messages:
                    await self._batches.deliver(alone, materials, lane)
                    sent += 1
            batch = await self._claim(run.id, lane, materials, after)
            if batch.cursor is None:
                return Drained(sent=sent, settled=settled, more=False)
            after, settled = batch.cursor, settled + batch.settled
            if batch.messages:
                await self._batches.deliver(batch, materials, lane)
                sent += len(batch.messages)
            more = time.monotonic() < ends  # looked at last: each run gets its turn, however short the time
        return Drained(sent=sent, settled=settled, more=True)

    async def _claim(
        self, run_id: RunId, lane: int, materials: RunMaterials, after: tuple[datetime, int] | None
    ) -> Batch:
        is_harmless = RULES[PURPOSE_OF_LANE[lane]].in_doubt in _RESENT or materials.is_idempotent
        limit = BATCH if is_harmless else min(BATCH, await self._batches.slots(materials, lane))
        zone, override = materials.claim_rules(lane)
        async with self.database.transaction() as tx:
            return await claim_batch(
                tx,
                run_id,
                lane,
                worker=self.worker,
                zone=zone,
                override_opt_out=override,
                limit=limit,
                after=after,
            )

    async def _claim_suspect(self, run_id: RunId, lane: int, materials: RunMaterials) -> Batch:
        zone, override = materials.claim_rules(lane)
        async with self.database.transaction() as tx:
            return await claim_suspect(tx, run_id, lane, worker=self.worker, zone=zone, override_opt_out=override)
