"""Imports over the API: send a file, look at what it would become, start it, watch it, fetch its errors."""

import orjson
from fastapi import APIRouter, Request, Response

from notifier.domain.contact_import import ImportState
from notifier.domain.errors import Conflict
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.preview import RowPreview
from notifier.planning.contact_import.uploads import keep_upload, show_preview, start_import, stop_import
from notifier.planning.exports import take_errors
from notifier.settings import Settings
from notifier.store import imports as store
from notifier.store.database import Database
from notifier.store.imports import ImportLine
from notifier.web.api.contact_shapes import ColumnOut, ImportOptionsIn, ImportOut, PreviewOut, RowOut, RowProblemOut
from notifier.web.api.keyed import Exporter, Reader, Writer, person
from notifier.web.api.paging import Cursor, Limit, Listed, read_cursor, write_cursor
from notifier.web.catalogue import Catalogue
from notifier.web.uploads import sent_file
from notifier.web.values import Id

router = APIRouter(prefix="/imports", tags=["imports"])
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.get("", summary="List imports")
async def list_imports(request: Request, key: Reader, cursor: Cursor = "", limit: Limit = 50) -> Listed[ImportOut]:
    """The newest first, also those of the console and the command line."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await store.list_imports(tx, key.team_id, before=read_cursor(cursor), limit=limit + 1)
    more = write_cursor(found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_tell(line) for line in found[:limit]], next_cursor=more)


@router.post("", status_code=201, summary="Send a file of contacts", openapi_extra=_FILE)
async def take_file(request: Request, key: Writer) -> ImportOut:
    """CSV or XLSX as the form field `file`. It is kept and looked at; nothing is written before it is started."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    # Read here, after the key was seen: what FastAPI reads for itself it reads for anybody.
    async with request.form() as form, sent_file(form, most_mb=settings.import_max_mb) as path:
        import_id = await keep_upload(database, path, team_id=key.team_id, by=person(key))
    async with database.transaction() as tx:
        return _tell(await store.get_import(tx, key.team_id, import_id))


@router.get("/{import_id}", summary="Get an import")
async def get_import(request: Request, key: Reader, import_id: Id) -> ImportOut:
    """How far it is."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        return _tell(await store.get_import(tx, key.team_id, import_id))


@router.post("/{import_id}/preview", summary="See what a file would become")
async def preview(request: Request, key: Reader, import_id: Id, body: ImportOptionsIn) -> PreviewOut:
    """With these options; 409 once it was read."""
    database: Database = request.app.state.database
    catalogue: Catalogue = request.app.state.catalogue
    async with database.transaction() as tx:
        line = await store.get_import(tx, key.team_id, import_id)
        bank = await catalogue.bank(tx, key.team_id)
        shown = await show_preview(tx, line, _options(body, line), bank=bank)
    return PreviewOut(
        columns=[ColumnOut(title=one.title, samples=list(one.samples), target=one.target) for one in shown.columns],
        rows=[_tell_row(row) for row in shown.rows],
        counted=shown.sample.counted,
        is_exact=shown.sample.is_exact,
        problem=str(shown.problem or ""),
        breaks=shown.sample.breaks,
    )


@router.post("/{import_id}/start", status_code=202, summary="Start an import")
async def start(request: Request, key: Writer, import_id: Id, body: ImportOptionsIn) -> ImportOut:
    """A worker reads the file. The same request again changes nothing; 409 where it was stopped before it began."""
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        line = await store.get_import(tx, key.team_id, import_id)
        if line.state is ImportState.CANCELLED:
            raise Conflict("this import is over")
        await start_import(tx, line, _options(body, line), by=person(key), is_demo=settings.demo)
        told = _tell(await store.get_import(tx, key.team_id, import_id))
    await request.app.state.bell.ring("imports")
    return told


@router.post("/{import_id}/cancel", summary="Stop an import")
async def cancel(request: Request, key: Writer, import_id: Id) -> ImportOut:
    """Rows that were read stay in; 409 where it is over."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        line = await store.get_import(tx, key.team_id, import_id)
        await stop_import(tx, line, by=person(key))
        return _tell(await store.get_import(tx, key.team_id, import_id))


@router.get("/{import_id}/errors.csv", summary="Export the rows not taken", response_class=Response)
async def get_errors(request: Request, key: Exporter, import_id: Id) -> Response:
    """Row, id, column, problem, remedy; safe to open in a spreadsheet. 404 where nothing was wrong."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        data = await take_errors(tx, key.team_id, import_id, by=person(key))
    headers = {"content-disposition": f'attachment; filename="import-{import_id}-errors.csv"'}
    return Response(data, media_type="text/csv; charset=utf-8", headers=headers)


def _options(body: ImportOptionsIn, line: ImportLine) -> ImportOptions:
    return ImportOptions(team_id=line.team_id, **body.model_dump())


def _tell(line: ImportLine) -> ImportOut:
    names = set(ImportOut.model_fields)
    return ImportOut(**{name: getattr(line, name) for name in names})


def _tell_row(row: RowPreview) -> RowOut:
    problems = [RowProblemOut(column=one.column, problem=one.problem, remedy=one.remedy) for one in row.problems]
    names = ("external_id", "name", "email", "phone", "locale", "zone", "kind")
    facts = {name: getattr(row.contact, name) if row.contact else None for name in names}
    attributes = orjson.loads(row.contact.attributes) if row.contact else None
    return RowOut(number=row.number, attributes=attributes, problems=problems, **facts)
