"""What a message said: rendered again where that is possible, else as it was kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from notifier.domain.links import message_token
from notifier.domain.message import MessageId, RunId
from notifier.store.views.messages import MessageFacts
from notifier.store.views.sandbox import find_content
from notifier.web.access.sessions import state_keys
from notifier.web.console.show import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message's content; `agrees`: whether it has the hash that was recorded, None where none was."""

    subject: str = ""
    html: str = ""
    text: str = ""
    agrees: bool | None = None
    problem: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any], *, agrees: bool | None) -> Self:
        """Content as it is stored."""
        return cls(
            subject=str(content.get("subject") or ""),
            html=str(content.get("html") or ""),
            text=str(content.get("text") or ""),
            agrees=agrees,
        )


async def show_content(page: Page, message: MessageFacts) -> Shown:
    """The stored content, else what the sandbox was given; empty where neither is there."""
    if message.content:
        return Shown.of(message.content, agrees=True)
    public_id = message_token(state_keys(page.request).links, RunId(message.run_id), MessageId(message.id))
    kept = await find_content(page.tx, message.channel, public_id, message.address or message.account)
    return Shown.of(kept, agrees=None) if kept else Shown()
