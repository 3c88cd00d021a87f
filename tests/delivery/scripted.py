"""Accounts that do as they are told: down, too fast, not ours, lost; each with a list of what it took."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from notifier.delivery.accounts import Accounts
from notifier.delivery.drain import Sender
from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Outgoing
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.providers.base import Capabilities, Provider, WithoutCallbacks
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import ACCOUNTS, add_contact, define, set_now

Say = Callable[[Outgoing], Exception | None]


@dataclass
class Peer(WithoutCallbacks):
    """A provider's end of one account; `say` answers each message, None takes it."""

    say: Say = lambda _: None
    takes_s: float = 0.0
    taken: list[Outgoing] = field(default_factory=list)
    asked: int = 0
    name: str = "peer"
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(channels=frozenset()))

    async def send(self, outgoing: Outgoing) -> Acceptance:
        self.asked += 1
        await asyncio.sleep(self.takes_s)
        if (error := self.say(outgoing)) is not None:
            raise error
        self.taken.append(outgoing)
        return Acceptance(provider_ref=f"{self.name}-{len(self.taken)}")

    async def aclose(self) -> None:
        """Nothing is open."""


class _Peers(Accounts):
    def __init__(self, settings: Settings, database: Database, peers: Mapping[str, Peer]) -> None:
        super().__init__(settings, database)
        self.peers = peers

    async def get(self, definition_id: int) -> tuple[Account, Provider]:
        account, own = await super().get(definition_id)
        return account, self.peers.get(account.key, own)


@asynccontextmanager
async def open_with(
    settings: Settings, database: Database, worker: str = "test", **peers: Peer
) -> AsyncIterator[Sender]:
    """A worker's sender; `redis_url` of the settings counts."""
    for key, peer in peers.items():
        peer.name = key
    sender = Sender(settings, database, worker=worker, accounts=_Peers(settings, database, peers))
    try:
        yield sender
    finally:
        await sender.aclose()


def refused(_: Outgoing) -> Exception:
    """No connection."""
    return TryAgain("cannot connect to the mail server", code="connect")


def not_ours(_: Outgoing) -> Exception:
    """The log-in is not accepted."""
    return TryAgain("log-in refused: 535", code="535", fault=Fault.SENDER)


def too_fast(_: Outgoing) -> Exception:
    """A limit of theirs."""
    return TryAgain("too many requests at once", code="429")


def lost(_: Outgoing) -> Exception:
    """It may have arrived."""
    return OutcomeUnknown("the reply to the final dot was lost", code="lost")


def no_such_user(_: Outgoing) -> Exception:
    """The recipient's own fault."""
    return NeverAgain("no such user", code="5.1.1", fault=Fault.RECIPIENT)


SPARE = {
    "campaigns/accounts/spare.yaml": ACCOUNTS["email"].replace("account: email", "account: spare") + "order: 200\n"
}


async def scene(
    database: Database,
    settings: Settings,
    folder: Path,
    *campaigns: str,
    contacts: int,
    files: Mapping[str, str] | None = None,
    opt_in: tuple[str, ...] = (),
) -> None:
    """Noon, definitions, and so many contacts c000…"""
    await set_now(database)
    await define(database, folder, *campaigns, **(files or {}))
    for number in range(contacts):
        await add_contact(database, settings, f"c{number:03}", opt_in=opt_in)
