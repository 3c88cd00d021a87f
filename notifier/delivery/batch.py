"""One claimed batch on its way out: rendered, handed over, recorded, its lease kept meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from structlog.contextvars import bind_contextvars

from notifier.delivery.accounts import Accounts
from notifier.delivery.breaker import KEEPS_PAUSED, Breakers
from notifier.delivery.compose import Composed, Composer, Source
from notifier.delivery.flights import see_through
from notifier.delivery.gate import Gate
from notifier.delivery.materials import RunMaterials
from notifier.delivery.outcome import ACCOUNT, Handed, hand_to, not_begun, not_rendered, wait_for_account
from notifier.delivery.receipts import record
from notifier.delivery.room import Assigned, Room, Rooms
from notifier.domain.account import Account
from notifier.domain.channel import Channel, EmailContent, Outgoing
from notifier.domain.errors import InputError, NotifierError, RenderError, Withheld
from notifier.domain.keys import derive_keys
from notifier.domain.message import MessageId, State
from notifier.domain.purpose import PURPOSE_OF_LANE, Purpose
from notifier.domain.rate import URGENT_LANES
from notifier.domain.retry import FAILS_OVER, Trouble
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.rendering.render import RENDERER_VERSION
from notifier.settings import Settings
from notifier.store.database import CANNOT_STORE, TRANSIENT, Database
from notifier.store.messages.claim import LEASE_S, Batch, Claimed, begin_suspect, extend_lease, list_still_going
from notifier.store.messages.record import Receipt
from notifier.store.targets import keep_targets

log = get_logger()
_TRUST_CLAIM_S = 0.5  # what waits longer is looked at again before the wire: a stop holds within a second
_LEAVE_WITHIN_S = 0.7  # and so is what waited inside its provider, before its text leaves
_REMEMBERED_TARGETS = 10_000
_HELD_S = 2.0  # what a paused or slowed account left in a batch comes back so soon


@dataclass(slots=True)
class _Wire:
    """One batch on its way out, and what is known of each message should it stop here."""

    batch: Batch
    assigned: Assigned
    materials: RunMaterials
    lane: int
    receipts: dict[MessageId, Receipt]
    spared: set[MessageId] = field(default_factory=set)  # refused for no fault of theirs: no try is counted
    held: set[str] = field(default_factory=set)  # accounts that said "too fast": what has not begun goes back
    judged_s: float = 0.0  # when it was last looked up what may go
    going: Collection[MessageId] = ()
    judging: asyncio.Lock = field(default_factory=asyncio.Lock)
    error: Exception | None = None  # what befell one message; it is told when those on the wire have ended

    def __post_init__(self) -> None:
        self.judged_s, self.going = self.batch.claimed_s, self.receipts.keys()

    def settle(self, receipt: Receipt, *, spared: bool) -> None:
        self.receipts[receipt.id] = receipt
        (self.spared.add if spared else self.spared.discard)(receipt.id)


@dataclass(frozen=True, slots=True)
class _Permit:
    """The batch's last look, as it stands for one message while that waits inside its provider."""

    id: MessageId
    wire: _Wire
    look: Callable[[], Awaitable[bool]]

    @property
    def is_fresh(self) -> bool:
        return self.id in self.wire.going and time.monotonic() - self.wire.judged_s <= _LEAVE_WITHIN_S

    async def renew(self) -> bool:
        try:
            return await self.look()
        except TRANSIENT as error:
            log.warning("delivery.permit_not_renewed", message=self.id, error=type(error).__name__)
            return False


