"""Drain a lane: claim, render, send, record, until nothing of it is due."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifier.delivery.accounts import Accounts
from notifier.delivery.batch import BatchSender
from notifier.delivery.breaker import Breakers
from notifier.delivery.flights import AT_ONCE, Flights, see_through
from notifier.delivery.limits import Limits
from notifier.delivery.materials import Library, RunMaterials
from notifier.delivery.room import Assigned, Room, Rooms
from notifier.domain.channel import Channel
from notifier.domain.errors import NotifierError
from notifier.domain.message import RunId
from notifier.domain.purpose import PURPOSE_OF_LANE, RULES, InDoubt
from notifier.logs import get_logger
from notifier.settings import Settings
from notifier.store.database import TRANSIENT, Database
from notifier.store.messages.claim import BATCH, Batch, LaneRun, Portion, claim_batch, claim_suspect, list_lane_runs
from notifier.store.messages.give_back import expire_due, give_back
from notifier.store.runs import get_run, set_run_state

log = get_logger()
_LONGEST_REST_S = 0.2  # another run may have come meanwhile
_EXPIRE_EVERY_S = 5.0
_RESENT = {InDoubt.RESEND, InDoubt.RECONCILE_THEN_RESEND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one drain did; `more` = it stopped for time, not for want of work."""

    sent: int
    settled: int
    more: bool
    wait_s: float = 0.0  # nothing may leave now, by limits or a pause: when it is worth looking again


