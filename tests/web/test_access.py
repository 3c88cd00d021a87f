"""Who comes in, who stays out."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from notifier.domain.errors import Conflict, InputError
from notifier.settings import Settings
from notifier.store import access
from notifier.store.attempts import Attempts
from notifier.store.database import Database
from notifier.store.queue import open_redis
from notifier.web.access.keys import create_api_key, find_key
from notifier.web.access.passwords import create_user, verify_password
from notifier.web.access.sessions import hash_token, safe_next
from tests.web.rooms import PASSWORD, add_user, apply_pack, browser, form_token, log_in, running_app

ELSEWHERE = "https://evil.example"


async def test_right_password_opens_and_logout_closes(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.get("/")).headers["location"] == "/login"
        assert (await log_in(client)).status_code == 303
        assert (await client.get("/")).status_code == 200
        token = await form_token(client)
        assert (await client.post("/logout", data={"form_token": token})).status_code == 303
        assert (await client.get("/")).status_code == 303


async def test_cookie_is_pinned_to_the_host_and_out_of_reach_of_scripts(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        cookie = (await log_in(client)).headers["set-cookie"]
    assert cookie.startswith("__Host-notifier=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}


async def test_database_keeps_only_a_hash_of_the_session(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        token = client.cookies["__Host-notifier"]
    assert len(token) >= 43
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT token_hash FROM notifier.sessions") == hash_token(token)


async def test_unknown_login_and_wrong_password_get_the_same_answer(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        wrong = await client.post("/login", data={"login": "lin", "password": "not the password"})
        unknown = await client.post("/login", data={"login": "xyz", "password": "not the password"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text.replace('value="xyz"', 'value="lin"')


async def test_unknown_login_costs_the_same_work() -> None:
    assert not await verify_password(None, "anything")


async def test_sixth_attempt_is_refused_even_with_the_right_password(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        for _ in range(5):
            await client.post("/login", data={"login": "lin", "password": "not the password"})
        assert (await log_in(client)).status_code == 429


async def test_attempts_are_counted_without_redis() -> None:
    attempts = Attempts(open_redis("redis://127.0.0.1:1"))
    assert [await attempts.count("a", within_s=60) for _ in range(3)] == [1, 2, 3]
    await attempts.forget("a")
    assert await attempts.count("a", within_s=60) == 1
    assert not await attempts.is_reachable()


async def test_disabled_user_is_out_at_once(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        async with database.transaction() as tx:
            await tx.execute("UPDATE notifier.users SET disabled_at = now()")
        assert (await client.get("/")).status_code == 303
        assert (await log_in(client)).status_code == 401


async def test_session_ends_by_itself(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        async with database.transaction() as tx:
            await tx.execute("UPDATE notifier.sessions SET expires_at = now() - interval '1 second'")
        assert (await client.get("/")).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": ELSEWHERE}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}], ids=str
)
async def test_form_from_elsewhere_is_refused(database: Database, settings: Settings, headers: dict[str, str]) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        token = await form_token(client)
        assert (await client.post("/logout", data={"form_token": token}, headers=headers)).status_code == 403
        assert (await client.get("/")).status_code == 200


async def test_form_without_the_sessions_token_is_refused(database: Database, settings: Settings) -> None:
    await add_user(database)
    await add_user(database, "chen")
    async with running_app(settings, database) as app, browser(app) as mine, browser(app) as other:
        await log_in(mine)
        await log_in(other, "chen")
        assert (await mine.post("/logout")).status_code == 403
        foreign = await form_token(other)
        assert (await mine.post("/logout", data={"form_token": foreign})).status_code == 403


async def test_viewer_may_look_but_not_draft(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database, role="viewer")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        assert (await client.get("/campaigns/branch-closure-alert")).status_code == 200
        token = await form_token(client)
        answer = await client.post("/campaigns/branch-closure-alert/draft", data={"form_token": token})
        assert answer.status_code == 403
        assert "may look at this but not change it" in answer.text


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", ""])
def test_login_leads_nowhere_but_here(target: str) -> None:
    assert safe_next(target) == "/"


def test_login_leads_back_to_the_page_that_was_wanted() -> None:
    assert safe_next("/runs/7?state=failed") == "/runs/7?state=failed"


async def test_every_answer_carries_the_security_headers(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        for path in ("/login", "/nothing-here", "/assets/console.css", "/api/v1/runs"):
            headers = (await client.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" in headers


async def test_asset_is_kept_for_a_year_only_under_its_own_hash(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:
        page = (await client.get("/login")).text
        url = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        assert "immutable" in (await client.get(url)).headers["cache-control"]
        assert "immutable" not in (await client.get("/assets/console.css?v=other")).headers["cache-control"]
        assert (await client.get("/assets/../app.py")).status_code == 404
        assert (await client.get("/assets/%2e%2e/app.py")).status_code == 404


@pytest.mark.parametrize(
    ("field", "login", "password", "role"),
    [("login", "a b", PASSWORD, "author"), ("password", "lin", "short", "author"), ("role", "lin", PASSWORD, "king")],
)
async def test_wrong_user_is_refused_with_the_field(
    database: Database, field: str, login: str, password: str, role: str
) -> None:
    async with database.transaction() as tx:
        with pytest.raises(InputError) as error:
            await create_user(tx, login=login, password=password, name="", by="test", role=role)
    assert error.value.field == field


async def test_login_is_taken_once(database: Database) -> None:
    await add_user(database)
    with pytest.raises(Conflict):
        await add_user(database)


async def test_key_opens_until_it_is_revoked_or_expires(database: Database) -> None:
    async with database.transaction() as tx:
        token = await create_api_key(tx, name="a", scopes=["read"], by="test")
        late = await create_api_key(
            tx, name="b", scopes=["read"], by="test", expires_at=datetime.now(UTC) - timedelta(seconds=1)
        )
        key = await find_key(tx, token)
        assert key is not None
        assert key.scopes == ("read",)
        assert await find_key(tx, late) is None
        assert await find_key(tx, token[:-1] + ("a" if token[-1] != "a" else "b")) is None
        await access.revoke_api_key(tx, 1, key.id)
        assert await find_key(tx, token) is None


@pytest.mark.parametrize("token", ["", "nk_", "nk_1_", "nk_x_secret", "nk_99999999999999999999_x", "nk_-1_x", "other"])
async def test_no_other_text_is_a_key(database: Database, token: str) -> None:
    async with database.transaction() as tx:
        assert await find_key(tx, token) is None


async def test_key_wants_known_scopes(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(InputError):
            await create_api_key(tx, name="a", scopes=["everything"], by="test")


async def test_unexpected_error_is_logged_without_its_text(database: Database, settings: Settings) -> None:
    async with running_app(settings, database) as app, browser(app) as client:

        @app.get("/api/broken")
        async def break_down() -> None:
            async with database.transaction() as tx:
                await tx.execute("SELECT 'secret' FROM nowhere")

        with capture_logs() as lines:
            answer = await client.get("/api/broken")
    assert (answer.status_code, "content-security-policy" in answer.headers) == (500, True)
    (line,) = lines
    assert (line["event"], line["error"], line["sqlstate"]) == ("web.request_failed", "UndefinedTableError", "42P01")
    assert "nowhere" not in str(line)


async def test_only_failures_are_counted_and_success_starts_again(database: Database, settings: Settings) -> None:
    await add_user(database)
    async with running_app(settings, database) as app, browser(app) as client:
        for _ in range(60):
            assert (await log_in(client)).status_code == 303
            client.cookies.clear()
