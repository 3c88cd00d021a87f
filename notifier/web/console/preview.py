"""What a message said, as a page shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fastapi import Request

from notifier.delivery.show import show_message
from notifier.domain.channel import Content, EmailContent
from notifier.domain.errors import DefinitionError, DefinitionErrors
from notifier.domain.message import MessageId, RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A message's content; `agrees`: whether it has the hash that was recorded, None where none was."""

    subject: str = ""
    html: str = ""
    text: str = ""
    agrees: bool | None = None
    problem: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Content as it is stored."""
        return cls(
            subject=str(content.get("subject") or ""),
            html=str(content.get("html") or ""),
            text=str(content.get("text") or ""),
        )


async def show_content(request: Request, run_id: int, message_id: int) -> Shown:
    """The content rendered again; takes a connection of its own, so call it outside a page's transaction."""
    state = request.app.state
    try:
        shown = await show_message(state.database, state.library, state.composer, RunId(run_id), MessageId(message_id))
    except (DefinitionError, DefinitionErrors) as error:
        return Shown(problem=str(error))
    return _read(shown.content, agrees=shown.agrees, problem=shown.problem)


def _read(content: Content | None, *, agrees: bool | None, problem: str) -> Shown:
    if content is None:
        return Shown(agrees=agrees, problem=problem)
    if isinstance(content, EmailContent):
        return Shown(subject=content.subject, html=content.html, text=content.text, agrees=agrees)
    return Shown(text=content.text, agrees=agrees)
