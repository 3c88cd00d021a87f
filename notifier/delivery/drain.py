"""Drain a lane: claim, render, send, record, until nothing of it is due."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composed, Composer, Source
from notifier.delivery.gate import Gate
from notifier.delivery.materials import Library, RunMaterials
from notifier.domain.account import Account
from notifier.domain.channel import Channel, EmailContent, Outgoing
from notifier.domain.errors import Fault, InputError, NeverAgain, NotifierError, OutcomeUnknown, RenderError, TryAgain
from notifier.domain.keys import derive_keys
from notifier.domain.message import MessageId, RunId, State
from notifier.domain.purpose import RULES, InDoubt, Purpose
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.rendering.render import RENDERER_VERSION
from notifier.settings import Settings
from notifier.store.database import TRANSIENT, Database
from notifier.store.messages.claim import (
    BATCH,
    LEASE_S,
    Batch,
    Claimed,
    claim_batch,
    extend_lease,
    list_lane_runs,
    may_still_go,
)
from notifier.store.messages.record import Receipt, record_receipts
from notifier.store.runs import get_run, set_run_state
from notifier.store.targets import keep_targets

log = get_logger()
_LANE_PURPOSE = {rules.lane: purpose for purpose, rules in RULES.items()}
_RESENT = {InDoubt.RESEND, InDoubt.RECONCILE_THEN_RESEND}
_SENDER_FAULT_WAIT_S = 300.0
_TRUST_CLAIM_S = 1.0  # what waits longer for its turn is looked at again before the wire
_RECORD_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_REMEMBERED_TARGETS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one drain did; `more` = it stopped for time, not for want of work."""

    sent: int
    settled: int
    more: bool


@dataclass(slots=True)
class _Wire:
    """One batch on its way out, and what is known of each message should it stop here."""

    batch: Batch
    materials: RunMaterials
    lane: int
    receipts: dict[MessageId, Receipt]
    claimed_s: float = field(default_factory=time.monotonic)


