"""One contact over the API: everything known, and what is done for them."""

from fastapi import APIRouter, Request

from notifier.domain.channel import Channel
from notifier.domain.errors import NotFound
from notifier.domain.keys import Keys
from notifier.domain.links import message_token
from notifier.domain.message import MessageId, RunId
from notifier.planning.contact_acts import lift_suppression, opt_out_for
from notifier.planning.contact_story import Story, tell_story
from notifier.store.contacts import get_contact
from notifier.store.database import Database, Tx
from notifier.store.views.contact_story import Asked, SentMessage
from notifier.web.api.contact_shapes import (
    ActOut,
    AskedOut,
    LiftIn,
    OptOutIn,
    SentOut,
    StoryOut,
    SuppressionOut,
)
from notifier.web.api.contacts import ExternalId, tell_consent, tell_contact
from notifier.web.api.keyed import Reader, Writer, person
from notifier.web.api.paging import Cursor, read_cursor, write_cursor
from notifier.web.api.shapes import EventOut

router = APIRouter(prefix="/contacts/{external_id}", tags=["contacts"])


@router.get("/story", summary="Get everything known about a contact")
async def get_story(request: Request, key: Reader, external_id: ExternalId, cursor: Cursor = "") -> StoryOut:
    """Consents, blocks, messages over all runs, surveys, and what people did; messages are paged by run."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        return await _story(request, tx, key.team_id, external_id, before=read_cursor(cursor))


@router.post("/opt-outs", summary="Record that a contact opted out")
async def add_opt_out(request: Request, key: Writer, external_id: ExternalId, body: OptOutIn) -> StoryOut:
    """They told somebody. It holds at once; out of a whole channel blocks the address too. Only they can take it back."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await opt_out_for(
            tx,
            key.team_id,
            await _find(tx, key.team_id, external_id),
            channel=Channel(body.channel),
            topic=body.topic,
            source=body.source,
            note=body.note,
            by=person(key),
        )
        return await _story(request, tx, key.team_id, external_id)


@router.post("/lift", summary="Lift a block on an address")
async def lift(request: Request, key: Writer, external_id: ExternalId, body: LiftIn) -> StoryOut:
    """For the reasons `hard-bounce`, `invalid` and `manual`; 409 for any other, 404 where nothing blocks."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        contact_id = await _find(tx, key.team_id, external_id)
        channel = Channel(body.channel)
        await lift_suppression(tx, key.team_id, contact_id, channel, because=body.because, by=person(key))
        return await _story(request, tx, key.team_id, external_id)


async def _find(tx: Tx, team_id: int, external_id: str) -> int:
    found = await get_contact(tx, team_id, external_id)
    if found is None:
        raise NotFound(f"there is no contact {external_id!r}")
    return found.id


async def _story(request: Request, tx: Tx, team_id: int, external_id: str, *, before: int | None = None) -> StoryOut:
    keys: Keys = request.app.state.keys
    story = await tell_story(tx, team_id, external_id, before_run=before)
    return StoryOut(
        contact=tell_contact(story.stored),
        consents=[tell_consent(record) for record in story.consents],
        suppressions=[
            SuppressionOut(channel=one.channel, reason=one.reason, source=one.source, at=one.at)
            for one in story.suppressed
        ],
        lists=list(story.lists),
        messages=[_tell_sent(story, message, keys) for message in story.messages],
        surveys=[_tell_asked(one) for one in story.asked],
        acts=[ActOut(at=one.at, actor=one.actor, act=one.act, detail=dict(one.detail)) for one in story.done],
        next_cursor=write_cursor(story.older) if story.older is not None else None,
    )


def _tell_sent(story: Story, message: SentMessage, keys: Keys) -> SentOut:
    public_id = message_token(keys.links, RunId(message.run_id), MessageId(message.id)) if message.id else None
    return SentOut(
        id=public_id,
        run_id=message.run_id,
        campaign=message.campaign_key,
        step=message.step,
        channel=message.channel,
        state=message.state,
        reason=message.reason,
        at=message.at,
        events=[
            EventOut(kind=one.kind, at=one.at, code="", reason=one.reason, source=one.source)
            for one in story.happenings
            if (one.run_id, one.message_id) == (message.run_id, message.id)
        ],
    )


def _tell_asked(one: Asked) -> AskedOut:
    return AskedOut(
        survey=one.survey_key,
        run_id=one.run_id,
        invited_at=one.invited_at,
        opened_at=one.opened_at,
        answered_at=one.answered_at,
        simulated=one.simulated,
        answers=dict(one.answers),
    )
