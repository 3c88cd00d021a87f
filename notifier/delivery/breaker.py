"""Breaker: an account that is out of order, or does not accept us, pauses for all workers until a probe gets through."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from notifier.domain.retry import Trouble
from notifier.logs import get_logger
from notifier.store.database import Database
from notifier.store.paused_accounts import (
    Pause,
    give_probe_back,
    list_pauses,
    pause_account,
    resume_account,
    take_probe,
)

log = get_logger()
SLOW_S = 10.0
"""A hand-over that takes longer counts as a failure where another account may be quicker."""
_FAILURES, _WITHIN_S = 5, 60.0
_SERVERS = 2  # one server that does not want us is that server's policy
_FRESH_S = 0.5
_BROKEN = frozenset({Trouble.UNREACHABLE, Trouble.UNKNOWN})
KEEPS_PAUSED = _BROKEN | {Trouble.SENDER, Trouble.POLICY}
"""A probe that ends so says nothing good of the account."""


@dataclass(slots=True)
class Window:
    """The last hand-overs of an account by this worker."""

    broken: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=2 * _FAILURES))
    refused_in_a_row: int = 0  # for who we are
    refused_by: set[str] = field(default_factory=set)  # the domains, or numbers, it was in that row

    def add(self, trouble: Trouble | None, *, took_s: float, now: float, to: str, has_others: bool) -> str:
        """Why the account should pause, "" = it should not."""
        if trouble is Trouble.SENDER:
            return "sender"
        if trouble is None:
            self.refused_in_a_row = 0
            self.refused_by.clear()
        elif trouble is Trouble.POLICY:
            self.refused_in_a_row += 1
            if len(self.refused_by) < _SERVERS:
                self.refused_by.add(to.rpartition("@")[2].lower())
        self.broken.append((now, trouble in _BROKEN or (has_others and took_s > SLOW_S)))
        lately = [is_broken for at, is_broken in self.broken if now - at < _WITHIN_S]
        if sum(lately) >= _FAILURES and 2 * sum(lately) >= len(lately):
            return "provider"
        return "sender" if self.refused_in_a_row >= _FAILURES and len(self.refused_by) >= _SERVERS else ""


class Breakers:
    """Which accounts pause, as all workers know it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pauses: dict[int, tuple[float, Mapping[str, Pause]]] = {}
        self._windows: dict[tuple[int, str], Window] = {}

    async def pauses(self, team_id: int) -> Mapping[str, Pause]:
        """By account, at most half a second old."""
        read_at, found = self._pauses.get(team_id, (-_FRESH_S, {}))
        if time.monotonic() - read_at > _FRESH_S:
            async with self._database.transaction() as tx:
                found = {pause.account: pause for pause in await list_pauses(tx, team_id)}
            self._pauses[team_id] = time.monotonic(), found
        return found

    def is_paused(self, team_id: int, account: str) -> bool:
        """As far as this worker knows; asks nobody."""
        return account in self._pauses.get(team_id, (0.0, {}))[1]

    async def take_probe(self, team_id: int, account: str) -> bool:
        """Whether this worker, and no other, tries one message on a paused account."""
        async with self._database.transaction() as tx:
            return await take_probe(tx, team_id, account)

    async def give_probe_back(self, team_id: int, account: str) -> None:
        """There was no message to try it with."""
        async with self._database.transaction() as tx:
            await give_probe_back(tx, team_id, account)

    def window(self, team_id: int, account: str) -> Window:
        """What this worker saw of an account."""
        return self._windows.setdefault((team_id, account), Window())

    async def pause(self, team_id: int, account: str, *, cause: str, reason: str, code: str) -> None:
        """Give the account nothing more, here at once and everywhere within half a second."""
        self._windows.pop((team_id, account), None)
        async with self._database.transaction() as tx:
            is_news = await pause_account(tx, team_id, account, cause=cause, reason=reason, code=code)
        self._pauses.pop(team_id, None)
        await self.pauses(team_id)
        if is_news:
            log.warning("delivery.account_paused", account=account, cause=cause, code=code)

    async def resume(self, team_id: int, account: str) -> bool:
        """The probe got through; False where another was quicker."""
        self._windows.pop((team_id, account), None)
        async with self._database.transaction() as tx:
            is_news = await resume_account(tx, team_id, account)
        self._pauses.pop(team_id, None)
        if is_news:
            log.info("delivery.account_resumed", account=account)
        return is_news
