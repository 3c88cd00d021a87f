"""Prepare the demo: definitions, contacts, logins, and the clock at the beginning of the story."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from notifier.demo.guard import refuse_sending_accounts
from notifier.demo.options import DemoOptions
from notifier.demo.story import TEAM, opening_moment
from notifier.domain.errors import InputError
from notifier.domain.keys import derive_keys
from notifier.planning.apply import apply_definitions
from notifier.planning.catalogue import find_bank
from notifier.planning.contact_import import ImportOptions, import_contacts
from notifier.planning.definitions.check import check_folder
from notifier.planning.definitions.folder import Definitions
from notifier.planning.synthesize import synthetic_contacts
from notifier.settings import Settings
from notifier.store import access, clock
from notifier.store.contact_batches import Columns, write_contacts
from notifier.store.contacts import FIELDS, count_contacts, row_of
from notifier.store.database import Database
from notifier.web.access.demo import DEMO_LOGINS
from notifier.web.access.passwords import create_user

CUSTOMERS = 900
EMPLOYEES = 60
Say = Callable[[str], None]


async def read_definitions(folder: Path) -> Definitions:
    """The folder's definitions, checked, none of whose accounts reaches anybody."""
    found = (await asyncio.to_thread(check_folder, folder)).require()
    refuse_sending_accounts(found)
    return found


async def prepare(
    settings: Settings, database: Database, definitions: Definitions, options: DemoOptions, say: Say
) -> bool:
    """Bring an empty installation to the beginning of the story; returns False where it had begun already."""
    changes = await apply_definitions(database, definitions)
    say(f"{len(changes)} definitions applied from {definitions.root}")
    async with database.transaction() as tx:
        is_fresh = not await count_contacts(tx, TEAM)
        if is_fresh:
            bank = await find_bank(tx, TEAM)
            await clock.set_shift(tx, opening_moment(bank.zone) - datetime.now(UTC))
            await clock.make_partitions(tx)
    if is_fresh:
        await _add_logins(database)
    if is_fresh or options.contacts:
        await _add_contacts(settings, database, options, say)
    return is_fresh


async def _add_logins(database: Database) -> None:
    for login, password, name, role in DEMO_LOGINS:
        async with database.transaction() as tx:
            if await access.find_user(tx, login) is None:
                await create_user(tx, login=login, password=password, name=name, role=role, by="demo")


async def _add_contacts(settings: Settings, database: Database, options: DemoOptions, say: Say) -> None:
    key = derive_keys(settings.secret).addresses
    customers = CUSTOMERS
    if options.contacts is not None:
        customers = 0
        async with database.transaction() as tx:
            bank = await find_bank(tx, TEAM)
        how = ImportOptions(
            synthesize=options.synthesize_addresses, errors_file=settings.data_dir / "contacts.errors.csv"
        )
        report = await import_contacts(database, options.contacts, how, bank=bank, address_hash_key=key)
        say(f"{report.read:,} rows read at {report.rows_per_s:,.0f} rows/s, {report.rejected:,} rejected")
        if report.is_broken or not report.read:
            raise InputError(str(options.contacts), report.problem or "has no rows")
    staff = [row_of(contact, key) for contact in synthetic_contacts(customers, employees=EMPLOYEES)]
    async with database.transaction() as tx:
        await write_contacts(tx, TEAM, staff, Columns(fields=FIELDS))
    say(f"{len(staff):,} synthetic contacts added")
