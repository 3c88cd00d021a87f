"""The story of an import: open, understand the header, then read one batch while the last is written."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from notifier.domain.errors import Conflict
from notifier.domain.template import Bank
from notifier.planning.contact_import.columns import read_layout
from notifier.planning.contact_import.files import FileBroken, Sheet, open_sheet
from notifier.planning.contact_import.options import ImportOptions, ImportReport, Progress
from notifier.planning.contact_import.rejects import ErrorsFile
from notifier.planning.contact_import.rows import Batch, RowReader, Setting
from notifier.planning.staff import IS_CUSTOMER, customers_among
from notifier.store import clock
from notifier.store.contact_batches import BatchCounts, Columns, ensure_list, write_contacts
from notifier.store.database import TRANSIENT, Database
from notifier.store.imports import Turn, begin_import, count_import, end_import

_ASK = "Leave the row out, or ask an administrator to import it."


class Stopped(Conflict):
    """A person stopped the import, or another process reads it now; the batch at hand was not written."""


class HandedBack(Exception):
    """This process shall end: another one goes on where it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """An import that a worker took over: its account is open, so many rows are written."""

    turn: Turn
    read_rows: int
    shall_end: Callable[[], bool]


async def import_contacts(
    database: Database,
    source: Path,
    options: ImportOptions,
    *,
    bank: Bank,
    address_hash_key: bytes,
    progress: Progress | None = None,
    resumed: Resumed | None = None,
) -> ImportReport:
    """Add or update the contacts of a CSV or XLSX file.

    Every batch is one transaction with its part of the account, so a file that breaks in the
    middle, a stopped process or a lost connection leaves whole batches and an exact count; the
    same file again changes nothing that is there. `InputError` where nothing of it can be read; whatever
    else ends it early is named in the account and raised. What was written before a resumed import is only
    checked again, for the file of errors.
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
            report = await _write_all(database, sheet, setting, errors, progress=progress, resumed=resumed)
    return replace(report, seconds=time.monotonic() - started)


async def _write_all(
    database: Database,
    sheet: Sheet,
    setting: Setting,
    errors: ErrorsFile,
    *,
    progress: Progress | None,
    resumed: Resumed | None,
) -> ImportReport:
    options = setting.options
    async with database.transaction() as tx:
        turn = resumed.turn if resumed else await begin_import(tx, options.team_id, setting.file)
        list_id = await ensure_list(tx, options.team_id, options.list_key) if options.list_key else None
    account = _Account(database, turn, list_id, resumed)
    try:
        report = await _write_batches(account, sheet, RowReader(setting), errors, progress=progress)
    except HandedBack:
        raise
    except Exception as error:
        if resumed and isinstance(error, TRANSIENT):
            raise  # the lease runs out, and somebody goes on
        with suppress(*TRANSIENT):  # where the database is gone the account stays open, and the first error counts
            await account.end(type(error).__name__, errors)
        raise
    await account.end(report.problem, errors)
    return report


@dataclass(frozen=True, slots=True)
class _Account:
    """Where the batches are counted, and the list they join."""

    database: Database
    turn: Turn
    list_id: int | None
    resumed: Resumed | None

    def check_on(self) -> None:
        if self.resumed and self.resumed.shall_end():
            raise HandedBack

    def is_written(self, read: int) -> bool:
        return self.resumed is not None and read <= self.resumed.read_rows

    async def write(
        self, batch: Batch, options: ImportOptions, columns: Columns, *, before: int
    ) -> tuple[Batch, BatchCounts]:
        """What of the batch was taken, and what became of it; one written before is only looked at."""
        async with self.database.transaction() as tx:
            found = await customers_among(tx, options.team_id, batch.contacts, columns.fields, may=options.makes_staff)
            batch = batch.without(found, IS_CUSTOMER, _ASK) if found else batch
            if self.is_written(before + batch.read):
                return batch, _NOTHING
            counts = await write_contacts(tx, options.team_id, batch.contacts, columns, list_id=self.list_id)
            goes_on = await count_import(
                tx, self.turn, read=batch.read, added=counts.added, updated=counts.updated, rejected=batch.rejected
            )
            if not goes_on:
                raise Stopped("the import was stopped; what was written before stays")
        return batch, counts

    async def end(self, problem: str, errors: ErrorsFile) -> None:
        async with self.database.transaction() as tx:
            await end_import(tx, self.turn, problem=problem, errors=await asyncio.to_thread(errors.read_kept))


async def _write_batches(
    account: _Account, sheet: Sheet, reader: RowReader, errors: ErrorsFile, *, progress: Progress | None
) -> ImportReport:
    options = reader.options
    columns = Columns(fields=reader.fields, attributes=reader.attributes)
    report = _nothing_yet(account.turn.import_id)
    batches = _read_ahead(reader, sheet, options.batch_rows)
    pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while isinstance(batch := await pending, Batch):
            pending = asyncio.create_task(asyncio.to_thread(next, batches, None))
            account.check_on()
            batch, counts = await account.write(batch, options, columns, before=report.read)
            errors.write(batch.problems)
            report = _add(report, batch, counts, errors)
            if progress:
                progress(report.read, sheet.share_read())
    finally:
        await asyncio.wait([pending])  # the thread must not read from a file that is closed under it
    return replace(report, problem=batch or "")


_NOTHING = BatchCounts(added=0, updated=0, unchanged=0)


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
