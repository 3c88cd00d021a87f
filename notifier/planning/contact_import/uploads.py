"""Files that a browser or a system sent: kept in parts, looked at, started or given up."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from notifier.domain.contact import ContactKind
from notifier.domain.contact_import import OPEN, ImportState
from notifier.domain.errors import Conflict, InputError
from notifier.domain.person import Person
from notifier.domain.template import Bank
from notifier.planning.contact_import.columns import read_layout
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.preview import Preview, preview_import
from notifier.planning.contact_import.sample import Sample, pack_sample, take_sample, unpack_sample
from notifier.planning.contact_import.values import read_locale, read_name, read_zone
from notifier.planning.staff import may_make_staff
from notifier.store import clock, imports
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx
from notifier.store.imports import ImportLine, Upload

PART_BYTES = 2**20
BATCH_ROWS = 2_000  # people look at the progress, and stop it
UNZIPPED_BYTES = 128 * 2**20  # of a spreadsheet, in the web server's memory
_NAME_CHARS = 80
_LIST_CHARS = 100


def desk_options(given: ImportOptions) -> ImportOptions:
    """The options with the bounds of what a server reads for somebody."""
    return replace(given, batch_rows=BATCH_ROWS, max_unzipped_bytes=UNZIPPED_BYTES)


def file_name(told: str) -> str:
    """What the sender calls the file, as a name and nothing else."""
    name = told.replace("\\", "/").rpartition("/")[2]
    plain = "".join(char for char in name if char.isprintable() and not "\ud800" <= char <= "\udfff").strip(". ")
    return plain[-_NAME_CHARS:].strip() or "contacts"


async def keep_upload(database: Database, source: Path, *, team_id: int, by: Person) -> int:
    """Look at the file and keep it; returns the import's id. `InputError` where nothing of it can be read.

    Nothing is written to the contacts before somebody starts it; what nobody starts is forgotten after a day.
    """
    sample = await asyncio.to_thread(take_sample, source, desk_options(ImportOptions(team_id=team_id)))
    size_bytes = (await asyncio.to_thread(source.stat)).st_size
    async with database.transaction() as tx:
        import_id = await imports.add_upload(
            tx,
            Upload(
                team_id=team_id,
                file=source.name,
                size_bytes=size_bytes,
                sample=pack_sample(sample),
                user_id=by.user_id,
            ),
        )
        with source.open("rb") as file:
            part = 0
            while data := await asyncio.to_thread(file.read, PART_BYTES):
                await imports.add_part(tx, import_id, part, data)
                part += 1
        await _note(tx, (team_id, import_id), by, "import.uploaded", bytes=size_bytes)
    return import_id


async def show_preview(tx: Tx, line: ImportLine, options: ImportOptions, *, bank: Bank) -> Preview:
    """What the file would become with these options; `Conflict` once it was read."""
    sample = await _sample(tx, line)
    return preview_import(sample, options, bank=bank, file=line.file, now=await clock.now(tx))


async def _sample(tx: Tx, line: ImportLine) -> Sample:
    packed = await imports.get_sample(tx, line.id)
    if packed is None:
        raise Conflict("this import is over: its file is gone")
    return unpack_sample(packed)


async def save_options(tx: Tx, line: ImportLine, options: ImportOptions, *, is_demo: bool) -> None:
    """Keep what somebody chose for the preview; `InputError` where it cannot be, whatever the file."""
    _check_options(options, is_demo=is_demo)
    await imports.keep_options(tx, line.team_id, line.id, pack_options(options))


async def start_import(tx: Tx, line: ImportLine, options: ImportOptions, *, by: Person, is_demo: bool) -> None:
    """Let a worker read the file; once only. `InputError` where the options do not fit it. Ring `imports` afterwards."""
    if line.state is not ImportState.UPLOADED:
        return  # the form was sent twice
    _check_options(options, is_demo=is_demo)
    read_layout((await _sample(tx, line)).titles, options.mapping)
    options = replace(options, makes_staff=may_make_staff(by))
    if await imports.queue_import(tx, line.team_id, line.id, pack_options(options)):
        await _note(tx, (line.team_id, line.id), by, "import.started", list=options.list_key)


def _check_options(options: ImportOptions, *, is_demo: bool) -> None:
    if options.synthesize and not is_demo:
        raise InputError("synthesize", "values are made up for demonstrations only", "Leave it out.")
    read_locale(options.locale)
    read_zone(options.zone)
    for name, text in (("list_key", options.list_key), ("consent_source", options.consent_source)):
        if len(text) > _LIST_CHARS:
            raise InputError(name, f"longer than {_LIST_CHARS} characters", "Shorten it.")
        try:
            read_name(text)
        except InputError as error:
            raise InputError(name, error.problem, "Write it on one line.") from error
    if not options.consent_source:
        raise InputError("consent_source", "is empty", "Say where these people gave their consent.")


async def stop_import(tx: Tx, line: ImportLine, *, by: Person) -> None:
    """Stop it and forget the file; what was written stays. `Conflict` where it is over."""
    if line.state not in OPEN or not await imports.cancel_import(tx, line.team_id, line.id):
        raise Conflict("this import is over")
    await _note(tx, (line.team_id, line.id), by, "import.stopped", rows=line.read_rows)


async def _note(tx: Tx, which: tuple[int, int], by: Person, act: str, **detail: object) -> None:
    team_id, import_id = which
    await add_audit(tx, team_id, actor=by.name, act=act, subject=f"import:{import_id}", detail=detail)


def pack_options(options: ImportOptions) -> dict[str, Any]:
    """What the database keeps of them."""
    return {
        "mapping": dict(options.mapping),
        "list_key": options.list_key,
        "encoding": options.encoding,
        "consent_source": options.consent_source,
        "kind": options.kind.value,
        "locale": options.locale,
        "zone": options.zone,
        "synthesize": options.synthesize,
        "makes_staff": options.makes_staff,
    }


def unpack_options(packed: Mapping[str, Any], *, team_id: int) -> ImportOptions:
    """What `pack_options` was given."""
    given = {"makes_staff": False, **packed, "kind": ContactKind(packed["kind"])}
    return desk_options(ImportOptions(team_id=team_id, **given))
