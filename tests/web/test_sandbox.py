"""The sandbox as its visitors see it: who got what, through which account, and why."""

from datetime import timedelta

import httpx

from notifier.delivery.notes import note_token
from notifier.domain.keys import derive_keys
from notifier.domain.links import message_token
from notifier.domain.message import MessageId, RunId
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.sandbox import Kept, keep_items
from tests.builders import execute, fetch
from tests.web.rooms import key_headers


async def _keep(database: Database, *found: tuple[str, str, str, str]) -> None:
    """(account, channel, public id, recipient) each, in this order."""
    async with database.transaction() as tx:
        for account, channel, public_id, recipient in found:
            content = {"subject": f"About {public_id}", "html": "<p>Hello</p>", "text": f"Text {public_id}", "parts": 2}
            item = Kept(
                team_id=1,
                account=account,
                channel=channel,
                public_id=public_id,
                recipient=recipient,
                sender="notices@riverside-bank.example",
                headline=f"About {public_id}",
                content=content,
                fate="none",
                delay_s=timedelta(0).total_seconds(),
            )
            await keep_items(tx, [item])


async def test_a_known_number_has_its_contacts_name(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, ("sms", "sms", "m.1", "+12125550101"), ("sms", "sms", "m.2", "+12125550199"))
    phone = (await visitor.get("/sandbox/phone", params={"to": "+12125550101"})).text
    assert "Contact 1" in phone
    assert phone.count("+12125550199") == 1, "nobody's number stands alone"
    assert "2 SMS parts" in phone


async def test_receivers_are_found_by_part_of_their_address(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, ("a", "email", "m.1", "c0@example.com"), ("a", "email", "m.2", "else@example.com"))
    found = (await visitor.get("/sandbox/mailbox", params={"find": "C0@"})).text
    assert ("c0@example.com" in found, "else@example.com" in found) == (True, False)
    assert "Nobody here" in (await visitor.get("/sandbox/mailbox", params={"find": "nobody"})).text


async def test_an_account_shows_what_went_through_it(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, ("fast", "email", "m.1", "c0@example.com"), ("slow", "email", "m.2", "c0@example.com"))
    page = (await visitor.get("/sandbox/mailbox", params={"account": "slow"})).text
    assert ("Text m.2" in page, "About m.1" in page) == (True, False)
    assert "<option selected>slow</option>" in page
    wall = [("x", "social", "m.3", "x"), ("y", "social", "m.4", "y")]
    await _keep(database, *wall)
    page = (await visitor.get("/sandbox/wall", params={"account": "y"})).text
    assert ("Text m.4" in page, "Text m.3" in page) == (True, False)


async def test_a_mail_is_shown_as_text_and_with_its_headers(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, ("a", "email", "m.1.tag", "c0@example.com"))
    page = (await visitor.get("/sandbox/mailbox")).text
    assert "Text m.1.tag" in page
    assert "&lt;m.1.tag@riverside-bank.example&gt;" in page


async def test_a_test_is_marked_and_a_message_leads_to_its_page(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    links = derive_keys(settings.secret).links
    account = (await fetch(database, "SELECT max(id) FROM notifier.definitions WHERE kind = 'account'"))[0][0]
    await execute(
        database,
        """
        INSERT INTO notifier.notes (team_id, kind, channel, address, content, account_id)
        VALUES (1, 'proof', 'email', 'c0@example.com', '{}', $1)
        """,
        account,
    )
    note = (await fetch(database, "SELECT max(id) FROM notifier.notes"))[0][0]
    token = message_token(links, RunId(202611000001), MessageId(7))
    await _keep(database, ("a", "email", note_token(links, note), "c0@example.com"))
    assert ">proof<" in (await visitor.get("/sandbox/mailbox")).text
    await _keep(database, ("a", "email", token, "c0@example.com"))
    page = (await visitor.get("/sandbox/mailbox")).text
    assert 'href="/messages/202611000001/7"' in page


async def test_what_is_longer_than_a_page_goes_on(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, *[("a", "sms", f"m.{number}", "+12125550101") for number in range(32)])
    page = (await visitor.get("/sandbox/phone")).text
    assert ("Text m.31<" in page, "Text m.1<" in page) == (True, False)
    before = (await fetch(database, "SELECT id FROM notifier.sandbox_items WHERE public_id = 'm.2'"))[0][0]
    assert f"before={before}" in page
    page = (await visitor.get("/sandbox/phone", params={"to": "+12125550101", "before": before})).text
    assert ("Text m.1<" in page, "Text m.31<" in page) == (True, False)


async def test_the_api_lists_what_the_page_shows(visitor: httpx.AsyncClient, database: Database) -> None:
    await _keep(database, ("a", "sms", "m.1", "+12125550101"), ("a", "sms", "m.2", "+12125550102"))
    headers = await key_headers(database, "read")
    params: dict[str, str | int] = {"channel": "sms", "limit": 1}
    first = (await visitor.get("/api/v1/sandbox/items", params=params, headers=headers)).json()
    assert [one["text"] for one in first["items"]] == ["Text m.2"]
    params["cursor"] = first["next_cursor"]
    second = (await visitor.get("/api/v1/sandbox/items", params=params, headers=headers)).json()
    assert ([one["recipient"] for one in second["items"]], second["next_cursor"]) == (["+12125550101"], None)
    assert (await visitor.get("/api/v1/sandbox/items", params={"channel": "fax"}, headers=headers)).status_code == 422
