"""Contacts at the console: found, imported, told whole, and changed by those who may."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from notifier.domain.keys import derive_keys
from notifier.planning.contact_import.work import read_waiting_imports
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, fetch, suppress
from tests.web.rooms import add_user, apply_pack, browser, form_token, launch_alert, log_in, running_app

PEOPLE = "客户号,姓名,email,city\nA,王芳,a@example.com,Shanghai\nB,<b>李雷</b>,wrong,Suzhou\n"


async def send(client: httpx.AsyncClient, data: str | bytes = PEOPLE, name: str = "people.csv") -> httpx.Response:
    """The form with a file."""
    content = data if isinstance(data, bytes) else data.encode()
    fields = {"form_token": await form_token(client, "/contacts/import")}
    return await client.post("/contacts/import", data=fields, files={"file": (name, content, "text/csv")})


async def uploaded(client: httpx.AsyncClient, data: str | bytes = PEOPLE) -> str:
    """The address of an import that waits for its start."""
    answer = await send(client, data)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def read(database: Database, settings: Settings) -> None:
    """What a worker does."""
    await read_waiting_imports(database, address_hash_key=derive_keys(settings.secret).addresses)


async def start(client: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Send the preview's form as it stands, with these fields changed."""
    page = (await client.get(path)).text
    columns = dict(re.findall(r'<select name="(column\.\d+)".*?<option value="([^"]*)" selected>', page, re.DOTALL))
    given = {"form_token": await form_token(client, path), "consent_source": "import", **columns, **fields}
    return await client.post(f"{path}/start", data=given)


async def contact_id(database: Database, external_id: str) -> int:
    found: int = (await fetch(database, "SELECT id FROM notifier.contacts WHERE external_id = $1", external_id))[0][0]
    return found


async def test_import_through_the_pages_from_file_to_errors(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    path = await uploaded(visitor)
    preview = (await visitor.get(path)).text
    for shown in ("people.csv", "姓名", "a@example.com", "Import 2 rows", "1 of these 2 rows would be rejected"):
        assert shown in preview
    assert "<b>李雷</b>" not in preview
    assert (await fetch(database, "SELECT count(*)::int FROM notifier.contacts WHERE external_id = 'A'")) == [(0,)]
    assert (await start(visitor, path, list_key="guests", kind="employee")).status_code == 303
    assert "waits for a worker" in (await visitor.get(path)).text
    await read(database, settings)
    page = (await visitor.get(path)).text
    assert "1 rows were not taken" in page
    assert "hx-trigger" not in page
    errors = await visitor.get(f"{path}/errors.csv")
    assert "attachment" in errors.headers["content-disposition"]
    assert b"email" in errors.content
    assert "王芳" in (await visitor.get("/contacts", params={"list_key": "guests"})).text
    assert "people.csv" in (await visitor.get("/contacts/import")).text
    assert await fetch(database, "SELECT kind FROM notifier.contacts WHERE external_id = 'A'") == [("employee",)]


async def test_a_changed_mapping_stays_and_shows_what_it_makes(visitor: httpx.AsyncClient) -> None:
    path = await uploaded(visitor, "nr,who\n7,Bob\n")
    assert "no column says who" in (await visitor.get(path)).text
    fields = {
        "form_token": await form_token(visitor, path),
        "column.0": "external_id",
        "column.1": "name",
        "consent_source": "import",
    }
    assert (await visitor.post(f"{path}/options", data=fields)).status_code == 303
    page = (await visitor.get(path)).text
    assert "no column says who" not in page
    assert "Import 1 row" in page
    assert re.search(r'<option value="name" selected>', page)


async def test_options_that_cannot_be_are_told_at_their_field(visitor: httpx.AsyncClient) -> None:
    path = await uploaded(visitor)
    answer = await start(visitor, path, zone="Asia/Atlantis")
    assert answer.status_code == 422
    assert "no such time zone" in answer.text
    assert 'value="Asia/Atlantis"' in answer.text


async def test_start_sent_twice_starts_once(visitor: httpx.AsyncClient, database: Database, settings: Settings) -> None:
    path = await uploaded(visitor)
    first, second = await start(visitor, path), await start(visitor, path)
    assert (first.status_code, second.status_code) == (303, 303)
    await read(database, settings)
    assert (await start(visitor, path)).status_code == 303
    assert await fetch(database, "SELECT state, read_rows FROM notifier.imports") == [("done", 2)]


async def test_an_import_is_stopped_and_a_file_given_up(visitor: httpx.AsyncClient, database: Database) -> None:
    path = await uploaded(visitor)
    fields = {"form_token": await form_token(visitor, path)}
    assert (await visitor.post(f"{path}/cancel", data=fields)).status_code == 303
    assert "given up" in (await visitor.get(path)).text
    assert (await visitor.post(f"{path}/cancel", data=fields)).status_code == 409
    assert await fetch(database, "SELECT count(*)::int FROM notifier.import_parts") == [(0,)]


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is empty"), (b"\xff\xfea\0", "UTF-16"), (b"id," + b"x" * (10 * 2**20), "longer than"), (b"a,a\n", "two")],
    ids=["empty", "UTF-16", "10 MB line", "doubled"],
)
async def test_garbage_is_refused_in_words(
    visitor: httpx.AsyncClient, database: Database, data: bytes, said: str
) -> None:
    answer = await send(visitor, data)
    assert answer.status_code == 422
    assert said in answer.text
    assert await fetch(database, "SELECT count(*)::int FROM notifier.imports") == [(0,)]


