"""Accounts opened as providers, one client per process; the sandbox gets its store."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta

from notifier.domain.account import Account
from notifier.domain.channel import Channel, EmailContent
from notifier.domain.errors import InputError
from notifier.domain.spec import account_from_spec
from notifier.logs import get_logger
from notifier.providers.base import Dependencies, Provider, SandboxItem
from notifier.providers.registry import open_provider
from notifier.settings import Settings, read_secrets
from notifier.store import definitions as stored
from notifier.store.database import Database
from notifier.store.sandbox import Kept, keep_items
from notifier.store.views.accounts import get_team, list_answering

_HEADLINE = 120
_FRESH_S = 5.0
_STILL_HEARD = timedelta(days=30)
log = get_logger()


class Accounts:
    """Opens each version of an account once and keeps it open until `aclose`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._open: dict[int, tuple[Account, Provider]] = {}
        self._latest: Mapping[str, Provider] = {}
        self._looked_at = -_FRESH_S

    async def get(self, definition_id: int) -> tuple[Account, Provider]:
        """The account of this definition and its provider; `InputError` names a missing setting or secret."""
        if definition_id not in self._open:
            async with self._database.transaction() as tx:
                found = await stored.get_definition(tx, definition_id)
                team_id = await get_team(tx, definition_id)
            if definition_id not in self._open:  # another task may have opened it meanwhile
                account = account_from_spec(found.spec)
                self._open[definition_id] = account, self._provider(account, team_id)
        return self._open[definition_id]

    def known(self, definition_id: int) -> Account | None:
        """The account of this definition if it is open."""
        return self._open[definition_id][0] if definition_id in self._open else None

    async def latest(self) -> Mapping[str, Provider]:
        """The provider of every account that may report, by key, at most a few seconds old; for callbacks.

        Retired accounts are among them for a month: what they sent is still on its way.

        An account that cannot be opened (its secret is missing) is left out: its callbacks cannot be believed.
        """
        if time.monotonic() - self._looked_at > _FRESH_S:
            async with self._database.transaction() as tx:
                found = await list_answering(tx, 1, after_retiring=_STILL_HEARD)
            self._latest = {one.key: provider for one in found if (provider := await self._try_open(one.id))}
            self._looked_at = time.monotonic()
        return self._latest

    async def _try_open(self, definition_id: int) -> Provider | None:
        try:
            return (await self.get(definition_id))[1]
        except InputError as error:
            log.warning("delivery.account_not_opened", definition=definition_id, problem=str(error))
            return None

    async def aclose(self) -> None:
        """Close every provider."""
        for _, provider in self._open.values():
            await provider.aclose()
        self._open.clear()

    def _provider(self, account: Account, team_id: int) -> Provider:
        async def keep(items: Sequence[SandboxItem]) -> None:
            kept = [_kept(item, team_id) for item in items]
            async with self._database.transaction() as tx:
                await keep_items(tx, kept)

        deps = Dependencies(keep=keep, signing_key=self._settings.secret)
        return open_provider(account, read_secrets(account.secrets), deps=deps)


def _kept(item: SandboxItem, team_id: int) -> Kept:
    content = item.outgoing.content
    headline = content.subject if isinstance(content, EmailContent) else content.text
    return Kept(
        team_id=team_id,
        account=item.account,
        channel=Channel(item.outgoing.channel).value,
        public_id=item.outgoing.public_id,
        recipient=item.outgoing.to,
        sender=item.outgoing.sender,
        headline=headline[:_HEADLINE],
        content=asdict(content),
        fate=item.fate if item.outgoing.callback_url else "none",  # nobody waits to hear
        delay_s=item.delay_s,
    )
