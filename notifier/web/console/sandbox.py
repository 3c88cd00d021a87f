"""What the sandbox was given: a phone, a mailbox and a wall, as the receivers see them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from notifier.domain.keys import Keys
from notifier.domain.links import LinkKind, address_key, read_link
from notifier.store.views import sandbox as view
from notifier.store.views.sandbox import Known, SandboxLine
from notifier.web.access.sessions import LoggedIn
from notifier.web.console.messages import mail_answer
from notifier.web.console.preview import Shown
from notifier.web.console.show import Page, open_page
from notifier.web.values import Id, Text

router = APIRouter()
_CHANNELS = {"phone": "sms", "mailbox": "email", "wall": "social"}
_SHOWN = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing received, why it was sent (`test`, `proof`, `alarm`, else a message) and where that is told."""

    line: SandboxLine
    kind: str = ""
    href: str = ""

    @property
    def message_id(self) -> str:
        """The header of that name, as it would be on the wire."""
        return f"<{self.line.public_id}@{self.line.sender.rpartition('@')[2]}>"


@router.get("/sandbox")
async def show_sandbox(request: Request) -> Response:
    """The phone first."""
    return RedirectResponse("/sandbox/phone", 303)


@router.get("/sandbox/phone")
@router.get("/sandbox/mailbox")
@router.get("/sandbox/wall")
async def show_room(  # noqa: PLR0917
    request: Request,
    visitor: LoggedIn,
    to: Text = "",
    find: Text = "",
    account: Text = "",
    item: Id | None = None,
    before: Id | None = None,
) -> Response:
    """What one receiver has, the newest first; the last who got anything where nobody is chosen."""
    room = request.url.path.rpartition("/")[2]
    channel, keys = _CHANNELS[room], request.app.state.keys
    async with open_page(request, visitor) as page:
        receivers = await view.list_receivers(
            page.tx,
            page.team_id,
            channel,
            like=find.strip(),
            account=account.strip(),
            limit=0 if room == "wall" else 40,
        )
        chosen = to.strip() or (receivers[0].recipient if receivers else "")
        lines = await view.list_items(
            page.tx, page.team_id, channel, recipient=chosen, account=account.strip(), before=before, limit=_SHOWN + 1
        )
        items = await _tell(page, keys, lines[:_SHOWN])
        return page.show(
            f"sandbox_{room}.html",
            room=room,
            receivers=receivers,
            names=await _names(page, keys, channel, [chosen, *(one.recipient for one in receivers)]),
            accounts=await view.list_accounts(page.tx, page.team_id, channel),
            account=account.strip(),
            find=find.strip(),
            chosen=chosen,
            items=items,
            older=lines[_SHOWN - 1].id if len(lines) > _SHOWN else None,
            opened=next((one for one in items if one.line.id == item), items[0] if items else None),
        )


@router.get("/sandbox/items/{item_id}/mail")
async def show_sandbox_mail(request: Request, visitor: LoggedIn, item_id: Id) -> Response:
    """The e-mail the sandbox was given, for a frame."""
    async with open_page(request, visitor) as page:
        line = await view.get_item(page.tx, page.team_id, item_id)
    return mail_answer(Shown.of(line.content))


async def _names(page: Page, keys: Keys, channel: str, recipients: Iterable[str]) -> Mapping[str, Known]:
    """Recipient → the contact who has this address."""
    by_key = {address_key(keys.addresses, channel, one): one for one in recipients}
    found = await view.name_addresses(page.tx, page.team_id, list(by_key))
    return {by_key[key]: known for key, known in found.items()}


async def _tell(page: Page, keys: Keys, lines: Sequence[SandboxLine]) -> list[Item]:
    """Each with its reason: a message leads to its page, a note is marked."""
    notes = {line.id: numbers[0] for line in lines if (numbers := read_link(keys.links, LinkKind.NOTE, line.public_id))}
    kinds = await view.list_note_kinds(page.tx, page.team_id, list(notes.values()))
    return [
        Item(line=line, kind=kinds.get(notes.get(line.id, 0), ""), href=_message_href(keys, line.public_id))
        for line in lines
    ]


def _message_href(keys: Keys, public_id: str) -> str:
    numbers = read_link(keys.links, LinkKind.MESSAGE, public_id)
    return "/messages/{}/{}".format(*numbers) if numbers else ""
