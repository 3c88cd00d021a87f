"""Lists of contacts over the API."""

from fastapi import APIRouter, Request

from notifier.store.database import Database
from notifier.store.views.contacts import list_lists
from notifier.web.api.contact_shapes import ListOut
from notifier.web.api.keyed import Reader
from notifier.web.api.paging import Listed

router = APIRouter(prefix="/lists", tags=["contacts"])


@router.get("", summary="List the lists of contacts")
async def show_lists(request: Request, key: Reader) -> Listed[ListOut]:
    """By key; always one page. `GET /contacts?list_key=KEY` names the members."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await list_lists(tx, key.team_id)
    items = [ListOut(key=one.key, created_at=one.created_at, members=one.members, is_more=one.is_more) for one in found]
    return Listed(items=items, next_cursor=None)
