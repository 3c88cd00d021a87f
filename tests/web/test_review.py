"""The page of a run about to go out: it shows everything, and lets out exactly what it showed."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.views import contacts
from tests.builders import execute, fetch
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


@asynccontextmanager
async def _desk(settings: Settings, database: Database, **people: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Browsers of these people, logged in; login → role."""
    await apply_pack(database)
    await add_contacts(database, settings)
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(running_app(settings, database))
        clients = []
        for login, role in people.items():
            await add_user(database, login, role)
            client = await stack.enter_async_context(browser(app))
            await log_in(client, login)
            clients.append(client)
        yield clients


async def _draft(client: httpx.AsyncClient, **more: str) -> str:
    """The path of a run just drafted."""
    answer = await client.post(f"{ALERT}/draft", data=await alert_fields(client) | more)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removesuffix("/review")


async def _act(client: httpx.AsyncClient, path: str, act: str, **fields: str) -> httpx.Response:
    return await client.post(f"{path}/{act}", data={"form_token": await form_token(client), **fields})


async def _shown(client: httpx.AsyncClient, path: str) -> dict[str, str]:
    """The hidden fields of the release form."""
    page = (await client.get(f"{path}/review")).text
    found = dict(re.findall(r'name="(hash|seen)" value="([^"]*)"', page))
    return {name: value.replace("&#34;", '"') for name, value in found.items()}


async def _state(database: Database) -> str:
    ((state,),) = await fetch(database, "SELECT state FROM notifier.runs")
    return str(state)


