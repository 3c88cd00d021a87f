"""Files with personal data are for those who act; who took one, and who came, failed and went, stands in the audit."""

import httpx

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import execute, fetch
from tests.web.rooms import (
    add_contacts,
    add_user,
    apply_pack,
    browser,
    form_token,
    key_headers,
    launch_alert,
    log_in,
    running_app,
)

ERRORS = "/contacts/imports/{}/errors.csv"


async def _import(database: Database, errors: bytes | None = b"row\r\n2\r\n") -> int:
    rows = await fetch(
        database,
        "INSERT INTO notifier.imports (team_id, file, state, errors) VALUES (1, 'a.csv', 'done', $1) RETURNING id",
        errors,
    )
    number: int = rows[0][0]
    return number


async def _told(database: Database, *acts: str) -> list[tuple[str, str, str]]:
    rows = await fetch(
        database, "SELECT actor, act, subject FROM notifier.audit WHERE act = ANY ($1) ORDER BY id", acts
    )
    return [tuple(row) for row in rows]


async def test_the_audit_names_who_took_a_file(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_contacts(database, settings)
    await add_user(database)
    run_id, import_id, clean = await launch_alert(database), await _import(database), await _import(database, None)
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client)
        assert (await client.get(f"/emergency/runs/{run_id}/not-reached.csv")).status_code == 200
        assert (await client.get(ERRORS.format(import_id))).content == b"row\r\n2\r\n"
        assert (await client.get(ERRORS.format(clean))).status_code == 404
        assert (await client.get(f"/emergency/runs/{run_id + 1}/not-reached.csv")).status_code == 404
    assert await _told(database, "run.not_reached_exported", "import.errors_exported") == [
        ("lin", "run.not_reached_exported", f"run:{run_id}"),
        ("lin", "import.errors_exported", f"import:{import_id}"),
    ]


async def test_who_only_looks_takes_no_file(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    run_id, import_id = await launch_alert(database), await _import(database)
    await add_user(database, "vera", "viewer")
    await add_user(database, "zhao", "auditor")
    async with running_app(settings, database) as app:
        for login in ("vera", "zhao"):
            async with browser(app) as client:
                await log_in(client, login)
                for path in (f"/emergency/runs/{run_id}/not-reached.csv", ERRORS.format(import_id)):
                    assert (await client.get(path)).status_code == 403
                assert "errors.csv" not in (await client.get(f"/contacts/imports/{import_id}")).text
    assert await _told(database, "run.not_reached_exported", "import.errors_exported") == []


async def test_keys_of_who_only_looks_take_no_file(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    import_id = await _import(database)
    await add_user(database, "vera", "viewer")
    path = f"/api/v1/imports/{import_id}/errors.csv"
    async with running_app(settings, database) as app, browser(app) as client:
        assert (await client.get(path, headers=await key_headers(database, "read", login="vera"))).status_code == 403
        assert (await client.get(path, headers=await key_headers(database, "write"))).status_code == 403
        assert await _told(database, "import.errors_exported") == []
        assert (await client.get(path, headers=await key_headers(database, "read"))).status_code == 200
    ((actor, _, subject),) = await _told(database, "import.errors_exported")
    assert (actor.partition(":")[0], subject) == ("api-key", f"import:{import_id}")


async def _try(client: httpx.AsyncClient, login: str) -> int:
    return (await client.post("/login", data={"login": login, "password": "not the password"})).status_code


async def test_who_failed_to_come_in_and_who_went_is_told(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_user(database)
    await add_user(database, "gone")
    await execute(database, "UPDATE notifier.users SET disabled_at = notifier.now() WHERE login = 'gone'")
    async with running_app(settings, database) as app, browser(app) as client:
        for login in (" LIN", "gone", "my secret password"):
            assert await _try(client, login) == 401
        await log_in(client)
        assert (await client.post("/logout", data={"form_token": await form_token(client)})).status_code == 303
    assert await _told(database, "user.login_refused", "user.logged_in", "user.logged_out") == [
        ("lin", "user.login_refused", "user:lin"),
        ("gone", "user.login_refused", "user:gone"),
        ("unknown", "user.login_refused", "user:unknown"),
        ("lin", "user.logged_in", "user:lin"),
        ("lin", "user.logged_out", "user:lin"),
    ]
