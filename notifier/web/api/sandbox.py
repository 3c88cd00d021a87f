"""What the sandbox was given, over the API: for tests of what one's own systems make us send."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from notifier.domain.channel import Channel
from notifier.store.database import Database
from notifier.store.views.sandbox import SandboxLine, list_items
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import SandboxItemOut
from notifier.web.values import Text

router = APIRouter(prefix="/sandbox", tags=["sandbox"])
Filter = Annotated[Text, Query(max_length=320)]


@router.get("/items", summary="List what the sandbox was given")
async def list_sandbox_items(  # noqa: PLR0917
    request: Request,
    key: Reader,
    channel: Channel,
    recipient: Filter = "",
    account: Filter = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Listed[SandboxItemOut]:
    """The newest first; of one recipient, one account, or all of a channel."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await list_items(
            tx,
            key.team_id,
            channel.value,
            recipient=recipient,
            account=account,
            before=read_cursor(cursor),
            limit=limit + 1,
        )
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_tell(one) for one in found[:limit]], next_cursor=more)


def _tell(line: SandboxLine) -> SandboxItemOut:
    return SandboxItemOut(
        id=line.id,
        account=line.account,
        channel=line.channel,
        public_id=line.public_id,
        recipient=line.recipient,
        sender=line.sender,
        subject=str(line.content.get("subject") or ""),
        text=str(line.content.get("text") or ""),
        html=str(line.content.get("html") or ""),
        at=line.at,
    )
