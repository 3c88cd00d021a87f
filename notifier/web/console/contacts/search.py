"""Contacts found by name, address, number or id, and the lists they are on."""

from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from notifier.domain.contact import ContactKind
from notifier.planning.contact_search import search_contacts
from notifier.store.views.contacts import Wanted, list_lists
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.messages import mask_address
from notifier.web.console.show import open_page
from notifier.web.values import Id, Text

router = APIRouter()
_PAGE = 25


@router.get("/contacts")
async def show_contacts(  # noqa: PLR0913, PLR0917 - one for each filter
    request: Request,
    visitor: LoggedIn,
    q: Text = "",
    kind: ContactKind | Literal[""] = "",
    locale: Text = "",
    list_key: Text = "",
    has: Literal["", "email", "sms"] = "",
    suppressed: bool = False,
    after: Id = 0,
) -> Response:
    """All contacts, or those searched for; the filters stand in the address."""
    wanted = Wanted(
        kind=ContactKind(kind) if kind else None,
        locale=locale.strip(),
        list_key=list_key.strip(),
        channel=has,
        is_suppressed=suppressed,
    )
    async with open_page(request, visitor) as page:
        found = await search_contacts(
            page.tx,
            page.team_id,
            q,
            wanted,
            region=page.bank.region,
            key=request.app.state.keys.addresses,
            after=after,
            limit=_PAGE + 1,
        )
        more = found[_PAGE - 1].id if len(found) > _PAGE else None
        return page.show(
            "contacts.html",
            contacts=found[:_PAGE],
            more_url=str(request.url.include_query_params(after=more)).partition(request.url.netloc)[2] if more else "",
            q=q,
            wanted=wanted,
            lists=await list_lists(page.tx, page.team_id),
            is_filtered=bool(q.strip()) or wanted != Wanted(),
            after=after,
            masked=mask_address,
        )


@router.get("/contacts/lists")
async def show_lists(request: Request, visitor: LoggedIn) -> Response:
    """Every list with how many are on it."""
    async with open_page(request, visitor) as page:
        return page.show("contacts_lists.html", lists=await list_lists(page.tx, page.team_id))