async def test_a_form_without_its_file_is_refused(visitor: httpx.AsyncClient) -> None:
    fields = {"form_token": await form_token(visitor, "/contacts/import")}
    answer = await visitor.post("/contacts/import", data=fields)
    assert (answer.status_code, "is missing" in answer.text) == (422, True)


async def test_a_file_may_be_longer_than_other_bodies_up_to_the_setting(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database)
    small = settings.model_copy(update={"import_max_mb": 3})
    async with running_app(small, database) as app, browser(app) as client:
        await log_in(client)
        rows = b"id,note\n" + b"".join(b"R%06d,%s\n" % (n, b"x" * 90) for n in range(25_000))
        assert len(rows) > 2**21
        assert (await send(client, rows)).status_code == 303
        answer = await send(client, rows + rows[8:])
        assert (answer.status_code, "larger than 3 MB" in answer.text) in {(422, True), (413, False)}
        assert (await client.post("/contacts", content=b"x" * (2**20 + 1))).status_code == 413


async def test_a_file_of_somebody_unknown_is_not_read(database: Database, settings: Settings) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        raise AssertionError("the body was read")

    async with running_app(settings, database) as app, browser(app) as client:
        for path in ("/contacts/import", "/api/v1/imports"):
            answer = await client.post(
                path, content=endless(), headers={"content-type": "multipart/form-data; boundary=x"}
            )
            assert answer.status_code == 401


async def test_who_only_looks_sees_all_and_changes_nothing(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database, role="author")
    await add_user(database, "vera", role="viewer")
    number = await add_contact(database, settings, "C1")
    async with running_app(settings, database) as app, browser(app) as author, browser(app) as viewer:
        await log_in(author)
        await log_in(viewer, "vera")
        path = await uploaded(author)
        token = {"form_token": await form_token(viewer)}
        for page in ("/contacts", "/contacts/import", "/contacts/lists", path, f"/contacts/{number}"):
            assert (await viewer.get(page)).status_code == 200
        acts = [
            "/contacts/import",
            *(f"{path}/{act}" for act in ("options", "start", "cancel")),
            *(f"/contacts/{number}/{act}" for act in ("edit", "opt-out", "lift")),
        ]
        for act in acts:
            assert (await viewer.post(act, data=token)).status_code == 403, act
            assert (await author.post(act, data={})).status_code == 403, act


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ("王芳", {"C1"}),
        ("芳", {"C3"}),
        ("王", {"C1"}),
        ("anna li", {"C2"}),
        ("ANNA", {"C2"}),
        ("C2", {"C2"}),
        ("c2@example.com", {"C2"}),
        ("C2@EXAMPLE.com", set()),
        ("(212) 555-0123", set()),
        ("+1 (212) 555-0123", {"C2"}),
        ("c9@example.com", set()),
        ("100%", set()),
    ],
)
async def test_search_finds_names_in_part_and_addresses_whole(
    visitor: httpx.AsyncClient, database: Database, settings: Settings, sought: str, found: set[str]
) -> None:
    await add_contact(database, settings, "C1", name="王芳芳")
    await add_contact(database, settings, "C2", name="Anna Li", email="c2@example.com", phone="+12125550123")
    await add_contact(database, settings, "C3", name="芳草")
    page = (await visitor.get("/contacts", params={"q": sought})).text
    assert {name for name in ("C1", "C2", "C3") if f"<small>{name}</small>" in page} == found


