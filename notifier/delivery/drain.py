"""Drain a lane: claim, render, send, record, until nothing of it is due."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composed, Composer, Source
from notifier.delivery.keys import derive_keys
from notifier.delivery.materials import Library, RunMaterials
from notifier.domain.account import Account
from notifier.domain.channel import Channel, EmailContent, Outgoing
from notifier.domain.errors import Fault, InputError, NeverAgain, OutcomeUnknown, RenderError, TryAgain
from notifier.domain.message import RunId, State
from notifier.domain.purpose import RULES, InDoubt, Purpose
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.rendering.render import RENDERER_VERSION
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.claim import BATCH, Batch, Claimed, claim_batch, list_lane_runs
from notifier.store.messages.record import Receipt, record_receipts
from notifier.store.targets import keep_targets

log = get_logger()
_LANE_PURPOSE = {rules.lane: purpose for purpose, rules in RULES.items()}
_SENDER_FAULT_WAIT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What one drain did; `more` = it stopped for time, not for want of work."""

    sent: int
    settled: int
    more: bool


class Sender:
    """All a process needs to send; made once by a door."""

    def __init__(self, settings: Settings, database: Database, *, worker: str) -> None:
        self.database, self.worker = database, worker
        self.accounts = Accounts(settings, database)
        self.library = Library(database)
        self._settings = settings
        self._composer = Composer(settings.public_url, derive_keys(settings).links)
        self._targets: dict[str, int] = {}

    async def aclose(self) -> None:
        """Close the providers."""
        await self.accounts.aclose()

    async def drain_lane(self, lane: int, *, budget_s: float = 5.0) -> Drained:
        """Send what is due in a lane, run by run, for at most about `budget_s` seconds."""
        ends = time.monotonic() + budget_s
        sent = settled = 0
        while True:
            async with self.database.transaction() as tx:
                run_ids = await list_lane_runs(tx, lane)
            if not run_ids:
                return Drained(sent=sent, settled=settled, more=False)
            progress = 0
            for run_id in run_ids:
                one = await self._drain_run(run_id, lane, ends)
                sent, settled, progress = sent + one.sent, settled + one.settled, progress + one.sent + one.settled
            if time.monotonic() >= ends or not progress:
                return Drained(sent=sent, settled=settled, more=bool(progress))

    async def _drain_run(self, run_id: RunId, lane: int, ends: float) -> Drained:
        materials = await self.library.get(run_id)
        after = None
        sent = settled = 0
        while time.monotonic() < ends:
            batch = await self._claim(run_id, lane, materials, after)
            if batch.cursor is None:
                return Drained(sent=sent, settled=settled, more=False)
            after, settled = batch.cursor, settled + batch.settled
            if batch.messages:
                await self._deliver(batch, materials)
                sent += len(batch.messages)
        return Drained(sent=sent, settled=settled, more=True)

    async def _claim(
        self, run_id: RunId, lane: int, materials: RunMaterials, after: tuple[datetime, int] | None
    ) -> Batch:
        purpose = _LANE_PURPOSE[lane]
        limit = BATCH if RULES[purpose].in_doubt is not InDoubt.ASK else self._settings.worker_concurrency
        async with self.database.transaction() as tx:
            return await claim_batch(
                tx,
                run_id,
                lane,
                worker=self.worker,
                zone=materials.bank.zone,
                override_opt_out=purpose is Purpose.EMERGENCY and materials.bank.emergency_overrides_opt_out,
                limit=limit,
                after=after,
            )

    async def _deliver(self, batch: Batch, materials: RunMaterials) -> None:
        composed = {message.id: self._compose(message, materials) for message in batch.messages}
        await self._learn_targets([one for one in composed.values() if isinstance(one, Composed)], materials)
        receipts = await asyncio.gather(
            *(self._hand_over(message, composed[message.id], materials) for message in batch.messages)
        )
        async with self.database.transaction() as tx:
            held = await record_receipts(tx, batch.run_id, batch.claim_id, receipts)
        if held != len(receipts):
            log.warning("delivery.lease_lost", run=batch.run_id, claim=batch.claim_id, lost=len(receipts) - held)

    def _compose(self, message: Claimed, materials: RunMaterials) -> Composed | RenderError:
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
            return error

    async def _learn_targets(self, composed: Sequence[Composed], materials: RunMaterials) -> None:
        unknown = self._composer.targets(composed, materials.bank.link_domains) - self._targets.keys()
        if unknown:
            async with self.database.transaction() as tx:
                self._targets |= await keep_targets(tx, 1, unknown)

    async def _hand_over(self, message: Claimed, composed: Composed | RenderError, materials: RunMaterials) -> Receipt:
        if isinstance(composed, RenderError):
            return Receipt(id=message.id, state=State.FAILED, reason=f"not rendered: {composed}", code="render")
        key = message.account or materials.first_account.get(Channel(message.channel), "")
        try:
            account, provider = await self.accounts.get(materials.accounts[key])
            outgoing = self._outgoing(message, composed, materials, account)
        except KeyError:
            return _wait(message, f"no account carries {message.channel}")
        except InputError as error:
            return _wait(message, str(error))
        except RenderError as error:
            return Receipt(id=message.id, state=State.FAILED, reason=f"not rendered: {error}", code="render")
        facts = {
            "id": message.id,
            "account": account.key,
            "locale": composed.locale,
            "parts": composed.parts,
            "content_hash": composed.hash,
            "renderer": str(RENDERER_VERSION),
            "content": asdict(composed.content) if self._keeps(message, materials) else None,
        }
        return await _send(outgoing, provider, facts)

    def _keeps(self, message: Claimed, materials: RunMaterials) -> bool:
        step = materials.steps[message.step]
        return step.template.template.keep_content or step.purpose is Purpose.EMERGENCY

    def _outgoing(self, message: Claimed, composed: Composed, materials: RunMaterials, account: Account) -> Outgoing:
        public_id = self._composer.public_id(materials, message.id)
        step, bank = materials.steps[message.step], materials.bank
        content = self._composer.track(composed.content, materials, message.id, self._targets)
        outgoing = Outgoing(
            public_id=public_id,
            channel=Channel(message.channel),
            to=message.address or account.key,
            sender=account.sender or bank.sender_email,
            sender_name=bank.name.get(composed.locale, bank.default_locale),
            reply_to=bank.reply_to,
            content=content,
            callback_url=f"{self._settings.public_url}/hooks/{account.provider}/{account.key}",
            validity_s=int((message.expires_at - message.claimed_at).total_seconds()),
        )
        if not isinstance(content, EmailContent):
            return outgoing
        list_id = f"{step.topic or materials.campaign.key}.{outgoing.sender.rpartition('@')[2]}"
        return outgoing.with_mime(
            self._composer.mime(content, outgoing, composed, date=message.claimed_at, list_id=list_id)
        )


async def _send(outgoing: Outgoing, provider: Provider, facts: Mapping[str, Any]) -> Receipt:
    try:
        taken = await provider.send(outgoing)
    except TryAgain as error:
        wait = error.after_s if error.fault is not Fault.SENDER else max(error.after_s, _SENDER_FAULT_WAIT_S)
        return Receipt(**facts, state=State.QUEUED, reason=error.reason, code=error.code, again_s=wait)
    except NeverAgain as error:
        suppress = error.fault is Fault.RECIPIENT
        return Receipt(**facts, state=State.FAILED, reason=error.reason, code=error.code, suppress=suppress)
    except OutcomeUnknown as error:
        return Receipt(**facts, state=State.UNCERTAIN, reason=error.reason, code=error.code)
    return Receipt(
        **facts, state=State.ACCEPTED, reason=taken.detail, provider_ref=taken.provider_ref, post_url=taken.url
    )


def _wait(message: Claimed, reason: str) -> Receipt:
    return Receipt(id=message.id, state=State.QUEUED, reason=reason, code="account", again_s=_SENDER_FAULT_WAIT_S)
