"""A paused account at the console: why, since when, and a button to try it at once."""

import httpx

from notifier.store.database import Database
from notifier.store.paused_accounts import pause_account
from tests.builders import fetch
from tests.web.rooms import form_token


async def test_a_paused_account_needs_somebody_who_can_try_it_at_once(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    async with database.transaction() as tx:
        await pause_account(tx, 1, "sms", cause="sender", reason="log-in refused", code="20003")
    page = (await visitor.get("/")).text
    assert "Bank SMS: account in trouble" in page
    assert "Try again now" in page
    answer = await visitor.post("/accounts/sms/try", data={"form_token": await form_token(visitor)})
    assert answer.status_code == 303
    assert await fetch(database, "SELECT probe_at <= now() FROM notifier.paused_accounts") == [(True,)]
    audit = await fetch(database, "SELECT act, subject FROM notifier.audit WHERE act LIKE 'account.%' ORDER BY id")
    assert audit == [("account.paused", "account:sms"), ("account.tried", "account:sms")]