async def test_filters_hold_together_and_pages_go_on(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    for number in range(30):
        await add_contact(database, settings, f"N{number:02}", name="李雷", phone="+12125550170" if number % 2 else "")
    first = (await visitor.get("/contacts", params={"q": "李雷"})).text
    more = re.search(r'href="(/contacts\?[^"]*after=\d+)"', first)
    assert more
    second = (await visitor.get(more[1].replace("&amp;", "&"))).text
    names = [set(re.findall(r"<small>(N\d\d)</small>", page)) for page in (first, second)]
    assert [len(found) for found in names] == [25, 5]
    assert not names[0] & names[1]
    await suppress(database, settings, "N03@example.com", "hard-bounce")
    for wanted in ({"has": "sms"}, {"suppressed": "true"}, {"kind": "customer"}, {"locale": "zh-CN"}):
        assert "N03" in (await visitor.get("/contacts", params={"q": "李雷", **wanted})).text
    for other in ({"kind": "employee"}, {"locale": "fr"}, {"list_key": "none"}, {"locale": "x' OR true --"}):
        assert "N03" not in (await visitor.get("/contacts", params={"q": "李雷", **other})).text
    assert "N02" not in (await visitor.get("/contacts", params={"q": "李雷", "suppressed": "true"})).text


async def test_the_story_tells_consent_messages_and_acts(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await launch_alert(database)
    number = await contact_id(database, "c1")
    page = (await visitor.get(f"/contacts/{number}")).text
    assert "Branch closes at short notice" in page
    fields = {
        "form_token": await form_token(visitor),
        "channel": "email",
        "topic": "",
        "source": "phone",
        "note": "rang at noon",
    }
    answer = await visitor.post(f"/contacts/{number}/opt-out", data=fields)
    assert answer.status_code == 303
    page = (await visitor.get(answer.headers["location"])).text
    for told in ("opted out of e-mail", "rang at noon", "suppressed: opted out", "holds from now on"):
        assert told in page
    assert "Only the contact can take this back" in page
    assert await fetch(
        database, "SELECT actor, detail->>'source' FROM notifier.audit WHERE act = 'contact.opted-out'"
    ) == [("lin", "phone")]


async def test_what_is_no_opt_out_is_told_in_words(visitor: httpx.AsyncClient, database: Database) -> None:
    number = await contact_id(database, "c1")
    token = await form_token(visitor)
    for fields in (
        {"channel": "fax"},
        {"channel": "email", "source": "rumour"},
        {"channel": "social", "source": "phone"},
    ):
        answer = await visitor.post(f"/contacts/{number}/opt-out", data={"form_token": token, **fields})
        assert answer.status_code == 422
    assert await fetch(database, "SELECT count(*)::int FROM notifier.suppressions") == [(0,)]


async def test_only_our_own_blocks_are_lifted(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    number, token = await contact_id(database, "c1"), await form_token(visitor)
    fields = {"form_token": token, "channel": "email", "because": "asked at the branch"}
    for reason, status in (("complaint", 409), ("opt-out", 409), ("erasure", 409)):
        await suppress(database, settings, "c1@example.com", reason)
        assert (await visitor.post(f"/contacts/{number}/lift", data=fields)).status_code == status
        await fetch(database, "DELETE FROM notifier.suppressions RETURNING 1")
    await suppress(database, settings, "c1@example.com", "hard-bounce")
    assert (await visitor.post(f"/contacts/{number}/lift", data={**fields, "because": " "})).status_code == 422
    assert (await visitor.post(f"/contacts/{number}/lift", data=fields)).status_code == 303
    assert await fetch(database, "SELECT count(*)::int FROM notifier.suppressions") == [(0,)]
    assert "asked at the branch" in (await visitor.get(f"/contacts/{number}")).text


async def test_facts_are_corrected_and_the_audit_names_fields_not_values(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    number = await add_contact(database, settings, "C1", attributes={"city": "Bonn", "age": 40})
    path = f"/contacts/{number}/edit"
    seen = re.search(r'name="seen" value="(\w+)"', (await visitor.get(path)).text)
    assert seen
    fields = {
        "form_token": await form_token(visitor),
        "seen": seen[1],
        "kind": "customer",
        "name": "王芳",
        "email": "New@EXAMPLE.com",
        "phone": "13812345678",
        "locale": "en",
        "zone": "",
        "attribute.city": "",
        "attribute.age": "41",
        "new.0.name": "branch",
        "new.0.value": "静安支行",
    }
    for wrong in ({"email": "x"}, {"phone": "1"}, {"zone": "Mars"}, {"new.0.name": "<b>"}, {"new.1.value": "alone"}):
        answer = await visitor.post(path, data={**fields, **wrong})
        assert answer.status_code == 422
        assert "静安支行" in answer.text
    assert (await visitor.post(path, data=fields)).status_code == 303
    page = (await visitor.get(f"/contacts/{number}")).text
    for told in ("New@example.com", "+8613812345678", "静安支行", "attributes.city"):
        assert told in page
    assert "Bonn" not in page
    detail = str((await fetch(database, "SELECT detail FROM notifier.audit WHERE act = 'contact.changed'"))[0][0])
    assert "attributes.city" in detail
    assert "example.com" not in detail
    late = await visitor.post(path, data=fields)  # seen before the change
    assert late.status_code == 409
    assert "meanwhile" in late.text


async def test_another_teams_contact_is_not_there(visitor: httpx.AsyncClient, database: Database) -> None:
    number = await contact_id(database, "c1")
    await fetch(database, "INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING RETURNING 1")
    await fetch(database, "UPDATE notifier.contacts SET team_id = 2 RETURNING 1")
    token = await form_token(visitor)
    assert (await visitor.get(f"/contacts/{number}")).status_code == 404
    assert "Nobody was found" in (await visitor.get("/contacts", params={"q": "c1"})).text
    for act, fields in (
        ("opt-out", {"channel": "email", "source": "phone"}),
        ("lift", {"channel": "email", "because": "x"}),
        ("edit", {"kind": "customer"}),
    ):
        assert (
            await visitor.post(f"/contacts/{number}/{act}", data={"form_token": token, **fields})
        ).status_code == 404


async def test_empty_rooms_say_what_to_do(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        assert "Import a file" in (await client.get("/contacts")).text
        assert "must be complete" in (await client.get("/contacts", params={"q": "nobody"})).text
        assert "Name one when you import" in (await client.get("/contacts/lists")).text
        assert "Nothing was imported yet" in (await client.get("/contacts/import")).text


async def test_pages_speak_chinese(visitor: httpx.AsyncClient, database: Database, tmp_path: Path) -> None:
    path, number = await uploaded(visitor), await contact_id(database, "c1")
    for page in ("/contacts", "/contacts/import", path, f"/contacts/{number}", f"/contacts/{number}/edit"):
        answer = await visitor.get(page, headers={"cookie": "; ".join([*_cookies(visitor), "notifier_language=zh-CN"])})
        assert "联系人" in answer.text
        assert "Contacts" not in answer.text


def _cookies(client: httpx.AsyncClient) -> list[str]:
    return [f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar]


async def test_an_author_makes_no_staff_of_a_customer(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    number = await add_contact(database, settings, "C1")
    path = f"/contacts/{number}/edit"
    seen = re.search(r'name="seen" value="(\w+)"', (await visitor.get(path)).text)
    assert seen
    fields = {"form_token": await form_token(visitor), "seen": seen[1], "kind": "employee", "email": "C1@example.com"}
    answer = await visitor.post(path, data=fields)
    assert answer.status_code == 403
    assert "only an administrator makes customers staff" in answer.text
    assert await fetch(database, "SELECT kind FROM notifier.contacts WHERE id = $1", number) == [("customer",)]