class Sender:
    """All a process needs to send; made once by a door."""

    def __init__(
        self, settings: Settings, database: Database, *, worker: str, accounts: Accounts | None = None
    ) -> None:
        self.database, self.worker = database, worker
        self.accounts = accounts or Accounts(settings, database)
        self.library = Library(database)
        self._limits, breakers = Limits(settings.redis_url, database), Breakers(database)
        self._rooms = Rooms(database, self.accounts, self._limits, breakers)
        self._batches = BatchSender(settings, database, self.accounts, rooms=self._rooms, breakers=breakers)
        self._expired_at: dict[tuple[RunId, int], float] = {}
        self._suspected: set[int] = set()  # lanes with a suspect on the wire
        self._is_stopping = False

    def stop_claiming(self) -> None:
        """Claim nothing more; what is claimed goes out."""
        self._is_stopping = True

    async def aclose(self) -> None:
        """Close the providers."""
        await self.accounts.aclose()
        await self._limits.aclose()

    async def drain_lane(self, lane: int, *, budget_s: float = 5.0) -> Drained:
        """Send what is due in a lane, each run its share of about `budget_s` seconds."""
        ends = time.monotonic() + budget_s
        sent = settled = 0
        while True:
            async with self.database.transaction() as tx:
                runs = await list_lane_runs(tx, lane)
            if not runs:
                return Drained(sent=sent, settled=settled, more=False)
            progress, waits = 0, list[float]()
            for run in runs:
                share_ends = min(ends, time.monotonic() + budget_s / len(runs))
                one = await self._try_run(run, lane, share_ends)
                sent, settled, progress = sent + one.sent, settled + one.settled, progress + one.sent + one.settled
                waits += [one.wait_s] if one.wait_s else []
            rest_s = min(waits, default=0.0) if not progress else 0.0
            if time.monotonic() + rest_s >= ends or not (progress or waits) or self._is_stopping:
                return Drained(sent=sent, settled=settled, more=bool(progress))
            await asyncio.sleep(min(rest_s, _LONGEST_REST_S))

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
        course = _Course(run=run, lane=lane, materials=materials, has_suspects=run.has_suspects)
        async with Flights() as flights:
            while course.goes_on and not (self._is_stopping or flights.has_failed):
                await flights.make_way()
                if course.has_suspects and lane not in self._suspected:  # beside batches: neither holds up the other
                    await self._send_suspect(course, flights)
                await self._send_next(course, flights)
                course.goes_on &= time.monotonic() < ends  # looked at last: each run gets its turn
        return Drained(sent=course.sent, settled=course.settled, more=not course.is_empty, wait_s=course.wait_s)

    async def _send_suspect(self, course: "_Course", flights: Flights) -> None:
        """One of a lane at a time in this process: two together would share each other's deaths."""
        self._suspected.add(course.lane)
        flight = None
        try:
            flight = await self._send_next(course, flights, suspect=True)
        finally:
            if flight is None:
                self._suspected.discard(course.lane)
            else:
                flight.add_done_callback(lambda _: self._suspected.discard(course.lane))

    async def _send_next(
        self, course: "_Course", flights: Flights, *, suspect: bool = False
    ) -> asyncio.Task[None] | None:
        """Claim what there is room for, send it off, and give back at once what may not go by itself."""
        room = await self._rooms.ask(course.materials, course.lane, want=1 if suspect else BATCH)
        if not room.most:
            course.wait_s, course.goes_on = room.wait_s, False
            course.settled += await self._expire(course)
            return None
        channels, most = room.choose(course.turn, empty=course.empty)
        limit = await self._limit(course, room, flights, most=most)
        if suspect:
            batch = await self._claim_suspect(course, tuple(room.of))
        else:
            batch = await self._claim(course, channels, limit)
        try:
            assigned = await self._assign(batch, room, course)
        except BaseException:
            await see_through(self._batches.give_up(batch))
            raise
        leaving = tuple(message for message in batch.messages if message.id in assigned.accounts)
        course.count(batch, len(leaving))
        if suspect:
            course.has_suspects = batch.cursor is not None
        else:
            course.follow(batch, channels, room)
        if not leaving:
            return None
        batch = replace(batch, messages=leaving)
        work = self._batches.deliver(batch, assigned, course.materials, course.lane)
        return flights.start(work, messages=len(leaving))

    async def _assign(self, batch: Batch, room: Room, course: "_Course") -> Assigned:
        assigned = await self._rooms.assign(batch, room, course.materials, course.lane)
        if assigned.back:
            async with self.database.transaction() as tx:
                await give_back(tx, batch.run_id, batch.claim_id, assigned.back)
        return assigned

    async def _limit(self, course: "_Course", room: Room, flights: Flights, *, most: int) -> int:
        """Where doubt is not resent by itself, no more are claimed than can be on the wire."""
        is_harmless = RULES[PURPOSE_OF_LANE[course.lane]].in_doubt in _RESENT or course.materials.is_idempotent
        if is_harmless:
            return min(BATCH, most)
        slots = await self._batches.slots(course.materials, room, course.lane)
        if flights.messages >= slots:
            await flights.make_way(fewer_than=1)
        return min(BATCH, most, -(-slots // AT_ONCE), slots - flights.messages)

    async def _expire(self, course: "_Course") -> int:
        """What no claim looks at expires all the same; looked at now and then."""
        key = (course.run.id, course.lane)
        if time.monotonic() - self._expired_at.get(key, -_EXPIRE_EVERY_S) < _EXPIRE_EVERY_S:
            return 0
        self._expired_at[key] = time.monotonic()
        async with self.database.transaction() as tx:
            return await expire_due(tx, course.run.id, course.lane)

    async def _claim(self, course: "_Course", channels: tuple[Channel, ...], limit: int) -> Batch:
        zone, override = course.materials.claim_rules(course.lane)
        async with self.database.transaction() as tx:
            return await claim_batch(
                tx,
                course.run.id,
                course.lane,
                worker=self.worker,
                zone=zone,
                override_opt_out=override,
                portion=Portion(limit=limit, after=course.after.get(channels), channels=channels),
            )

    async def _claim_suspect(self, course: "_Course", channels: tuple[Channel, ...]) -> Batch:
        zone, override = course.materials.claim_rules(course.lane)
        async with self.database.transaction() as tx:
            return await claim_suspect(
                tx,
                course.run.id,
                course.lane,
                worker=self.worker,
                zone=zone,
                override_opt_out=override,
                channels=channels,
            )


@dataclass(slots=True, kw_only=True)
class _Course:
    """How far the draining of one run has come."""

    run: LaneRun
    lane: int
    materials: RunMaterials
    has_suspects: bool
    after: dict[tuple[Channel, ...], tuple[datetime, int]] = field(default_factory=dict)
    empty: set[Channel] = field(default_factory=set)  # of which nothing was due any more
    turn: int = 0
    sent: int = 0
    settled: int = 0
    wait_s: float = 0.0
    goes_on: bool = True
    is_empty: bool = False

    def count(self, batch: Batch, leaving: int) -> None:
        """What a claim brought."""
        self.sent, self.settled = self.sent + leaving, self.settled + batch.settled

    def follow(self, batch: Batch, channels: tuple[Channel, ...], room: Room) -> None:
        """Go on after a claim, or end where nothing is due of any channel that has room."""
        self.turn += 1
        if batch.cursor is not None:
            self.after[channels] = batch.cursor
            return
        self.empty.update(channels)
        if self.empty.issuperset(room.of):
            self.goes_on, self.is_empty = False, not room.waits_s
            self.wait_s = room.wait_s if room.waits_s else 0.0