class Sender:
    """All a process needs to send; made once by a door."""

    def __init__(self, settings: Settings, database: Database, *, worker: str) -> None:
        self.database, self.worker = database, worker
        self.accounts = Accounts(settings, database)
        self.library = Library(database)
        self._settings = settings
        self._composer = Composer(settings.public_url, derive_keys(settings.secret).links)
        self._targets: dict[str, int] = {}
        self._gates: dict[int, Gate] = {}
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
                run_ids = await list_lane_runs(tx, lane)
            if not run_ids:
                return Drained(sent=sent, settled=settled, more=False)
            progress = 0
            for run_id in run_ids:
                share_ends = min(ends, time.monotonic() + budget_s / len(run_ids))
                one = await self._try_run(run_id, lane, share_ends)
                sent, settled, progress = sent + one.sent, settled + one.settled, progress + one.sent + one.settled
            if time.monotonic() >= ends or not progress or self._is_stopping:
                return Drained(sent=sent, settled=settled, more=bool(progress))

    async def _try_run(self, run_id: RunId, lane: int, ends: float) -> Drained:
        """One run's trouble is its own: the others of the lane go on."""
        try:
            materials = await self.library.get(run_id)
        except NotifierError as error:
            await self._halt(run_id, str(error))
            return Drained(sent=0, settled=0, more=False)
        try:
            return await self._drain_run(run_id, lane, ends, materials)
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stand before other runs
            log.error("delivery.run_failed", run=run_id, lane=lane, error=type(error).__name__)
            return Drained(sent=0, settled=0, more=False)

    async def _halt(self, run_id: RunId, problem: str) -> None:
        log.error("delivery.run_halted", run=run_id, problem=problem)
        async with self.database.transaction() as tx:
            if (await get_run(tx, run_id, lock=True)).state == "running":
                await set_run_state(tx, run_id, "stopped", problem)

    async def _drain_run(self, run_id: RunId, lane: int, ends: float, materials: RunMaterials) -> Drained:
        after = None
        sent = settled = 0
        more = True
        while more and not self._is_stopping:
            batch = await self._claim(run_id, lane, materials, after)
            if batch.cursor is None:
                return Drained(sent=sent, settled=settled, more=False)
            after, settled = batch.cursor, settled + batch.settled
            if batch.messages:
                await self._deliver(batch, materials, lane)
                sent += len(batch.messages)
            more = time.monotonic() < ends  # looked at last: each run gets its turn, however short the time
        return Drained(sent=sent, settled=settled, more=True)

    async def _claim(
        self, run_id: RunId, lane: int, materials: RunMaterials, after: tuple[datetime, int] | None
    ) -> Batch:
        is_harmless = RULES[_LANE_PURPOSE[lane]].in_doubt in _RESENT or materials.is_idempotent
        limit = BATCH if is_harmless else min(BATCH, await self._slots(materials, lane))
        zone, override = _claim_rules(materials, lane)
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

    async def _slots(self, materials: RunMaterials, lane: int) -> int:
        """As many as any account of the run can have on the wire at once."""
        least = self._settings.worker_concurrency
        for definition_id in materials.accounts.values():
            try:
                _, provider = await self.accounts.get(definition_id)
            except InputError:
                continue  # its messages wait until it can be opened
            least = min(least, self._gate(definition_id, provider).share(lane))
        return least

    async def _deliver(self, batch: Batch, materials: RunMaterials, lane: int) -> None:
        """Hand a batch over; what is known of each message is recorded also where this is cancelled."""
        wire = _Wire(batch, materials, lane, {message.id: _not_begun(message) for message in batch.messages})
        lease = asyncio.create_task(self._keep_lease(batch))
        try:
            composed = {message.id: self._compose(message, materials) for message in batch.messages}
            await self._learn_targets([one for one in composed.values() if isinstance(one, Composed)], materials)
            async with asyncio.TaskGroup() as group:
                for message in batch.messages:
                    group.create_task(self._hand_over(message, composed[message.id], wire))
        finally:
            lease.cancel()
            await asyncio.shield(self._record(batch, list(wire.receipts.values())))

    async def _keep_lease(self, batch: Batch) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 4)
            try:
                async with self.database.transaction() as tx:
                    if not await extend_lease(tx, batch.claim_id):
                        return
            except TRANSIENT as error:
                log.warning("delivery.lease_not_extended", claim=batch.claim_id, error=type(error).__name__)

    async def _record(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts are precious: what is not recorded is in doubt. So the database gets some time to come back."""
        for wait_s in (*_RECORD_AGAIN_S, None):
            try:
                async with self.database.transaction() as tx:
                    held = await record_receipts(tx, batch.run_id, batch.claim_id, receipts)
                break
            except TRANSIENT as error:
                if wait_s is None:
                    raise
                log.warning("delivery.record_failed", run=batch.run_id, error=type(error).__name__)
                await asyncio.sleep(wait_s)
        if held != len(receipts):
            log.warning("delivery.lease_lost", run=batch.run_id, claim=batch.claim_id, lost=len(receipts) - held)

    def _compose(self, message: Claimed, materials: RunMaterials) -> Composed | Receipt:
        source = Source(
            id=message.id,
            channel=Channel(message.channel),
            step=message.step,
            variables=message.variables,
            inputs=message.inputs,
            invitation_id=message.invitation_id,
        )
        try:
            return self._composer.render(source, materials)
        except RenderError as error:
            return _not_rendered(message, str(error))
        except Exception as error:  # noqa: BLE001 - one message that cannot be made must not hold up its batch
            log.error("delivery.compose_failed", message=message.id, error=type(error).__name__)
            return _not_rendered(message, f"unexpected {type(error).__name__}")

    async def _learn_targets(self, composed: Sequence[Composed], materials: RunMaterials) -> None:
        unknown = self._composer.targets(composed, materials.bank.link_domains) - self._targets.keys()
        if unknown:
            async with self.database.transaction() as tx:
                found = await keep_targets(tx, materials.team_id, unknown)
            # A new mapping, not a cleared one: batches on the wire still look theirs up.
            self._targets = {**(self._targets if len(self._targets) < _REMEMBERED_TARGETS else {}), **found}

    async def _hand_over(self, message: Claimed, composed: Composed | Receipt, wire: "_Wire") -> None:
        if isinstance(composed, Receipt):
            wire.receipts[message.id] = composed
            return
        key = message.account or wire.materials.first_account.get(Channel(message.channel), "")
        if key not in wire.materials.accounts:
            wire.receipts[message.id] = _wait(message, f"no account carries {message.channel}")
            return
        try:
            account, provider = await self.accounts.get(wire.materials.accounts[key])
            outgoing = self._outgoing(message, composed, wire.materials, account)
            if provider.capabilities.takes_mime:
                outgoing = self._with_mime(message, composed, wire.materials, outgoing)
        except InputError as error:
            wire.receipts[message.id] = _wait(message, str(error))
        except RenderError as error:
            wire.receipts[message.id] = _not_rendered(message, str(error))
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - see `_compose`
            log.error("delivery.compose_failed", message=message.id, error=type(error).__name__)
            wire.receipts[message.id] = _not_rendered(message, f"unexpected {type(error).__name__}")
        else:
            facts = self._facts(message, composed, wire.materials, account)
            async with self._pass(wire.materials.accounts[key], wire.lane, provider):
                await self._send(message, outgoing, provider, facts, wire)

    def _pass(self, definition_id: int, lane: int, provider: Provider) -> AbstractAsyncContextManager[None]:
        if provider.capabilities.idempotent:
            return nullcontext()
        return self._gate(definition_id, provider).passing(lane)

    def _gate(self, definition_id: int, provider: Provider) -> Gate:
        """One per opened account, as its connections are."""
        if definition_id not in self._gates:
            self._gates[definition_id] = Gate(provider.capabilities.slots or self._settings.worker_concurrency)
        return self._gates[definition_id]

    async def _send(
        self, message: Claimed, outgoing: Outgoing, provider: Provider, facts: Mapping[str, Any], wire: "_Wire"
    ) -> None:
        if time.monotonic() - wire.claimed_s > _TRUST_CLAIM_S:
            zone, override = _claim_rules(wire.materials, wire.lane)
            run_id, claim_id = wire.batch.run_id, wire.batch.claim_id
            async with self.database.transaction() as tx:
                if not await may_still_go(tx, run_id, claim_id, message.id, zone=zone, override_opt_out=override):
                    return  # back to the queue: the next claim says why it may not go
        wire.receipts[message.id] = Receipt(**facts, state=State.UNCERTAIN, reason="cut off while sending", code="cut")
        wire.receipts[message.id] = await _send(message, outgoing, provider, facts)

    def _facts(
        self, message: Claimed, composed: Composed, materials: RunMaterials, account: Account
    ) -> Mapping[str, Any]:
        return {
            "id": message.id,
            "account": account.key,
            "locale": composed.locale,
            "parts": composed.parts,
            "content_hash": composed.hash,
            "renderer": str(RENDERER_VERSION),
            "content": asdict(composed.content) if self._keeps(message, materials) else None,
        }

    def _keeps(self, message: Claimed, materials: RunMaterials) -> bool:
        step = materials.steps[message.step]
        return step.template.template.keep_content or step.purpose is Purpose.EMERGENCY

    def _outgoing(self, message: Claimed, composed: Composed, materials: RunMaterials, account: Account) -> Outgoing:
        bank = materials.bank
        return Outgoing(
            public_id=self._composer.public_id(materials, message.id),
            channel=Channel(message.channel),
            to=message.address or account.key,
            sender=account.sender or bank.sender_email,
            sender_name=bank.name.get(composed.locale, bank.default_locale),
            reply_to=bank.reply_to,
            content=self._composer.track(composed.content, materials, message.id, self._targets),
            callback_url=f"{self._settings.public_url}/hooks/{account.provider}/{account.key}",
            validity_s=max(1, int((message.expires_at - message.claimed_at).total_seconds())),
        )

    def _with_mime(self, message: Claimed, composed: Composed, materials: RunMaterials, outgoing: Outgoing) -> Outgoing:
        if not isinstance(outgoing.content, EmailContent):
            return outgoing
        topic = materials.steps[message.step].topic or materials.campaign.key
        list_id = f"{topic}.{outgoing.sender.rpartition('@')[2]}"
        return outgoing.with_mime(
            self._composer.mime(outgoing.content, outgoing, composed, date=message.claimed_at, list_id=list_id)
        )


def _claim_rules(materials: RunMaterials, lane: int) -> tuple[str, bool]:
    """The zone of contacts without one, and whether opt-outs are overridden: an emergency of a bank that allows it."""
    is_emergency = _LANE_PURPOSE[lane] is Purpose.EMERGENCY
    return materials.bank.zone, is_emergency and materials.bank.emergency_overrides_opt_out


async def _send(message: Claimed, outgoing: Outgoing, provider: Provider, facts: Mapping[str, Any]) -> Receipt:
    try:
        taken = await provider.send(outgoing)
    except TryAgain as error:
        wait = error.after_s if error.fault is not Fault.SENDER else max(error.after_s, _SENDER_FAULT_WAIT_S)
        again_s = max(wait, _least_wait_s(message))
        return Receipt(**facts, state=State.QUEUED, reason=error.reason, code=error.code, again_s=again_s)
    except NeverAgain as error:
        return Receipt(
            **facts,
            state=State.FAILED,
            reason=error.reason,
            code=error.code,
            suppress=error.fault is Fault.RECIPIENT,
            opted_out=error.fault is Fault.OPTED_OUT,
        )
    except OutcomeUnknown as error:
        return Receipt(**facts, state=State.UNCERTAIN, reason=error.reason, code=error.code)
    except Exception as error:  # noqa: BLE001 - against its contract; it may have sent, so this is in doubt
        log.error("delivery.provider_failed", provider=provider.name, error=type(error).__name__)
        reason = f"unexpected {type(error).__name__}"
        return Receipt(**facts, state=State.UNCERTAIN, reason=reason, code="unexpected")
    state = State.TO_POST if provider.capabilities.by_hand else State.ACCEPTED
    return Receipt(**facts, state=state, reason=taken.detail, provider_ref=taken.provider_ref, post_url=taken.url)


def _least_wait_s(message: Claimed) -> float:
    """Whatever the provider says: 2, 4, 8 … seconds, at most 5 minutes, so that no message spins."""
    return min(2.0 ** min(message.attempts, 10), _SENDER_FAULT_WAIT_S)


def _not_begun(message: Claimed) -> Receipt:
    return Receipt(id=message.id, state=State.QUEUED, reason="given back before it was sent", code="given-back")


def _not_rendered(message: Claimed, problem: str) -> Receipt:
    return Receipt(id=message.id, state=State.FAILED, reason=f"not rendered: {problem}", code="render")


def _wait(message: Claimed, reason: str) -> Receipt:
    return Receipt(id=message.id, state=State.QUEUED, reason=reason, code="account", again_s=_SENDER_FAULT_WAIT_S)
