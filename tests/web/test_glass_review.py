"""What one person let out alone is looked at by another: by its page, over the API, and also where it was edited since."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.web.access.keys import create_api_key
from tests.builders import fetch
from tests.web.rooms import (
    ALERT,
    add_contacts,
    add_user,
    alert_fields,
    apply_pack,
    browser,
    form_token,
    log_in,
    running_app,
)

ALONE = "The branch is on fire, nobody is here"
FOUND = "SELECT u.login, r.review_note FROM notifier.releases r JOIN notifier.users u ON u.id = r.reviewed_by"
Desk = tuple[dict[str, httpx.AsyncClient], str]


@pytest.fixture
async def desk(settings: Settings, database: Database) -> AsyncIterator[Desk]:
    """Browsers by login, and the path of an emergency that wang, an approver, wrote and released alone."""
    await apply_pack(database)
    await add_contacts(database, settings)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(running_app(settings, database))
        people: dict[str, httpx.AsyncClient] = {}
        for login, role in {"wang": "approver", "chen": "approver", "lin": "author"}.items():
            await add_user(database, login, role)
            people[login] = await stack.enter_async_context(browser(app))
            await log_in(people[login], login)
        drafted = await people["wang"].post(f"{ALERT}/draft", data=await alert_fields(people["wang"]))
        path = drafted.headers["location"].removesuffix("/review")
        await _act(people["wang"], path, "submit")
        page = (await people["wang"].get(f"{path}/review")).text
        seen = page.partition('name="hash" value="')[2].partition('"')[0]
        released = await _act(people["wang"], path, "release", hash=seen, break_glass=ALONE)
        assert released.headers["location"] == path
        yield people, path


async def _act(client: httpx.AsyncClient, path: str, act: str, **fields: str) -> httpx.Response:
    return await client.post(f"{path}/{act}", data={"form_token": await form_token(client), **fields})


async def test_another_approver_writes_down_what_they_found(desk: Desk, database: Database) -> None:
    people, path = desk
    assert f'action="{path}/reviewed"' in (await people["chen"].get(f"{path}/review")).text
    answer = await _act(people["chen"], path, "reviewed", note="right and in time")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}/review?done=reviewed")
    assert await fetch(database, FOUND) == [("chen", "right and in time")]
    page = (await people["chen"].get(f"{path}/review")).text
    assert "right and in time" in page
    assert "/reviewed" not in page
    assert (await _act(people["chen"], path, "reviewed", note="again")).status_code == 409


@pytest.mark.parametrize("login", ["wang", "lin"])
async def test_who_released_it_or_approves_nothing_reviews_nothing(desk: Desk, database: Database, login: str) -> None:
    people, path = desk
    assert "/reviewed" not in (await people[login].get(f"{path}/review")).text
    assert (await _act(people[login], path, "reviewed", note="all was well")).status_code == 403
    assert await fetch(database, FOUND) == []


async def test_a_review_says_something(desk: Desk, database: Database) -> None:
    people, path = desk
    assert (await _act(people["chen"], path, "reviewed", note="  ")).status_code == 422
    assert await fetch(database, FOUND) == []


async def test_an_edit_does_not_take_it_out_of_review(desk: Desk, database: Database) -> None:
    people, path = desk
    fields = await alert_fields(people["wang"]) | {"start": "at", "at": "2099-01-02T10:00"}
    assert (await people["wang"].post(f"{path}/edit", data=fields)).status_code == 303
    assert f'action="{path}/reviewed"' in (await people["chen"].get(f"{path}/review")).text
    assert (await _act(people["chen"], path, "reviewed", note="it was changed after")).status_code == 303
    assert await fetch(database, FOUND) == [("chen", "it was changed after")]


async def test_a_key_of_another_approver_reviews_too(desk: Desk, database: Database) -> None:
    people, path = desk
    codes = []
    for login in ("wang", "chen"):
        async with database.transaction() as tx:
            key = await create_api_key(tx, name=login, scopes=("read", "release"), by="test", login=login)
        given = {"authorization": f"Bearer {key}"}
        answer = await people["lin"].post(f"/api/v1{path}/reviewed", headers=given, json={"note": "well done"})
        codes.append(answer.status_code)
    assert codes == [403, 200]
    assert await fetch(database, FOUND) == [("chen", "well done")]
