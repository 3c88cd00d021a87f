"""Accounts: opened once, and one that cannot be opened stands in nobody's way."""

import asyncio
from pathlib import Path

import pytest

from notifier.delivery.accounts import Accounts
from notifier.domain.errors import InputError
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import define, fetch

BROKEN = (
    'account: sms\ntitle: SMS\nchannel: sms\nprovider: twilio\nsender: "+12125550100"\n'
    "settings: {account_sid: AC0123456789abcdef0123456789abcdef}\nsecrets: {auth_token: {env: TEST_NO_SUCH_TOKEN}}\n"
)


async def test_an_account_is_opened_once_however_many_ask(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path)
    ((number,),) = await fetch(database, "SELECT id FROM notifier.definitions WHERE key = 'email'")
    accounts = Accounts(settings, database)
    opened = await asyncio.gather(*(accounts.get(number) for _ in range(5)))
    assert len({id(provider) for _, provider in opened}) == 1
    await accounts.aclose()


async def test_an_account_without_its_secret_is_left_out_and_named_when_asked_for(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await define(database, tmp_path, **{"campaigns/accounts/sms.yaml": BROKEN})
    accounts = Accounts(settings, database)
    assert set(await accounts.latest()) == {"email", "paper", "wall"}
    ((number,),) = await fetch(database, "SELECT id FROM notifier.definitions WHERE key = 'sms'")
    with pytest.raises(InputError, match="TEST_NO_SUCH_TOKEN"):
        await accounts.get(number)
    await accounts.aclose()


async def test_a_retired_account_is_heard_for_a_month(database: Database, settings: Settings, tmp_path: Path) -> None:
    await define(database, tmp_path)
    async with database.transaction() as tx:
        for key, days in (("email", 29), ("wall", 31)):
            await tx.execute(
                "UPDATE notifier.definitions SET retired_at = notifier.now() - $2 * interval '1 day' WHERE key = $1",
                key,
                days,
            )
    accounts = Accounts(settings, database)
    answering = set(await accounts.latest())
    assert ("email" in answering, "wall" in answering) == (True, False)
    await accounts.aclose()
