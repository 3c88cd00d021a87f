"""Commands for contacts: in from a file, out to one."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from notifier.cli.door import TEAM, with_rows
from notifier.cli.show import FAILED, complain, note, progress_bar, say, say_json
from notifier.domain.contact import ContactKind
from notifier.domain.errors import InputError, ServiceError
from notifier.domain.links import derive_key
from notifier.planning.catalogue import find_bank
from notifier.planning.contact_export import export_contacts
from notifier.planning.contact_import import ImportOptions, ImportReport, import_contacts
from notifier.settings import Settings
from notifier.store.database import Database

contacts = typer.Typer(no_args_is_help=True, help="Contacts: import and export.")


@contacts.command("import")
def import_file(  # noqa: PLR0917 - one for each option
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV (UTF-8 or GB18030) or XLSX; the first line names the columns.")
    ],
    list_key: Annotated[
        str, typer.Option("--list", metavar="KEY", help="All rows join this list; made where missing.")
    ] = "",
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column is, repeatable; `-` skips it."),
    ] = None,
    synthesize: Annotated[
        bool, typer.Option("--synthesize-addresses", help="Make up what rows lack; for demonstrations only.")
    ] = False,
    errors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where rejected rows are explained; else FILE.errors.csv.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="utf-8 or gb18030; else found out.")] = "",
    consent_source: Annotated[
        str, typer.Option(help="Where consent in the file comes from, for the record.")
    ] = "import",
    as_json: Annotated[bool, typer.Option("--json", help="The account as JSON.")] = False,
) -> None:
    """Add and update contacts from a file; read as a stream, so it may be large.

    Columns are known by their names: external_id (or id, 客户号), name, email, phone, locale, zone, kind,
    consent_email, consent_sms_TOPIC, consent_date; every other column becomes an attribute. A row that is wrong is left
    out and explained in the errors file; the rest goes in. The same file again changes nothing.

    Exit code 0 where the whole file was read, also with rejected rows; 1 where it broke in the middle, which says how
    far it came; 2 where nothing of it could be read.

    - `notifier contacts import clients.xlsx --list branch-visitors`

    - `notifier contacts import clients.csv --map 手机号码=phone --map notes=-`
    """
    options = ImportOptions(
        team_id=TEAM,
        mapping=_read_mapping(mapping or []),
        list_key=list_key,
        encoding=encoding.lower(),
        consent_source=consent_source,
        synthesize=synthesize,
        errors_file=errors,
    )
    report = with_rows(lambda settings, database: _import(settings, database, file, options))
    if as_json:
        say_json({**asdict(report), "rows_per_s": round(report.rows_per_s)})
    else:
        _say_report(report)
    if report.is_broken:
        complain(
            f"{file.name} broke off after {report.read:,} rows: {report.problem}\n"
            "The rows before are in, no later one is. Correct the file and import it again."
        )
        raise typer.Exit(FAILED)


def _read_mapping(given: Sequence[str]) -> dict[str, str]:
    mapping = {}
    for text in given:
        column, sign, field = text.rpartition("=")
        if not sign or not column or not field:
            raise InputError("--map", f"`{text}` is no COLUMN=FIELD", "Write it as `--map 手机号码=phone`")
        mapping[column] = field
    return mapping


async def _import(settings: Settings, database: Database, file: Path, options: ImportOptions) -> ImportReport:
    async with database.transaction() as tx:
        bank = await find_bank(tx, TEAM)
    with progress_bar(file.name) as bar:

        def tell(rows: int, share: float) -> None:
            bar.update(bar.task_ids[0], completed=share, rows=rows)

        return await import_contacts(
            database,
            file,
            options,
            bank=bank,
            address_hash_key=derive_key(settings.secret, "addresses"),
            progress=tell,
        )


def _say_report(report: ImportReport) -> None:
    say(
        f"{report.read:,} rows read: {report.added:,} added, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {report.rejected:,} rejected, {report.duplicates:,} repeated"
    )
    if report.errors_file:
        note(f"What was wrong, row by row: {report.errors_file}")


@contacts.command("export")
def export_file(
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Else standard output.")] = None,
    kind: Annotated[ContactKind | None, typer.Option(help="Only these.")] = None,
) -> None:
    """Write all contacts as CSV, which the import reads back. It holds addresses: keep it as carefully as they deserve.

    - `notifier contacts export --kind employee -o employees.csv`
    """
    with_rows(lambda _settings, database: _export(database, output, kind))
    if output:
        note(f"Written to {output}.")


async def _export(database: Database, output: Path | None, kind: ContactKind | None) -> None:
    with ExitStack() as stack:
        target = stack.enter_context(_create(output)) if output else sys.stdout.buffer
        async for chunk in export_contacts(database, TEAM, kind=kind):
            target.write(chunk)
        target.flush()


def _create(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror}") from error


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.add_typer(contacts, name="contacts", rich_help_panel="Work")
