"""What people do through the links of a message: follow them, opt out, choose their channels."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from notifier.store import visits as store
from notifier.store.database import Database
from notifier.store.visits import ChannelChoice, Click, LinkedMessage


class Scope(StrEnum):
    """What a person opts out of."""

    TOPIC = "topic"  # the kind of message they hold in hand
    CHANNEL = "channel"  # everything sent this way


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A message and what its contact takes."""

    message: LinkedMessage
    choices: tuple[ChannelChoice, ...]


async def find_message(database: Database, run_id: int, message_id: int) -> LinkedMessage | None:
    """The message a link was sent in."""
    async with database.transaction() as tx:
        return await store.find_message(tx, run_id, message_id)


async def opt_out(
    database: Database, run_id: int, message_id: int, *, scope: Scope, source: str
) -> LinkedMessage | None:
    """Write the opt-out of the message's contact; a message without a topic opts out of its channel.

    Idempotent. None where there is no such message.
    """
    async with database.transaction() as tx:
        message = await store.find_message(tx, run_id, message_id)
        if message is None:
            return None
        topic = message.topic if scope is Scope.TOPIC else ""
        await store.add_opt_out(tx, message, channel=message.channel, topic=topic, source=source)
        await store.add_opted_out(tx, message, source=source)
        return message


async def follow_link(
    database: Database, run_id: int, message_id: int, link_id: int, *, by_machine: bool
) -> str | None:
    """Where the link leads, with the click noted; None: revoked or unknown.

    A machine's click has a key of its own, so that a scanner coming first does not hide the customer's.
    """
    async with database.transaction() as tx:
        target = await store.find_target(tx, run_id, message_id, link_id)
        if target is not None:
            key, source = (f"clicked:{link_id}", "link")
            if by_machine:
                key, source = (f"clicked:{link_id}:machine", "machine")
            await store.add_click(tx, Click(run_id=run_id, message_id=message_id, event_key=key, source=source))
        return target


async def find_preferences(database: Database, run_id: int, message_id: int) -> Preferences | None:
    """The channels of the message's contact."""
    async with database.transaction() as tx:
        message = await store.find_message(tx, run_id, message_id)
        if message is None:
            return None
        return Preferences(message=message, choices=tuple(await store.list_choices(tx, message.contact_id)))


async def leave_channels(
    database: Database, run_id: int, message_id: int, *, channels: Collection[str], source: str
) -> Preferences | None:
    """Opt the message's contact out of these channels; idempotent, and never an opt-in: a link may be forwarded."""
    async with database.transaction() as tx:
        message = await store.find_message(tx, run_id, message_id)
        if message is None:
            return None
        for choice in await store.list_choices(tx, message.contact_id):
            if choice.channel in channels:
                await store.add_opt_out(tx, message, channel=choice.channel, topic="", source=source)
        return Preferences(message=message, choices=tuple(await store.list_choices(tx, message.contact_id)))
