"""One claimed batch on its way out: rendered, handed over, recorded, its lease kept meanwhile."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composed, Composer, Source
from notifier.delivery.gate import Gate
from notifier.delivery.materials import RunMaterials
from notifier.delivery.outcome import hand_to, not_begun, not_rendered, wait_for_account
from notifier.domain.account import Account
from notifier.domain.channel import Channel, EmailContent, Outgoing
from notifier.domain.errors import InputError, RenderError
from notifier.domain.keys import derive_keys
from notifier.domain.message import MessageId, State
from notifier.domain.purpose import Purpose
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.rendering.render import RENDERER_VERSION
from notifier.settings import Settings
from notifier.store.database import TRANSIENT, Database
from notifier.store.messages.claim import LEASE_S, Batch, Claimed, begin_suspect, extend_lease, may_still_go
from notifier.store.messages.record import Receipt, record_receipts
from notifier.store.targets import keep_targets

log = get_logger()
_TRUST_CLAIM_S = 0.5  # what waits longer is looked at again before the wire: a stop holds within a second
_RECORD_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_REMEMBERED_TARGETS = 10_000


@dataclass(slots=True)
class _Wire:
    """One batch on its way out, and what is known of each message should it stop here."""

    batch: Batch
    materials: RunMaterials
    lane: int
    receipts: dict[MessageId, Receipt]


class BatchSender:
    """Sends claimed batches over the open accounts of a process."""

    def __init__(self, settings: Settings, database: Database, accounts: Accounts) -> None:
        self._settings, self._database, self._accounts = settings, database, accounts
        self._composer = Composer(settings.public_url, derive_keys(settings.secret).links)
        self._targets: dict[str, int] = {}
        self._gates: dict[int, Gate] = {}

    async def slots(self, materials: RunMaterials, lane: int) -> int:
        """As many as any account of the run can have on the wire at once."""
        least = self._settings.worker_concurrency
        for definition_id in materials.accounts.values():
            try:
                _, provider = await self._accounts.get(definition_id)
            except InputError:
                continue  # its messages wait until it can be opened
            least = min(least, self._gate(definition_id, provider).share(lane))
        return least

    async def deliver(self, batch: Batch, materials: RunMaterials, lane: int) -> None:
        """Hand a batch over; what is known of each message is recorded also where this is cancelled."""
        wire = _Wire(batch, materials, lane, {message.id: not_begun(message) for message in batch.messages})
        lease = asyncio.create_task(self._keep_lease(batch))
        try:
            composed = {message.id: self._compose(message, materials) for message in batch.messages}
            await self._learn_targets([one for one in composed.values() if isinstance(one, Composed)], materials)
            if not await self._begin(batch):
                return
            async with asyncio.TaskGroup() as group:
                for message in batch.messages:
                    group.create_task(self._hand_over(message, composed[message.id], wire))
        finally:
            lease.cancel()
            await asyncio.shield(self._record(batch, list(wire.receipts.values())))

    async def _begin(self, batch: Batch) -> bool:
        """Whether it may leave now; a suspect that ends its worker before this was certainly not sent."""
        if batch.begun:
            return True
        async with self._database.transaction() as tx:
            return await begin_suspect(tx, batch.claim_id)

    async def _keep_lease(self, batch: Batch) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 4)
            try:
                async with self._database.transaction() as tx:
                    if not await extend_lease(tx, batch.claim_id):
                        return
            except TRANSIENT as error:
                log.warning("delivery.lease_not_extended", claim=batch.claim_id, error=type(error).__name__)

    async def _record(self, batch: Batch, receipts: Sequence[Receipt]) -> None:
        """Receipts are precious: what is not recorded is in doubt. So the database gets some time to come back."""
        for wait_s in (*_RECORD_AGAIN_S, None):
            try:
                async with self._database.transaction() as tx:
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
            return not_rendered(message, str(error))
        except Exception as error:  # noqa: BLE001 - one message that cannot be made must not hold up its batch
            log.error("delivery.compose_failed", message=message.id, error=type(error).__name__)
            return not_rendered(message, f"unexpected {type(error).__name__}")

    async def _learn_targets(self, composed: Sequence[Composed], materials: RunMaterials) -> None:
        unknown = self._composer.targets(composed, materials.bank.link_domains) - self._targets.keys()
        if unknown:
            async with self._database.transaction() as tx:
                found = await keep_targets(tx, materials.team_id, unknown)
            # A new mapping, not a cleared one: batches on the wire still look theirs up.
            self._targets = {**(self._targets if len(self._targets) < _REMEMBERED_TARGETS else {}), **found}

    async def _hand_over(self, message: Claimed, composed: Composed | Receipt, wire: "_Wire") -> None:
        if isinstance(composed, Receipt):
            wire.receipts[message.id] = composed
            return
        key = message.account or wire.materials.first_account.get(Channel(message.channel), "")
        if key not in wire.materials.accounts:
            wire.receipts[message.id] = wait_for_account(message, f"no account carries {message.channel}")
            return
        try:
            account, provider = await self._accounts.get(wire.materials.accounts[key])
            tracked = self._composer.track(composed, wire.materials, message.id, self._targets)
            outgoing = self._outgoing(message, tracked, wire.materials, account)
            if provider.capabilities.takes_mime:
                outgoing = self._with_mime(message, tracked, wire.materials, outgoing)
        except InputError as error:
            wire.receipts[message.id] = wait_for_account(message, str(error))
        except RenderError as error:
            wire.receipts[message.id] = not_rendered(message, str(error))
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - see `_compose`
            log.error("delivery.compose_failed", message=message.id, error=type(error).__name__)
            wire.receipts[message.id] = not_rendered(message, f"unexpected {type(error).__name__}")
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
        if time.monotonic() - wire.batch.claimed_s > _TRUST_CLAIM_S:
            zone, override = wire.materials.claim_rules(wire.lane)
            run_id, claim_id = wire.batch.run_id, wire.batch.claim_id
            async with self._database.transaction() as tx:
                if not await may_still_go(tx, run_id, claim_id, message.id, zone=zone, override_opt_out=override):
                    return  # back to the queue: the next claim says why it may not go
        wire.receipts[message.id] = Receipt(**facts, state=State.UNCERTAIN, reason="cut off while sending", code="cut")
        wire.receipts[message.id] = await hand_to(message, outgoing, provider, facts)

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
            content=composed.content,
            callback_url=f"{self._settings.public_url}/hooks/{account.provider}/{account.key}",
            validity_s=max(1, int((message.expires_at - message.claimed_at).total_seconds())),
        )

    def _with_mime(self, message: Claimed, composed: Composed, materials: RunMaterials, outgoing: Outgoing) -> Outgoing:
        if not isinstance(outgoing.content, EmailContent):
            return outgoing
        topic = materials.steps[message.step].topic or materials.campaign.key
        list_id = f"{topic}.{outgoing.sender.rpartition('@')[2]}"
        return outgoing.with_mime(self._composer.mime(composed, outgoing, date=message.claimed_at, list_id=list_id))
