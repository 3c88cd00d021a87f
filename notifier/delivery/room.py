"""Room: how much of a run may be claimed now and by which accounts it leaves; what was claimed beyond it goes back."""

import random
import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from notifier.delivery.accounts import Accounts
from notifier.delivery.breaker import Breakers
from notifier.delivery.limits import Limits, account_bucket, group_bucket, sender_bucket
from notifier.delivery.materials import RunMaterials
from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.errors import InputError
from notifier.domain.message import MessageId
from notifier.domain.rate import HALF, RESTART, URGENT_LANES
from notifier.store.database import Database
from notifier.store.messages.claim import BATCH, Batch, Claimed
from notifier.store.messages.give_back import has_posts_due, list_doubted
from notifier.store.rates import Ask, Grant

_LONGEST_BACK_S = 600.0
_RESTS_S = 0.05  # asked again no sooner


@dataclass(slots=True)
class Room:
    """What may leave now, by account; spent as messages are assigned."""

    left: dict[str, int] = field(default_factory=dict)
    probes: set[str] = field(default_factory=set)  # paused accounts that this worker tries with one message
    waits_s: dict[Channel, float] = field(default_factory=dict)  # of channels without any room
    of: dict[Channel, int] = field(default_factory=dict)  # of the others: how many may leave by them

    @property
    def most(self) -> int:
        """How many to claim at most."""
        return max(self.of.values(), default=0)

    def choose(self, turn: int, *, empty: Collection[Channel]) -> tuple[tuple[Channel, ...], int]:
        """Which channels to claim from this time, and how many: where one has less room than another, by turns.

        Claimed together, what the narrow one cannot take would only be given back.
        """
        rooms = {channel: count for channel, count in self.of.items() if channel not in empty} or self.of
        most = max(rooms.values())
        narrow = tuple(channel for channel, count in rooms.items() if count < most)
        if narrow and turn % 2:
            return narrow, min(rooms[channel] for channel in narrow)
        return tuple(channel for channel in rooms if channel not in narrow), most

    @property
    def wait_s(self) -> float:
        """Until it is worth asking again, where there is none."""
        return max(_RESTS_S, min(self.waits_s.values(), default=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A batch sorted: which account takes each message, and what goes back for how long."""

    accounts: Mapping[MessageId, str]
    back: Mapping[MessageId, float]
    bound: frozenset[MessageId]  # posts, and what may have arrived already: they go by no other account
    probes: frozenset[str]


class Rooms:
    """Asks limits and breakers for the runs of a process."""

    def __init__(self, database: Database, accounts: Accounts, limits: Limits, breakers: Breakers) -> None:
        self._database, self._accounts = database, accounts
        self._limits, self._breakers = limits, breakers
        self._owed: dict[str, float] = {}  # tokens to settle with the next ask: SMS parts, grants that were not used
        self._tails: dict[str, float] = {}  # until when what went back keeps a bucket busy

    async def ask(self, materials: RunMaterials, lane: int, *, want: int = BATCH) -> Room:
        """How many messages of a run and lane may be claimed now; the tokens are taken."""
        room = Room()
        pauses = await self._breakers.pauses(materials.team_id)
        for channel in materials.channels(lane):
            waits = []
            for key in materials.routes.get(channel, ()):
                if key not in pauses:
                    waits.append(await self._ask_account(room, materials, key, lane=lane, want=want))
                    break
                waits.append(pauses[key].probe_in_s)
                if not waits[-1] and await self._breakers.take_probe(materials.team_id, key):
                    room.left[key] = 1
                    room.probes.add(key)
            most = max((room.left.get(key, 0) for key in materials.routes.get(channel, ())), default=0)
            if most or not waits:
                room.of[channel] = most or want  # no account carries it: what is claimed says so
            else:
                room.waits_s[channel] = min(waits)
        if materials.has_posts(lane) and (room.most or await self._has_posts_due(materials, lane)):
            room.of[Channel.SOCIAL] = room.most or want
        return room

    async def _has_posts_due(self, materials: RunMaterials, lane: int) -> bool:
        async with self._database.transaction() as tx:
            return await has_posts_due(tx, materials.run_id, lane)

    async def _ask_account(self, room: Room, materials: RunMaterials, key: str, *, lane: int, want: int) -> float:
        try:
            account, _ = await self._accounts.get(materials.accounts[key])
        except InputError:
            room.left[key] = want  # what is claimed says why it waits
            return 0.0
        grant = await self._take(materials, account, lane, want=want)
        room.left[key] = grant.granted
        return grant.wait_s

    async def _take(self, materials: RunMaterials, account: Account, lane: int, *, want: int, group: str = "") -> Grant:
        buckets = self._buckets(materials, account)
        if group:
            buckets.append((group_bucket(materials.team_id, account, group), account.groups[group].per_second))
        asks = [
            Ask(bucket=bucket, per_second=per_second, want=want, used=self._owed.pop(bucket, 0.0))
            for bucket, per_second in buckets
        ]
        (grant,) = await self._limits.take(asks, urgent=lane in URGENT_LANES)
        return grant

    def _buckets(self, materials: RunMaterials, account: Account) -> list[tuple[str, float]]:
        found = [(account_bucket(materials.team_id, account), account.per_second or 0.0)]
        if account.sender_per_second:
            sender = account.sender or materials.bank.sender_email
            found.append((sender_bucket(materials.team_id, account, sender), account.sender_per_second))
        return found

    async def assign(self, batch: Batch, room: Room, materials: RunMaterials, lane: int) -> Assigned:
        """Give each message of a claim its account, and what there is no room for back to the queue."""
        accounts: dict[MessageId, str] = {}
        back: dict[MessageId, float] = {}
        doubted = await self._list_doubted(batch, materials)
        for message in batch.messages:
            if message.channel == Channel.SOCIAL:
                key, wait_s = await self._pick_own(message, room, materials)
            elif message.id in doubted:
                key, wait_s = await self._pick_again(message, room, materials), room.wait_s
            else:
                key = self._pick(message, room, materials)
                wait_s = room.waits_s.get(Channel(message.channel), 0.0)
            if key is None:
                back[message.id] = self._back_for(message, wait_s)
            else:
                accounts[message.id] = key
        await self._hold_groups(batch, accounts, back, materials=materials, lane=lane)
        await self._return_unused(room, accounts, materials)
        bound = doubted | {message.id for message in batch.messages if message.channel == Channel.SOCIAL}
        return Assigned(accounts=accounts, back=back, bound=frozenset(bound), probes=frozenset(room.probes))

    def _pick(self, message: Claimed, room: Room, materials: RunMaterials) -> str | None:
        routes = materials.routes.get(Channel(message.channel), ())
        if not routes:
            return ""
        for key in routes:
            if room.left.get(key, 0) > 0:
                room.left[key] -= 1
                return key
        return None

    async def _pick_own(self, message: Claimed, room: Room, materials: RunMaterials) -> tuple[str | None, float]:
        """A post has one account; while that pauses, one post at most tries it."""
        key = message.account
        pause = (await self._breakers.pauses(materials.team_id)).get(key)
        if pause is None:
            self._owe(materials, key, 1.0)
            return key, 0.0
        if not pause.probe_in_s and key not in room.probes and await self._breakers.take_probe(materials.team_id, key):
            room.probes.add(key)
            return key, 0.0
        return None, pause.probe_in_s

    async def _list_doubted(self, batch: Batch, materials: RunMaterials) -> set[MessageId]:
        """What may have arrived by one account goes again by no other.

        Whose worker died before it said which account took it most likely went by the first.
        """
        tried = [
            message.id
            for message in batch.messages
            if message.attempts > 1 and len(materials.routes.get(Channel(message.channel), ())) > 1
        ]
        if not tried:
            return set()
        async with self._database.transaction() as tx:
            return await list_doubted(tx, batch.run_id, tried)

    async def _pick_again(self, message: Claimed, room: Room, materials: RunMaterials) -> str | None:
        key = message.account or materials.routes[Channel(message.channel)][0]
        if room.left.get(key, 0) > 0:
            room.left[key] -= 1
            return key
        if key in room.left or key in await self._breakers.pauses(materials.team_id):
            return None
        self._owe(materials, key, 1.0)
        return key

    async def _hold_groups(
        self,
        batch: Batch,
        accounts: dict[MessageId, str],
        back: dict[MessageId, float],
        *,
        materials: RunMaterials,
        lane: int,
    ) -> None:
        """Of messages to a group of domains, no more leave than the group takes."""
        by_group: dict[tuple[str, str], list[Claimed]] = {}
        for message in batch.messages:
            account = self._accounts.known(materials.accounts.get(accounts.get(message.id, ""), 0))
            if account is not None and (group := account.group_of(message.address)):
                by_group.setdefault((account.key, group), []).append(message)
        asks = []
        for number, ((key, group), messages) in enumerate(by_group.items()):
            account = self._accounts.known(materials.accounts[key])
            assert account is not None
            bucket, per_second = group_bucket(materials.team_id, account, group), account.groups[group].per_second
            asks.append(Ask(bucket=bucket, per_second=per_second, want=len(messages), together=number))
        grants = await self._limits.take(asks, urgent=lane in URGENT_LANES)
        for ask, grant, ((key, _), messages) in zip(asks, grants, by_group.items(), strict=True):
            for message in messages[grant.granted :]:
                del accounts[message.id]
                back[message.id] = self._back_in_line(message, ask)
                self._owe(materials, key, -1.0)

    def _back_in_line(self, message: Claimed, ask: Ask) -> float:
        """When the bucket will have come to this one, behind those that went back before it."""
        now = time.monotonic()
        self._tails[ask.bucket] = tail = min(max(self._tails.get(ask.bucket, now), now), now + _LONGEST_BACK_S)
        self._tails[ask.bucket] = tail + 1 / ask.per_second
        return self._back_for(message, tail + 1 / ask.per_second - now)

    def _back_for(self, message: Claimed, wait_s: float) -> float:
        """Never so long that its time runs out meanwhile; a crowd does not come back at once."""
        life_s = (message.expires_at - message.claimed_at).total_seconds()
        return min(max(wait_s, _RESTS_S) * random.uniform(1.0, 1.2), _LONGEST_BACK_S, life_s / 2)  # noqa: S311

    async def _return_unused(self, room: Room, accounts: Mapping[MessageId, str], materials: RunMaterials) -> None:
        used = Counter(accounts.values())
        for key, left in room.left.items():
            if key in room.probes:
                if not used[key]:
                    await self._breakers.give_probe_back(materials.team_id, key)
            elif left and key:
                self._owe(materials, key, -left)
        await self._settle_unused(materials)

    async def _settle_unused(self, materials: RunMaterials) -> None:
        """At once: other workers may have use for it now, and a bucket that is full again gives nothing for it."""
        asks: list[Ask] = []
        for account in filter(None, map(self._accounts.known, materials.accounts.values())):
            for bucket, per_second in self._buckets(materials, account):
                if self._owed.get(bucket, 0.0) < 0:
                    used = self._owed.pop(bucket)
                    asks.append(Ask(bucket=bucket, per_second=per_second, used=used, together=len(asks)))
        await self._limits.take(asks, urgent=False)

    def _owe(self, materials: RunMaterials, key: str, count: float) -> None:
        account = self._accounts.known(materials.accounts.get(key, 0))
        if account is not None:
            for bucket, _ in self._buckets(materials, account):
                self._owed[bucket] = self._owed.get(bucket, 0.0) + count

    def spare(self, materials: RunMaterials, key: str, parts: int) -> None:
        """It was granted its tokens and did not leave."""
        self._owe(materials, key, -parts)

    def charge(self, materials: RunMaterials, key: str, parts: int) -> None:
        """An SMS of several parts took more than the one token it was granted."""
        if parts > 1:
            self._owe(materials, key, parts - 1)

    async def take_one(self, materials: RunMaterials, account: Account, lane: int, *, parts: int, address: str) -> bool:
        """Whether one message more may leave by an account: the one before it was refused."""
        grant = await self._take(materials, account, lane, want=1, group=account.group_of(address))
        if grant.granted:
            self.charge(materials, account.key, parts)
        return bool(grant.granted)

    async def slow_down(self, materials: RunMaterials, account: Account, address: str, *, closed_s: float) -> None:
        """The provider said "too fast": the group of domains slows down, else the account."""
        group = account.group_of(address)
        if group and not closed_s:
            bucket, per_second = group_bucket(materials.team_id, account, group), account.groups[group].per_second
        else:
            bucket, per_second = self._buckets(materials, account)[0]
        await self._limits.slow(bucket, per_second, factor=HALF, closed_s=closed_s)

    async def restart(self, materials: RunMaterials, account: Account) -> None:
        """After a pause the backlog does not leave in one storm."""
        bucket, per_second = self._buckets(materials, account)[0]
        await self._limits.slow(bucket, per_second, factor=RESTART)
