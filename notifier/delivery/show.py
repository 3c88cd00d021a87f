"""Show: what a message said, rendered again from what its row holds, and whether the hash agrees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.delivery.compose import Composer, Source
from notifier.delivery.materials import Library
from notifier.domain.channel import Channel, Content, EmailContent, PostContent, SmsContent
from notifier.domain.errors import RenderError
from notifier.domain.message import MessageId, RunId
from notifier.store.database import Database
from notifier.store.messages.show import get_rendered

_CONTENT: Mapping[Channel, Callable[..., Content]] = {
    Channel.EMAIL: EmailContent,
    Channel.SMS: SmsContent,
    Channel.SOCIAL: PostContent,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message's content. `agrees` None: it was not rendered for sending yet, this is how it would look now."""

    content: Content | None = field(repr=False)
    agrees: bool | None
    is_stored: bool  # kept as sent, not rendered again
    problem: str = ""


async def show_message(
    database: Database, library: Library, composer: Composer, run_id: RunId, message_id: MessageId
) -> Shown:
    """The content of a message; `NotFound` where there is none, a `problem` where it cannot be rendered."""
    async with database.transaction() as tx:
        row = await get_rendered(tx, run_id, message_id)
    if row.content is not None:
        return Shown(content=read_content(Channel(row.channel), row.content), agrees=True, is_stored=True)
    materials = await library.get(run_id)
    source = Source(
        id=message_id,
        channel=Channel(row.channel),
        step=row.step,
        variables=row.variables,
        inputs=row.inputs,
        invitation_id=row.invitation_id,
        locale=row.locale,
    )
    try:
        composed = composer.render(source, materials)
    except RenderError as error:
        return Shown(content=None, agrees=None, is_stored=False, problem=str(error))
    agrees = None if row.content_hash is None else row.content_hash == composed.hash
    return Shown(content=composed.content, agrees=agrees, is_stored=False)


def read_content(channel: Channel, stored: Mapping[str, Any]) -> Content:
    """Content as it was kept."""
    return _CONTENT[channel](**stored)
