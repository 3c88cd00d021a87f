"""Messages over the API: send one, look at what became of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from notifier.delivery.settle import decide, replay
from notifier.domain.errors import NotFound, NotReleased
from notifier.domain.keys import Keys
from notifier.domain.links import LinkKind, message_token, read_link
from notifier.domain.message import MessageId, RunId, State
from notifier.domain.purpose import RULES, Purpose
from notifier.planning.single import ask_release, send_one
from notifier.store.database import Database, Tx
from notifier.store.views import messages as view
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Reader, Sender, actor, once, person
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.api.shapes import EventOut, MessageDetail, MessageIn, MessageOut, MessageRef, SettleIn
from notifier.web.values import Id, Text

router = APIRouter(prefix="/messages", tags=["messages"])


@router.get("", summary="List the messages of a run")
async def list_messages(  # noqa: PLR0917
    request: Request,
    key: Reader,
    run_id: Annotated[Id, Query(description="the run whose messages are wanted")],
    state: State | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Listed[MessageOut]:
    """In the order they were planned."""
    database: Database = request.app.state.database
    keys: Keys = request.app.state.keys
    async with database.transaction() as tx:
        await get_run_line(tx, key.team_id, run_id)
        found = await view.list_messages(
            tx, key.team_id, run_id, state=state or "", after=read_cursor(cursor) or 0, limit=limit + 1
        )
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[MessageOut(**_facts(one, keys)) for one in found[:limit]], next_cursor=more)


@router.get("/{message_id}", summary="Get a message with its history")
async def get_message(request: Request, key: Reader, message_id: Text) -> MessageDetail:
    """By its public id."""
    database: Database = request.app.state.database
    keys: Keys = request.app.state.keys
    numbers = _read_id(keys, message_id)
    async with database.transaction() as tx:
        return await _detail(tx, key.team_id, numbers, keys)


@router.post("/{message_id}/settle", summary="Settle a message in doubt")
async def settle(request: Request, key: Sender, message_id: Text, body: SettleIn) -> MessageDetail:
    """Say whether a message in state `uncertain` was sent; 409 where it is not in doubt."""
    database: Database = request.app.state.database
    keys: Keys = request.app.state.keys
    run_id, number = _read_id(keys, message_id)
    async with database.transaction() as tx:
        await view.get_message(tx, key.team_id, run_id, number)
        await decide(tx, run_id, body.outcome, actor(key), message_id=number)
        return await _detail(tx, key.team_id, (run_id, number), keys)


@router.post("/{message_id}/replay", summary="Send a message that was set aside again")
async def replay_message(request: Request, key: Sender, message_id: Text) -> MessageDetail:
    """It goes through every check again. 409 where it was not set aside, or its time ran out."""
    database: Database = request.app.state.database
    keys: Keys = request.app.state.keys
    run_id, number = _read_id(keys, message_id)
    async with database.transaction() as tx:
        await view.get_message(tx, key.team_id, run_id, number)
        await replay(tx, run_id, actor(key), message_id=number)
        return await _detail(tx, key.team_id, (run_id, number), keys)


@router.post("", status_code=202, summary="Send one message", response_model=MessageRef)
async def send(request: Request, key: Sender, body: MessageIn) -> Response:
    """The campaign's first step, to one contact. 202: it stands in the database. Wants an `Idempotency-Key`.

    409 where nobody has released the campaign's present texts for single messages: the run to release is named.
    429 with Retry-After where so many wait that this one would be late, 503 with Retry-After where nothing can be stored.
    """
    keys: Keys = request.app.state.keys
    lanes: list[int] = []

    async def work(tx: Tx) -> MessageRef:
        sent = await send_one(
            tx,
            team_id=key.team_id,
            campaign_key=body.campaign,
            external_id=body.contact,
            inputs=body.inputs,
            by=person(key),
            late_pct=request.app.state.settings.late_pct,
        )
        facts = await view.get_message(tx, key.team_id, sent.run_id, sent.message_id)
        lanes.append(RULES[Purpose(facts.purpose)].lane)
        return MessageRef(
            id=message_token(keys.links, sent.run_id, sent.message_id), run_id=sent.run_id, state=facts.state
        )

    try:
        answer = await once(request, key, body, status=202, work=work)
        for lane in lanes:  # nothing has to be planned: the worker may begin at once
            await request.app.state.bell.ring(f"drain-{lane}")
        return answer
    except NotReleased:
        database: Database = request.app.state.database
        async with database.transaction() as tx:
            await ask_release(tx, team_id=key.team_id, campaign_key=body.campaign, by=person(key))
        raise


def _read_id(keys: Keys, message_id: str) -> tuple[int, int]:
    numbers = read_link(keys.links, LinkKind.MESSAGE, message_id)
    if numbers is None or len(numbers) != 2:
        raise NotFound("there is no such message")
    return numbers[0], numbers[1]


async def _detail(tx: Tx, team_id: int, numbers: tuple[int, int], keys: Keys) -> MessageDetail:
    found = await view.get_message(tx, team_id, *numbers)
    events = await view.list_events(tx, *numbers)
    return MessageDetail(
        **_facts(found, keys),
        template=found.template_key,
        template_version=found.template_version,
        expires_at=found.expires_at,
        accepted_at=found.accepted_at,
        attempts=found.attempts,
        parts=found.parts,
        provider_ref=found.provider_ref,
        post_url=found.post_url,
        events=[EventOut(kind=e.kind, at=e.at, code=e.code, reason=e.reason, source=e.source) for e in events],
    )


def _facts(found: view.MessageLine | view.MessageFacts, keys: Keys) -> dict[str, object]:
    return {
        "id": message_token(keys.links, RunId(found.run_id), MessageId(found.id)),
        "run_id": found.run_id,
        "contact": found.external_id,
        "account": found.account,
        "step": found.step,
        "channel": found.channel,
        "state": found.state,
        "reason": found.reason,
        "locale": found.locale,
        "due_at": found.due_at,
        "changed_at": found.changed_at,
    }
