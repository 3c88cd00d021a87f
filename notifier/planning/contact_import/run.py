"""The story of an import: open, understand the header, then read one batch while the last is written."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from notifier.domain.template import Bank
from notifier.planning.contact_import.columns import read_layout
from notifier.planning.contact_import.files import FileBroken, Sheet, open_sheet
from notifier.planning.contact_import.options import ImportOptions, ImportReport, Progress
from notifier.planning.contact_import.rejects import ErrorsFile
from notifier.planning.contact_import.rows import Batch, RowReader, Setting
from notifier.store import clock
from notifier.store.contact_batches import (
    BatchCounts,
    Columns,
    begin_import,
    count_import,
    end_import,
    ensure_list,
    write_contacts,
)
from notifier.store.database import TRANSIENT, Database


async def import_contacts(
    database: Database,
    source: Path,
    options: ImportOptions,
    *,
    bank: Bank,
    address_hash_key: bytes,
    progress: Progress | None = None,
) -> ImportReport:
    """Add or update the contacts of a CSV or XLSX file.

    Every batch is one transaction with its part of the account, so a file that breaks in the
    middle, a stopped process or a lost connection leaves whole batches and an exact count; the
    same file again changes nothing that is there. `InputError` where nothing of it can be read; whatever
    else ends it early is named in the account and raised.
    """
    started = time.monotonic()
    async with database.transaction() as tx:
        now = await clock.now(tx)
    with open_sheet(source, options) as sheet:
        setting = Setting(
            layout=read_layout(sheet.header, options.mapping),
            options=options,
            file=source.name,
            region=bank.region,
            zone=bank.zone,
            now=now,
            key=address_hash_key,
        )
        errors = ErrorsFile(options.errors_file or source.with_name(f"{source.name}.errors.csv"))
        with closing(errors):
            report = await _write_all(database, sheet, setting, errors, progress)
    return replace(report, seconds=time.monotonic() - started)


async def _write_all(
    database: Database, sheet: Sheet, setting: Setting, errors: ErrorsFile, progress: Progress | None
) -> ImportReport:
    options = setting.options
    async with database.transaction() as tx:
        import_id = await begin_import(tx, options.team_id, setting.file)
        list_id = await ensure_list(tx, options.team_id, options.list_key) if options.list_key else None
    try:
        account = _Account(import_id, list_id)
        report = await _write_batches(database, sheet, RowReader(setting), errors, progress=progress, account=account)
    except Exception as error:
        with suppress(*TRANSIENT):  # where the database is gone the account stays open, and the first error counts
            await _end(database, import_id, type(error).__name__)
        raise
    await _end(database, import_id, report.problem)
    return report


class _Account(NamedTuple):
    """Where the batches are counted, and the list they join."""

    import_id: int
    list_id: int | None


async def _end(database: Database, import_id: int, problem: str) -> None:
    async with database.transaction() as tx:
        await end_import(tx, import_id, problem=problem)


async def _write_batches(
    database: Database,
    sheet: Sheet,
    reader: RowReader,
    errors: ErrorsFile,
    *,
    progress: Progress | None,
    account: _Account,
) -> ImportReport:
    options, import_id = reader.options, account.import_id
    columns = Columns(fields=reader.fields, attributes=reader.attributes)
    report = _nothing_yet(import_id)
    batches = _read_ahead(reader, sheet, options.batch_rows)
    pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while isinstance(batch := await pending, Batch):
            pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
            async with database.transaction() as tx:
                counts = await write_contacts(tx, options.team_id, batch.contacts, columns, list_id=account.list_id)
                await count_import(
                    tx,
                    import_id,
                    read=batch.read,
                    added=counts.added,
                    updated=counts.updated,
                    rejected=batch.rejected,
                )
            errors.write(batch.problems)
            report = _add(report, batch, counts, errors)
            if progress:
                progress(report.read, sheet.share_read())
    finally:
        await asyncio.wait([pending])  # the thread must not read from a file that is closed under it
    return replace(report, problem=batch or "")


def _read_ahead(reader: RowReader, sheet: Sheet, size: int) -> Iterator[Batch | str]:
    """Batches; at last a text where the file broke."""
    try:
        while (batch := reader.read_batch(sheet.rows, size)).read:
            yield batch
    except FileBroken as error:
        yield str(error)


def _nothing_yet(import_id: int) -> ImportReport:
    return ImportReport(
        import_id=import_id,
        read=0,
        added=0,
        updated=0,
        unchanged=0,
        rejected=0,
        duplicates=0,
        problem="",
        errors_file=None,
        seconds=0.0,
    )


def _add(report: ImportReport, batch: Batch, counts: BatchCounts, errors: ErrorsFile) -> ImportReport:
    return replace(
        report,
        read=report.read + batch.read,
        added=report.added + counts.added,
        updated=report.updated + counts.updated,
        unchanged=report.unchanged + counts.unchanged,
        rejected=report.rejected + batch.rejected,
        duplicates=report.duplicates + batch.duplicates,
        errors_file=errors.path,
    )