async def test_the_page_shows_texts_counts_and_cost(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        path = await _draft(author)
        page = await author.get(f"{path}/review")
        assert page.status_code == 200
        for part in (
            "Contacts meant",
            "Jing&#39;an branch",
            "【江畔银行】",
            "as soon as it is released",
            "CN¥",
            "Submit",
        ):
            assert part in page.text, part
        assert await _state(database) == "draft"
        (frame,) = re.findall(r'<iframe[^>]* src="([^"]+)"', page.text)[:1]
        mail = await author.get(frame.replace("&amp;", "&"))
        assert "sandbox" in mail.headers["content-security-policy"]
        assert "<html" in mail.text


async def test_an_author_submits_and_a_colleague_releases(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver") as (author, approver):
        path = await _draft(author)
        assert (await _act(author, path, "submit")).headers["location"] == f"{path}/review?done=submitted"
        waiting = (await author.get(f"{path}/review")).text
        assert "Your role does not release runs." in waiting
        assert ("Go to the decision" in waiting, "See where it stands" in waiting) == (False, True)
        assert "Go to the decision" in (await approver.get(f"{path}/review")).text
        assert 'action="' + path + '/release"' in waiting  # an emergency can be released alone, with a reason
        refused = await _act(author, path, "release", **await _shown(author, path))
        assert refused.status_code == 403
        assert await _state(database) == "submitted"
        released = await _act(approver, path, "release", **await _shown(approver, path))
        assert (released.status_code, released.headers["location"]) == (303, path)
        assert await _state(database) == "scheduled"
        assert "Released by Wang" in (await author.get(f"{path}/review")).text


async def test_a_run_that_began_is_not_told_as_still_to_come(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver") as (author, approver):
        path = await _draft(author)
        await _act(author, path, "submit")
        await _act(approver, path, "release", **await _shown(approver, path))
        before = (await author.get(f"{path}/review")).text
        assert ("All that will happen" in before, "will go out" in before) == (True, True)
        await execute(database, "UPDATE notifier.runs SET state = 'running'")
        during = (await author.get(f"{path}/review")).text
        assert ("All that will happen" in during, "will go out" in during) == (False, False)
        assert "What was released" in during


async def test_lists_are_offered_with_their_members_up_to_a_bound(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "_COUNTED_AT_MOST", 2)
    async with _desk(settings, database, lin="author") as (author,):
        await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'few'), (1, 'many')")
        await execute(
            database,
            """
            INSERT INTO notifier.list_members SELECT l.id, c.id FROM notifier.lists l, notifier.contacts c
            WHERE l.key = 'many' OR c.external_id = 'c0'
            """,
        )
        page = (await author.get(ALERT)).text
    assert "few (1 contact)" in page
    assert "many (more than 2 contacts)" in page


async def test_a_second_click_on_release_tells_the_first_one_worked(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver", chen="approver") as (author, wang, chen):
        path = await _draft(author)
        await _act(author, path, "submit")
        seen = await _shown(wang, path)
        for answer in [await _act(wang, path, "release", **seen) for _ in range(2)]:
            assert (answer.status_code, answer.headers["location"]) == (303, path)
        assert (await _act(chen, path, "release", **seen)).status_code == 409  # it was not they who released it
        assert (await _act(wang, path, "release", hash="00")).status_code == 409
        assert await fetch(database, "SELECT count(*) FROM notifier.releases") == [(1,)]


async def test_an_approver_does_not_release_their_own(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, wang="approver") as (approver,):
        path = await _draft(approver)
        await _act(approver, path, "submit")
        assert "another person has to release it" in (await approver.get(f"{path}/review")).text
        assert (await _act(approver, path, "release", **await _shown(approver, path))).status_code == 403


async def test_what_changed_since_is_shown_and_nothing_goes_out(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver") as (author, approver):
        path = await _draft(author)
        await _act(author, path, "submit")
        seen = await _shown(approver, path)
        await add_contacts(database, settings, 5)
        answer = await _act(approver, path, "release", **seen)
        assert answer.status_code == 409
        assert "Nothing was done." in answer.text
        assert "Contacts meant: 3 before, 5 now." in answer.text
        assert await _state(database) == "submitted"
        assert (await _act(approver, path, "release", hash="nonsense", seen="{")).status_code == 409


async def test_a_return_needs_a_reason_and_shows_it(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver") as (author, approver):
        path = await _draft(author)
        await _act(author, path, "submit")
        assert (await _act(approver, path, "return", reason=" ")).status_code == 422
        await _act(approver, path, "return", reason="The branch is wrong")
        assert await _state(database) == "draft"
        assert "The branch is wrong" in (await author.get(f"{path}/review")).text


async def test_an_edit_voids_the_release_and_says_so_before(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", wang="approver") as (author, approver):
        path = await _draft(author, start="at", at="2099-01-01T10:00")
        await _act(author, path, "submit")
        await _act(approver, path, "release", **await _shown(approver, path))
        form = (await author.get(f"{path}/edit")).text
        assert "takes the release back" in form
        assert 'value="2099-01-01T10:00"' in form
        fields = await alert_fields(author) | {"start": "at", "at": "2099-01-02T10:00", "input.reopens.en": "Monday"}
        assert (await author.post(f"{path}/edit", data=fields)).status_code == 303
        assert await _state(database) == "draft"
        page = (await author.get(f"{path}/review")).text
        assert "Monday" in page
        assert "2 Jan 2099, 10:00" in page
        wrong = await author.post(f"{path}/edit", data=fields | {"at": "tomorrow"})
        assert wrong.status_code == 422
        assert "Choose a day and a time" in wrong.text


async def test_an_emergency_can_be_released_alone_with_a_reason(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        path = await _draft(author)
        await _act(author, path, "submit")
        seen = await _shown(author, path)
        assert (await _act(author, path, "release", **seen, break_glass="fire")).status_code == 422
        answer = await _act(author, path, "release", **seen, break_glass="The branch is on fire, nobody is here")
        assert answer.status_code == 303
        assert "The branch is on fire" in (await author.get(f"{path}/review")).text


async def test_an_exercise_needs_no_second_person(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        path = await _draft(author, drill="1")
        page = (await author.get(f"{path}/review")).text
        assert "This is an exercise" in page
        assert "【演练】" in page
        await _act(author, path, "submit")
        assert (await _act(author, path, "release", **await _shown(author, path))).status_code == 303


async def test_a_viewer_sees_all_and_may_nothing(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author", zhao="viewer") as (author, viewer):
        path = await _draft(author)
        await _act(author, path, "submit")
        page = await viewer.get(f"{path}/review")
        assert page.status_code == 200
        assert f'action="{path}/' not in page.text
        for act in ("submit", "release", "return", "edit"):
            assert (await _act(viewer, path, act)).status_code == 403


async def test_a_correction_offers_the_runs_that_reached_somebody(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        page = (await author.get("/campaigns/correction-and-all-clear")).text
        assert "No run has reached anybody yet" in page
        assert '<option value="all-clear">All-clear</option>' in page


@pytest.mark.parametrize("key", ["monthly-satisfaction", "measures-notice", "financial-tips", "lecture"])
async def test_every_campaign_of_the_pack_can_be_reviewed(settings: Settings, database: Database, key: str) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        form = (await author.get(f"/campaigns/{key}?example=1")).text
        fields = {"form_token": await form_token(author), "start": "now"}
        fields |= dict(re.findall(r'name="(input\.[^"]+)"[^>]*value="([^"]*)"', form))
        for name, text in re.findall(r'<textarea name="(input\.[^"]+)"[^>]*>([^<]*)<', form):
            fields[name] = text
        fields = {name: value.replace("&#39;", "'") for name, value in fields.items()}
        answer = await author.post(f"/campaigns/{key}/draft", data=fields)
        assert answer.status_code == 303, re.findall(r"wrong-why[^<]*", answer.text)
        page = await author.get(answer.headers["location"])
        assert page.status_code == 200
        assert "cannot be made" not in page.text
        if key == "monthly-satisfaction":
            assert "chance of a clear verdict" in page.text


async def test_a_strange_run_is_not_there(settings: Settings, database: Database) -> None:
    async with _desk(settings, database, lin="author") as (author,):
        assert (await author.get("/runs/1/review")).status_code == 404
        assert (await author.get("/runs/1/edit")).status_code == 404
