"""Keeps the demo away from real customers: only harmless accounts, only a database of its own, only this machine."""

import ipaddress

from notifier.demo.options import DemoOptions
from notifier.demo.story import TEAM
from notifier.domain.errors import ServiceError
from notifier.domain.spec import account_from_spec
from notifier.planning.definitions.folder import Definitions
from notifier.settings import Settings, variable_of
from notifier.store.access import add_audit
from notifier.store.contacts import count_contacts
from notifier.store.database import Tx
from notifier.store.definitions import list_latest
from notifier.store.views.audit import has_act
from notifier.store.views.runs import list_runs
from notifier.store.views.schema import has_tables

HARMLESS = frozenset({"sandbox", "manual"})
PREPARED = "demo.prepared"
_REMEDY = f"Unset {variable_of('database_url')}, or name an empty database"


def refuse_unsafe_settings(settings: Settings, options: DemoOptions) -> None:
    """`ServiceError` where others could reach the demo's known logins, or a reset would not be one."""
    if not _is_loopback(settings.web_host):
        raise ServiceError(
            f"the demo's passwords are known to everybody, and {settings.web_host} is not this machine alone. "
            f"Unset {variable_of('web_host')}, or set it to 127.0.0.1"
        )
    if options.reset and settings.database_url:
        raise ServiceError(
            f"a reset deletes the demo's own servers' data, never a given {variable_of('database_url')}. "
            "Unset it, or leave --reset out"
        )


def refuse_sending_accounts(definitions: Definitions) -> None:
    """`ServiceError` where an account would reach somebody."""
    sending = [entry for entry in definitions.accounts.values() if entry.value.provider not in HARMLESS]
    if sending:
        named = ", ".join(f"{entry.file} ({entry.value.provider})" for entry in sending)
        raise ServiceError(
            f"the demo sends to made-up people and takes sandbox and manual accounts alone; others are: {named}. "
            f"Unset {variable_of('definitions_dir')} to play the starter pack"
        )


async def refuse_foreign_data(tx: Tx) -> None:
    """`ServiceError` where the database is in use: no demo began it, or it has accounts that send since."""
    if not await has_tables(tx):
        return
    accounts = [account_from_spec(one.spec) for one in await list_latest(tx, TEAM, "account")]
    if sending := [f"{one.key} ({one.provider})" for one in accounts if one.provider not in HARMLESS]:
        raise ServiceError(f"the database is in real use, its accounts {', '.join(sending)} send. {_REMEDY}")
    if await has_act(tx, TEAM, PREPARED):
        return
    held = {
        "contacts": await count_contacts(tx, TEAM),
        "runs": await list_runs(tx, TEAM, limit=1),
        "definitions": await list_latest(tx, TEAM),
    }
    if found := [name for name, some in held.items() if some]:
        raise ServiceError(
            f"the database holds {' and '.join(found)} that no demo made, and the demo would write to them and move "
            f"the clock. {_REMEDY}"
        )


async def mark_prepared(tx: Tx) -> None:
    """From now on the database is a demo's."""
    if not await has_act(tx, TEAM, PREPARED):
        await add_audit(tx, TEAM, actor="demo", act=PREPARED, subject="demo", detail={})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