class BatchSender:
    """Sends claimed batches over the open accounts of a process."""

    def __init__(
        self, settings: Settings, database: Database, accounts: Accounts, *, rooms: Rooms, breakers: Breakers
    ) -> None:
        self._settings, self._database, self._accounts = settings, database, accounts
        self._rooms, self._breakers = rooms, breakers
        self._composer = Composer(settings.public_url, derive_keys(settings.secret).links)
        self._targets: dict[str, int] = {}
        self._gates: dict[int, Gate] = {}

    async def slots(self, materials: RunMaterials, room: Room, lane: int) -> int:
        """As many as any account that has room can have on the wire at once."""
        least = self._settings.worker_concurrency
        for key, left in room.left.items():
            try:
                if left and key:
                    _, provider = await self._accounts.get(materials.accounts[key])
                    least = min(least, self._gate(materials.accounts[key], provider).share(lane))
            except InputError:
                continue  # its messages wait until it can be opened
        return least

    async def deliver(self, batch: Batch, assigned: Assigned, materials: RunMaterials, lane: int) -> None:
        """Hand a batch over, in a task of its own; what is known of each message is recorded also where this is cancelled."""
        bind_contextvars(run=batch.run_id, claim=batch.claim_id)
        wire = _Wire(batch, assigned, materials, lane, {message.id: not_begun(message) for message in batch.messages})
        wire.spared.update(wire.receipts)
        lease = asyncio.create_task(self._keep_lease(batch))
        try:
            composed = {message.id: self._compose(message, materials) for message in batch.messages}
            await self._learn_targets([one for one in composed.values() if isinstance(one, Composed)], materials)
            if not await self._begin(batch):
                return
            async with asyncio.TaskGroup() as group:
                for key, messages in _by_account(wire).items():
                    waiting = iter(messages)
                    for _ in range(await self._at_once(key, len(messages), wire)):
                        group.create_task(self._hand_over_each(waiting, composed, wire))
            if wire.error is not None:
                raise wire.error
        finally:
            try:
                await see_through(record(self._database, batch, list(wire.receipts.values()), wire.spared))
            finally:
                lease.cancel()

    async def give_up(self, batch: Batch) -> None:
        """All of it goes back: nothing of it has begun."""
        receipts = [not_begun(message) for message in batch.messages]
        await record(self._database, batch, receipts, {message.id for message in batch.messages})

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
            except (*TRANSIENT, *CANNOT_STORE) as error:
                log.warning("delivery.lease_not_extended", claim=batch.claim_id, error=type(error).__name__)

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

    async def _at_once(self, key: str, messages: int, wire: "_Wire") -> int:
        """How many tasks share an account's messages: one for each message would cost more than it brings."""
        try:
            _, provider = await self._accounts.get(wire.materials.accounts.get(key, 0))
        except NotifierError:
            return 1  # each of them is told why it waits
        except TRANSIENT:
            return 1  # the first of them finds it out
        if provider.capabilities.idempotent:
            return messages
        return min(messages, self._gate(wire.materials.accounts[key], provider).share(wire.lane))

    async def _hand_over_each(
        self, messages: Iterator[Claimed], composed: Mapping[MessageId, Composed | Receipt], wire: "_Wire"
    ) -> None:
        for message in messages:
            if wire.error is not None:
                return  # the rest goes back
            try:
                await self._hand_over(message, composed[message.id], wire)
            except Exception as error:  # noqa: BLE001 - raised here it would cut off the others on the wire
                wire.error = wire.error or error

    async def _hand_over(self, message: Claimed, composed: Composed | Receipt, wire: "_Wire") -> None:
        """To its account; after a definite refusal of that account's making to the next one of the channel."""
        if isinstance(composed, Receipt):
            wire.settle(composed, spared=False)
            return
        first = wire.assigned.accounts[message.id]
        others = [key for key in wire.materials.routes.get(Channel(message.channel), ()) if key != first]
        self._rooms.charge(wire.materials, first, composed.parts or 1)
        if await self._try(message, composed, first, wire=wire) and message.id not in wire.assigned.bound:
            for key in others:
                if not await self._try(message, composed, key, wire=wire, again=True):
                    return

    async def _try(self, message: Claimed, composed: Composed, key: str, *, wire: "_Wire", again: bool = False) -> bool:
        """Hand it to one account; True where the next one may have it."""
        found = await self._prepare(message, composed, key, wire)
        if isinstance(found, Receipt):
            if not again:
                wire.settle(found, spared=found.code == ACCOUNT)
            return found.code == ACCOUNT
        account, provider, outgoing = found
        parts, to = composed.parts or 1, message.address
        if again and not await self._rooms.take_one(wire.materials, account, wire.lane, parts=parts, address=to):
            return False
        facts = self._facts(message, composed, wire.materials, account)
        async with self._pass(wire.materials.accounts[key], wire.lane, provider):
            if self._shall_wait(key, wire):
                self._rooms.spare(wire.materials, key, parts)
                if not again:
                    wire.settle(wait_for_account(message, "the account pauses", again_s=_HELD_S), spared=True)
                return True
            handed = await self._send(message, outgoing, provider, facts, wire)
        if handed is None:
            return False
        try:
            await self._learn(message, handed, account, wire)
        except (*TRANSIENT, *CANNOT_STORE) as error:
            log.warning("delivery.outcome_not_told", account=key, error=type(error).__name__)
        return handed.trouble in FAILS_OVER

    def _shall_wait(self, key: str, wire: "_Wire") -> bool:
        """What befell the account since the claim counts for what has not begun."""
        is_paused = self._breakers.is_paused(wire.materials.team_id, key) and key not in wire.assigned.probes
        return is_paused or key in wire.held

    async def _prepare(
        self, message: Claimed, composed: Composed, key: str, wire: "_Wire"
    ) -> tuple[Account, Provider, Outgoing] | Receipt:
        materials = wire.materials
        if key not in materials.accounts:
            return wait_for_account(message, f"no account carries {message.channel}")
        try:
            account, provider = await self._accounts.get(materials.accounts[key])
            composed = self._composer.track(composed, materials, message.id, self._targets)
            outgoing = self._outgoing(message, composed, account, wire)
            if provider.capabilities.takes_mime:
                outgoing = self._with_mime(message, composed, materials, outgoing)
        except InputError as error:
            return wait_for_account(message, str(error))
        except RenderError as error:
            return not_rendered(message, str(error))
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - see `_compose`
            log.error("delivery.compose_failed", message=message.id, error=type(error).__name__)
            return not_rendered(message, f"unexpected {type(error).__name__}")
        return account, provider, outgoing

    async def _learn(self, message: Claimed, handed: Handed, account: Account, wire: "_Wire") -> None:
        """What one hand-over says about its account, told to all workers."""
        team_id, trouble = wire.materials.team_id, handed.trouble
        if trouble is Trouble.TOO_FAST:
            if not account.group_of(message.address):
                wire.held.add(account.key)
            await self._rooms.slow_down(wire.materials, account, message.address, closed_s=handed.retry_after_s)
        cause = self._breakers.window(team_id, account.key).add(
            trouble,
            took_s=handed.took_s,
            now=time.monotonic(),
            to=message.address,
            has_others=len(wire.materials.routes.get(Channel(message.channel), ())) > 1,
        )
        if cause:
            receipt = handed.receipt
            await self._breakers.pause(team_id, account.key, cause=cause, reason=receipt.reason, code=receipt.code)
            return
        is_well = account.key in wire.assigned.probes and trouble not in KEEPS_PAUSED
        if is_well and await self._breakers.resume(team_id, account.key):
            await self._rooms.restart(wire.materials, account)

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
    ) -> Handed | None:
        """None: something forbids it since the claim; it goes back, and the next claim says why."""
        if not await self._may_go(message, wire):
            return None
        wire.settle(Receipt(**facts, state=State.UNCERTAIN, reason="cut off while sending", code="cut"), spared=False)
        try:
            handed = await hand_to(message, outgoing, provider, purpose=PURPOSE_OF_LANE[wire.lane], facts=facts)
        except Withheld:
            wire.settle(not_begun(message), spared=True)
            return None
        wire.settle(handed.receipt, spared=handed.spared)
        return handed

    async def _may_go(self, message: Claimed, wire: "_Wire") -> bool:
        """As the claim judged it; where that is long ago, all of the batch are judged again at once."""
        if time.monotonic() - wire.judged_s <= _TRUST_CLAIM_S:
            return message.id in wire.going
        async with wire.judging:
            if time.monotonic() - wire.judged_s > _TRUST_CLAIM_S:  # nobody did it while this one waited
                judged_s = time.monotonic()  # before the look: what binds later counts the next time
                zone, override = wire.materials.claim_rules(wire.lane)
                async with self._database.transaction() as tx:
                    wire.going = await list_still_going(
                        tx,
                        wire.batch.run_id,
                        wire.batch.claim_id,
                        wire.receipts.keys(),
                        zone=zone,
                        override_opt_out=override,
                    )
                wire.judged_s = judged_s
            return message.id in wire.going

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

    def _outgoing(self, message: Claimed, composed: Composed, account: Account, wire: "_Wire") -> Outgoing:
        materials, bank = wire.materials, wire.materials.bank
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
            urgent=wire.lane in URGENT_LANES,
            permit=_Permit(message.id, wire, partial(self._may_go, message, wire)),
        )

    def _with_mime(self, message: Claimed, composed: Composed, materials: RunMaterials, outgoing: Outgoing) -> Outgoing:
        if not isinstance(outgoing.content, EmailContent):
            return outgoing
        topic = materials.steps[message.step].topic or materials.campaign.key
        list_id = f"{topic}.{outgoing.sender.rpartition('@')[2]}"
        return outgoing.with_mime(self._composer.mime(composed, outgoing, date=message.claimed_at, list_id=list_id))


def _by_account(wire: _Wire) -> Mapping[str, Sequence[Claimed]]:
    found: dict[str, list[Claimed]] = {}
    for message in wire.batch.messages:
        found.setdefault(wire.assigned.accounts[message.id], []).append(message)
    return found
