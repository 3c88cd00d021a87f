"""Notes over the API: a test to oneself, what became of tests and proofs, and who reads proofs."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from notifier.domain.channel import Channel
from notifier.domain.note import NoteKind
from notifier.planning.notes import TooManyTests, add_reader, ask_for_test, change_reader, remove_reader
from notifier.store import notes as store
from notifier.store import proofs
from notifier.store.database import Database, Tx
from notifier.store.notes import NoteLine
from notifier.store.proofs import ProofReader
from notifier.store.runs import get_run
from notifier.store.views.runs import get_run_line
from notifier.web.api.keyed import Reader, Sender, Writer, once, person
from notifier.web.api.paging import Cursor, Limit, Listed, Shape, read_cursor, write_cursor
from notifier.web.catalogue import Catalogue
from notifier.web.problems import Problem
from notifier.web.proofreading import read_reader
from notifier.web.values import Id, Text

router = APIRouter(tags=["notes"])


class TestIn(Shape):
    """Which message of a run is to be sent to the key's own user."""

    __test__ = False
    step: Text = Field(min_length=1, max_length=63)
    channel: Literal["email", "sms"]
    locale: Text = Field("", max_length=35, description="empty = the bank's")


class NoteOut(Shape):
    """A message to the house; in no count of any run."""

    id: int
    kind: NoteKind
    run_id: int | None
    step: str
    channel: str
    locale: str
    state: str = Field(description="queued, sending, sent, failed")
    problem: str
    asked_by: str
    created_at: datetime
    changed_at: datetime | None


class ReaderIn(Shape):
    """Somebody who gets a marked copy of each run; one address at least."""

    name: Text = Field(min_length=1, max_length=60)
    email: Text = Field("", max_length=254)
    phone: Text = Field("", max_length=40, description="E.164, or a number of the bank's region")
    locale: Text = Field("", max_length=35, description="empty = the bank's")


class ReaderOut(ReaderIn):
    """The same as stored."""

    id: int


@router.post("/runs/{run_id}/tests", status_code=202, summary="Send a test to yourself", response_model=NoteOut)
async def send_test(request: Request, key: Sender, run_id: Id, body: TestIn) -> Response:
    """To the user the key stands for, marked, and counted nowhere. 20 within an hour, then 429.

    202: it stands in the database. Wants an `Idempotency-Key`.
    """

    async def work(tx: Tx) -> NoteOut:
        await get_run_line(tx, key.team_id, run_id)
        run = await get_run(tx, run_id)
        try:
            note_id = await ask_for_test(
                tx, run, step=body.step, channel=Channel(body.channel), locale=body.locale, by=person(key)
            )
        except TooManyTests as error:
            raise Problem(429, str(error), headers={"retry-after": "600"}) from error
        return _tell(await store.get_note(tx, key.team_id, note_id))

    answer = await once(request, key, body, status=202, work=work)
    await request.app.state.bell.ring("notes")
    return answer


@router.get("/notes", summary="List tests, proofs and alarms")
async def list_notes(  # noqa: PLR0917
    request: Request,
    key: Reader,
    run_id: Id | None = None,
    kind: NoteKind | None = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> Listed[NoteOut]:
    """The newest first; without the addresses and the texts."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await store.list_notes(
            tx, key.team_id, run_id=run_id, kind=kind or "", before=read_cursor(cursor), limit=limit + 1
        )
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_tell(one) for one in found[:limit]], next_cursor=more)


@router.get("/proof-readers", summary="List who reads proofs")
async def list_readers(request: Request, key: Reader) -> Listed[ReaderOut]:
    """All of them, by name."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await proofs.list_proof_readers(tx, key.team_id)
    return Listed(items=[_tell_reader(one) for one in found], next_cursor=None)


@router.post("/proof-readers", status_code=201, summary="Add a proof reader")
async def add(request: Request, key: Writer, body: ReaderIn) -> ReaderOut:
    """From the next step on they get their copy. 409 where the name is taken."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        reader = await _read(request, tx, key.team_id, 0, body)
        reader_id = await add_reader(tx, key.team_id, reader, person(key))
        return _tell_reader(await proofs.get_proof_reader(tx, key.team_id, reader_id))


@router.put("/proof-readers/{reader_id}", summary="Make a proof reader exactly this")
async def change(request: Request, key: Writer, reader_id: Id, body: ReaderIn) -> ReaderOut:
    """404 where there is none."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        reader = await _read(request, tx, key.team_id, reader_id, body)
        await change_reader(tx, key.team_id, reader, person(key))
        return _tell_reader(reader)


@router.delete("/proof-readers/{reader_id}", status_code=204, summary="Remove a proof reader")
async def remove(request: Request, key: Writer, reader_id: Id) -> None:
    """They get no more copies; what was sent stays listed."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await remove_reader(tx, key.team_id, reader_id, person(key))


async def _read(request: Request, tx: Tx, team_id: int, reader_id: int, body: ReaderIn) -> ProofReader:
    catalogue: Catalogue = request.app.state.catalogue
    bank = await catalogue.bank(tx, team_id)
    return read_reader(
        reader_id, bank, name=body.name, email=body.email.strip(), phone=body.phone.strip(), locale=body.locale
    )


def _tell_reader(reader: ProofReader) -> ReaderOut:
    return ReaderOut(id=reader.id, name=reader.name, email=reader.email, phone=reader.phone, locale=reader.locale)


def _tell(note: NoteLine) -> NoteOut:
    return NoteOut(
        id=note.id,
        kind=NoteKind(note.kind),
        run_id=note.run_id,
        step=note.step,
        channel=note.channel,
        locale=note.locale,
        state=note.state,
        problem=note.problem,
        asked_by=note.asked_by,
        created_at=note.created_at,
        changed_at=note.changed_at,
    )
