"""Pages of people: one's own profile, users, keys, the audit trail; who may open them and what they do."""

import ast
import csv
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from notifier.domain.person import Role
from notifier.settings import Settings
from notifier.store import access
from notifier.store.database import Database
from notifier.web.console.audit import subject_href
from notifier.web.console.catalogues import LOCALES, load_catalogue
from tests.builders import execute, fetch
from tests.web.rooms import PASSWORD, add_user, apply_pack, browser, form_token, key_headers, log_in, running_app

CODE = Path(__file__).parents[2] / "notifier"
ALL_ROLES = frozenset(role.value for role in Role)
MAY_OPEN = {
    "/me": ALL_ROLES,
    "/users": {"admin"},
    "/users/lin": {"admin"},
    "/keys": {"admin"},
    "/audit": {"auditor", "approver", "admin"},
    "/audit.csv": {"auditor", "approver", "admin"},
}


@asynccontextmanager
async def as_role(
    database: Database, settings: Settings, role: str, login: str = "lin"
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of this role, logged in."""
    await add_user(database, login, role)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, login)
        yield client


async def send(client: httpx.AsyncClient, path: str, **fields: object) -> httpx.Response:
    """A form of our own page."""
    return await client.post(path, data={"form_token": await form_token(client, "/me"), **fields})


@pytest.mark.parametrize("role", sorted(ALL_ROLES))
async def test_a_page_opens_to_the_roles_it_is_for(database: Database, settings: Settings, role: str) -> None:
    async with as_role(database, settings, role) as client:
        opened = {path for path in MAY_OPEN if (await client.get(path)).status_code == 200}
    assert opened == {path for path, roles in MAY_OPEN.items() if role in roles}


@pytest.mark.parametrize(
    "path",
    [
        "/users",
        "/users/lin",
        "/users/lin/role",
        "/users/lin/disable",
        "/users/lin/enable",
        "/users/lin/password",
        "/keys",
        "/keys/1/revoke",
    ],
)
async def test_only_an_admin_changes_users_and_keys(database: Database, settings: Settings, path: str) -> None:
    async with as_role(database, settings, "approver") as client:
        answer = await send(client, path, role="admin", login="new", name="x", scope="read", locale="en")
        assert answer.status_code == 403
        assert "Ask an admin" in answer.text
    assert await fetch(database, "SELECT login, role, disabled_at FROM notifier.users") == [("lin", "approver", None)]
    assert await fetch(database, "SELECT id FROM notifier.api_keys") == []


@pytest.mark.parametrize("path", ["/me", "/me/password", "/me/sessions/end", "/users", "/keys"])
async def test_a_form_of_another_site_changes_nothing(database: Database, settings: Settings, path: str) -> None:
    async with as_role(database, settings, "admin") as client:
        assert (await client.post(path, data={"name": "x", "login": "new"})).status_code == 403
    assert await fetch(database, "SELECT login, name FROM notifier.users") == [("lin", "Lin")]


async def test_a_viewer_changes_their_own_profile(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "viewer") as client:
        answer = await send(
            client, "/me", name="Lin Xiao", locale="zh-CN", email="lin@example.com", phone="+12125550123"
        )
        assert answer.headers["location"] == "/me?done=saved"
        page = (await client.get("/me?done=saved")).text
    assert "个人资料已保存" in page
    assert await fetch(database, "SELECT name, locale, email, phone FROM notifier.users") == [
        ("Lin Xiao", "zh-CN", "lin@example.com", "+12125550123")
    ]


async def test_what_was_typed_wrong_stands_beside_what_to_write(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "viewer") as client:
        answer = await send(client, "/me", name="Lin Xiao", locale="en", email="nowhere", phone="")
    assert answer.status_code == 422
    assert 'value="nowhere"' in answer.text
    assert "Write one such as anna@example.com" in answer.text


async def test_a_password_changes_by_the_present_one_and_others_log_in_anew(
    database: Database, settings: Settings
) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as here, browser(app) as there:
        await log_in(here)
        await log_in(there)
        wrong = await send(here, "/me/password", current="no", password="another long one")
        assert (wrong.status_code, "not your present password" in wrong.text) == (422, True)
        assert (await there.get("/me")).status_code == 200
        assert (await send(here, "/me/password", current=PASSWORD, password="another long one")).status_code == 303
        assert (await here.get("/me")).status_code == 200
        assert (await there.get("/me")).status_code == 303
        there.cookies.clear()
        assert (await log_in(there)).status_code == 401


async def test_a_stolen_session_does_not_guess_the_password_for_long(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "author") as client:
        for _ in range(5):
            assert (await send(client, "/me/password", current="no", password="x" * 9)).status_code == 422
        answer = await send(client, "/me/password", current=PASSWORD, password="another long one")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "900")
    assert await fetch(database, "SELECT 1 FROM notifier.audit WHERE act = 'user.password_changed'") == []


async def test_other_sessions_end_by_a_button(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as here, browser(app) as there:
        await log_in(here)
        assert "Nowhere else" in (await here.get("/me")).text
        await log_in(there)
        assert "Log out everywhere else" in (await here.get("/me")).text
        await send(here, "/me/sessions/end")
        assert (await there.get("/me")).status_code == 303


async def test_a_new_user_logs_in_with_the_password_shown_once(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "admin") as client:
        page = (await send(client, "/users", login="Wang", name="王芳", role="approver", locale="en")).text
        password = re.search(r'<code id="secret">([^<]+)</code>', page)
        assert password is not None
        assert password[1] not in (await client.get("/users")).text
        client.cookies.clear()
        assert (await client.post("/login", data={"login": "wang", "password": password[1]})).status_code == 303
    rows = await fetch(
        database, "SELECT actor, detail FROM notifier.audit WHERE act = 'user.created' AND actor <> 'test'"
    )
    assert rows == [("lin", {"role": "approver"})]


async def test_a_taken_login_and_a_wrong_one_are_told_apart(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "admin") as client:
        taken = await send(client, "/users", login="lin", role="author", locale="en")
        wrong = await send(client, "/users", login="a b", role="author", locale="en")
    assert (taken.status_code, "already a user with this login" in taken.text) == (409, True)
    assert (wrong.status_code, "2 to 64 small letters" in wrong.text) == (422, True)


async def test_an_admin_changes_everything_about_a_user(database: Database, settings: Settings) -> None:
    await add_user(database, "wang")
    async with as_role(database, settings, "admin") as client:
        answers = [
            await send(client, "/users/wang", name="王芳", locale="zh-CN", email="wang@example.com"),
            await send(client, "/users/wang/role", role="operator"),
            await send(client, "/users/wang/disable"),
        ]
        assert [answer.headers["location"] for answer in answers] == [
            "/users/wang?done=saved",
            "/users/wang?done=role",
            "/users/wang?done=disabled",
        ]
        assert "may no longer log in" in (await client.get("/users/wang?done=disabled")).text
        assert (await send(client, "/users/wang/enable")).status_code == 303
        assert "shown this once" in (await send(client, "/users/wang/password")).text
    rows = await fetch(database, "SELECT name, role, email, disabled_at FROM notifier.users WHERE login = 'wang'")
    assert rows == [("王芳", "operator", "wang@example.com", None)]


@pytest.mark.parametrize("path", ["role", "disable"])
async def test_the_last_admin_is_told_why_they_stay(database: Database, settings: Settings, path: str) -> None:
    async with as_role(database, settings, "admin") as client:
        answer = await send(client, f"/users/lin/{path}", role="author")
    assert (answer.status_code, "This is the last admin" in answer.text) == (409, True)


async def test_nobody_unknown_has_a_page(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "admin") as client:
        assert (await client.get("/users/nobody")).status_code == 404
        assert (await send(client, "/users/nobody/disable")).status_code == 404
        assert (await send(client, "/keys/7/revoke")).status_code == 404


async def test_a_key_is_shown_once_opens_and_is_revoked(database: Database, settings: Settings) -> None:
    async with as_role(database, settings, "admin") as client:
        page = await send(client, "/keys", name="core", login="lin", days="30", scope=["read", "release"])
        token = re.search(r"nk_1_[\w-]+", page.text)
        assert token is not None
        listed = (await client.get("/keys")).text
        assert (token[0] in listed, "core" in listed) == (False, True)
        headers = {"authorization": f"Bearer {token[0]}"}
        assert (await client.get("/api/v1/runs", headers=headers)).status_code == 200
        await send(client, "/keys/1/revoke")
        assert (await client.get("/api/v1/runs", headers=headers)).status_code == 401
        assert "revoked" in (await client.get("/keys")).text


async def test_a_key_may_not_be_more_than_its_user(database: Database, settings: Settings) -> None:
    await add_user(database, "wang")
    async with as_role(database, settings, "admin") as client:
        answer = await send(client, "/keys", name="core", login="wang", days="0", scope=["read", "release"])
    assert (answer.status_code, "Only a key of an approver or admin may release" in answer.text) == (422, True)
    assert 'value="core"' in answer.text


async def _write(database: Database, *acts: tuple[str, str, str]) -> None:
    async with database.transaction() as tx:
        for actor, act, subject in acts:
            await access.add_audit(tx, 1, actor=actor, act=act, subject=subject, detail={})


async def test_the_trail_says_who_did_what_in_both_languages(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await key_headers(database)
    await _write(
        database,
        ("lin", "run.stop", "run:202603000001"),
        ("api-key:1", "run.cancel", "run:202603000001"),
        ("schedule", "run.made", "run:202603000002"),
        ("cli:root", "something.new", "thing:1"),
    )
    async with as_role(database, settings, "auditor") as client:
        page = (await client.get("/audit")).text
        for words in ("stopped the run", "core banking", "Schedule", "root, command line", "something.new"):
            assert words in page
        assert 'href="/runs/202603000001"' in page
        client.cookies.set("notifier_language", "zh-CN")
        assert "停止了执行" in (await client.get("/audit")).text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=lin", {"run.stop", "user.changed"}),
        ("act=run", {"run.stop", "run.cancel"}),
        ("act=run.stop", {"run.stop"}),
        ("subject=run:1", {"run.stop", "run.cancel"}),
        ("since=2030-06-12&until=2030-06-12", {"run.cancel"}),
        ("until=2030-06-11", {"run.stop"}),
        ("actor=nobody", set()),
        ("since=2030-13-45", {"run.stop", "run.cancel", "user.changed"}),
    ],
)
async def test_the_trail_is_filtered(database: Database, settings: Settings, query: str, found: set[str]) -> None:
    await _write(
        database, ("lin", "run.stop", "run:1"), ("chen", "run.cancel", "run:1"), ("lin", "user.changed", "user:x")
    )
    for act, at in (
        ("run.stop", "2030-06-11 15:59Z"),
        ("run.cancel", "2030-06-11 16:01Z"),
        ("user.changed", "2030-06-12 16:00Z"),
    ):
        await execute(database, f"UPDATE notifier.audit SET at = '{at}' WHERE act = '{act}'")
    async with as_role(database, settings, "auditor", "zhao") as client:
        rows = list(csv.reader(io.StringIO((await client.get(f"/audit.csv?{query}")).text.lstrip("\ufeff"))))
    assert {row[3] for row in rows[1:]} - {"user.created", "user.logged_in"} == found


async def test_the_trail_has_pages_and_its_file_everything(database: Database, settings: Settings) -> None:
    await _write(database, *(("lin", "run.stop", f"run:{number}") for number in range(120)))
    async with as_role(database, settings, "auditor", "zhao") as client:
        seen: list[str] = []
        path: str | None = "/audit?act=run"
        while path:
            page = (await client.get(path)).text
            seen += re.findall(r'href="/runs/(\d+)"', page)
            older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page)
            path = older[1].replace("&amp;", "&") if older else None
        file = (await client.get("/audit.csv?act=run")).text
    assert seen == [str(number) for number in reversed(range(120))]
    assert len(file.splitlines()) == 121


async def test_a_cell_of_the_file_is_never_a_formula(database: Database, settings: Settings) -> None:
    await _write(database, ("=1+1", "run.stop", "run:1"))
    async with as_role(database, settings, "auditor", "zhao") as client:
        assert "'=1+1" in (await client.get("/audit.csv?act=run")).text


@pytest.mark.parametrize(
    ("subject", "href"),
    [
        ("run:202603000001", "/runs/202603000001"),
        ("message:202603000001/7", "/messages/202603000001/7"),
        ("contact:a/b", "/contacts?q=a%2Fb"),
        ("template:hello", "/templates/hello"),
        ("user:lin", "/users/lin"),
        ("demo", ""),
        ("unknown:1", ""),
    ],
)
def test_a_subject_leads_to_its_page(subject: str, href: str) -> None:
    assert subject_href(subject) == href


def _acts_of_the_code() -> set[str]:
    """Every text that looks like an act of a kind the trail knows; files and fields of templates look like it too."""
    known = [message.removeprefix("kind ") for message in load_catalogue("en") if message.startswith("kind ")]
    pattern = re.compile(rf"(?:{'|'.join(known)})\.(?!html$|yaml$|po$|txt$|csv$)[a-z][a-z_-]*[a-z]")
    found: set[str] = set()
    for path in CODE.rglob("*.py"):
        constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
        found |= {value for value in constants if isinstance(value, str) and pattern.fullmatch(value)}
    return found - {"contact.name", "contact.attributes"}


def test_every_act_the_code_writes_has_words() -> None:
    assert sorted(act for act in _acts_of_the_code() if f"act {act}" not in load_catalogue("en")) == []


@pytest.mark.parametrize("locale", LOCALES)
def test_every_act_and_kind_of_the_trail_has_words(locale: str) -> None:
    acts = [message.removeprefix("act ") for message in load_catalogue("en") if message.startswith("act ")]
    wanted = {f"act {act}" for act in acts} | {f"kind {act.partition('.')[0]}" for act in acts}
    assert sorted(wanted - set(load_catalogue(locale))) == []


async def test_language_of_the_login_page_lasts_for_the_session_only(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        chosen = await client.post("/language", data={"locale": "zh-CN", "next": "/login"})
        assert "Max-Age" not in chosen.headers["set-cookie"]
        await log_in(client)
        assert "个人资料" in (await client.get("/me")).text
        assert await fetch(database, "SELECT locale FROM notifier.users") == [("en",)]
        await client.post("/logout", data={"form_token": await form_token(client, "/me")})
        await log_in(client)
        assert "My profile" in (await client.get("/me")).text


async def test_refused_for_too_many_attempts_says_when_to_come_back(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        answers = [await client.post("/login", data={"login": "nobody", "password": "x"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[-1].headers["retry-after"] == "900"


async def test_one_login_is_not_guessed_from_many_addresses(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app:

        async def attempt(number: int, password: str) -> int:
            transport = httpx.ASGITransport(app, client=(f"192.0.2.{number}", 1))
            async with httpx.AsyncClient(transport=transport, base_url=settings.public_url) as client:
                return (await client.post("/login", data={"login": "lin", "password": password})).status_code

        assert [await attempt(number, "wrong one") for number in range(20)] == [401] * 20
        assert await attempt(99, PASSWORD) == 429
