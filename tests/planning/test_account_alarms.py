"""Account alarms: told once, to those who can mend it, by an account that works."""

from pathlib import Path

import pytest

from notifier.domain.person import Role
from notifier.planning.account_alarms import alarm_paused_accounts
from notifier.store.database import Database
from notifier.store.paused_accounts import pause_account
from tests.builders import ACCOUNTS, campaign, define, fetch, person

SPARE = ACCOUNTS["email"].replace("account: email", "account: spare") + "order: 200\n"
NOTES = """
    SELECT n.channel, n.address, d.key, n.content->>'subject' FROM notifier.notes n
    JOIN notifier.definitions d ON d.id = n.account_id ORDER BY n.id
"""


async def _pause(database: Database, cause: str, account: str = "email") -> None:
    async with database.transaction() as tx:
        await pause_account(tx, 1, account, cause=cause, reason="log-in refused: 535", code="535")


async def test_who_can_mend_an_account_is_told_once_and_by_another(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(), **{"campaigns/accounts/spare.yaml": SPARE})
    async with database.transaction() as tx:
        for login, role in (("op", Role.OPERATOR), ("author", Role.AUTHOR)):
            await person(tx, login, role)
        await tx.execute("UPDATE notifier.users SET email = login || '@example.com'")
    await _pause(database, "sender")
    assert await alarm_paused_accounts(database) == 1
    assert await alarm_paused_accounts(database) == 0
    (note,) = await fetch(database, NOTES)
    assert note[:3] == ("email", "op@example.com", "spare")
    assert "Mail: its provider does not accept it" in note[3]


async def test_an_account_that_was_retired_silences_no_other(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(), **{"campaigns/accounts/spare.yaml": SPARE})
    async with database.transaction() as tx:
        await person(tx, "op", Role.OPERATOR)
        await tx.execute("UPDATE notifier.users SET email = login || '@example.com'")
        await tx.execute("UPDATE notifier.definitions SET retired_at = notifier.now() WHERE key = 'spare'")
    for account in ("spare", "email"):
        await _pause(database, "sender", account)
    assert await alarm_paused_accounts(database) == 2
    subjects = {subject.partition(":")[0] for *_, subject in await fetch(database, NOTES)}
    assert subjects == {"[ALERT] spare", "[ALERT] Mail"}


@pytest.mark.parametrize(("cause", "notes"), [("provider", 0), ("sender", 1)])
async def test_an_outage_of_the_provider_alarms_nobody(
    database: Database, tmp_path: Path, cause: str, notes: int
) -> None:
    await define(database, tmp_path, campaign())
    async with database.transaction() as tx:
        await person(tx, "op", Role.OPERATOR)
        await tx.execute("UPDATE notifier.users SET email = login || '@example.com'")
    await _pause(database, cause)
    assert await alarm_paused_accounts(database) == notes
