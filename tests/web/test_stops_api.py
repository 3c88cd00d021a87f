"""Stops and undo over the API: by the same rules as on the pages."""

from collections.abc import Mapping

import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import execute, fetch
from tests.web.rooms import add_contacts, add_user, apply_pack, browser, key_headers, launch_alert, running_app

STOPS = "/api/v1/stops"
EVERYTHING = {"scope": "everything", "reason": "wrong list"}


async def test_a_system_stops_and_a_person_resumes(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_contacts(database, settings)
    run_id = await launch_alert(database)
    await add_user(database, "lin", "author")
    await add_user(database, "op", "operator")
    system, reader, author, operator = [
        await key_headers(database, *scopes, login=login)
        for login, scopes in (
            ("", ("read", "send")),
            ("", ("read",)),
            ("lin", ("read", "send")),
            ("op", ("read", "send")),
        )
    ]
    async with running_app(settings, database) as app, browser(app) as caller:

        async def call(path: str, key: Mapping[str, str], status: int, body: object = None) -> dict[str, object]:
            answer = await caller.post(f"{STOPS}{path}", headers=key, json=body)
            assert answer.status_code == status, answer.text
            return dict(answer.json())

        await call("", reader, 403, EVERYTHING)
        made = await call("", system, 201, EVERYTHING)
        assert await call("", author, 201, EVERYTHING) == made
        assert (made["reason"], made["spares_emergencies"], made["lifted_at"]) == ("wrong list", False, None)
        found = (await caller.get(STOPS, headers=reader)).json()["items"]
        assert [one["id"] for one in found] == [made["id"]]
        detail = (await caller.get(f"{STOPS}/{made['id']}", headers=reader)).json()
        assert {one["run"] for one in detail["runs"]} <= {run_id}
        assert sum(detail["total"].values()) == sum(sum(one[key] for key in detail["total"]) for one in detail["runs"])
        await call(f"/{made['id']}/resume", system, 403)
        await call(f"/{made['id']}/resume", author, 403)
        assert (await call(f"/{made['id']}/resume", operator, 200))["lifted_by"] == operator_name(operator)
        await call(f"/{made['id']}/resume", operator, 409)
        await call("/99/resume", operator, 404)
        assert (await caller.get(STOPS, headers=reader)).json()["items"] == []
        lifted = (await caller.get(f"{STOPS}?state=lifted", headers=reader)).json()["items"]
        assert [one["id"] for one in lifted] == [made["id"]]


def operator_name(key: Mapping[str, str]) -> str:
    """How the audit names the key."""
    return f"api-key:{key['authorization'].split('_')[1]}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "channel", "which": "fax", "reason": "x"}, 422),
        ({"scope": "campaign", "which": "none", "reason": "x"}, 404),
        ({"scope": "everything", "which": "sms", "reason": "x"}, 422),
        ({"scope": "channel", "which": "sms", "reason": ""}, 422),
        ({"scope": "all", "reason": "x"}, 422),
        ({"scope": "channel", "which": "sms", "reason": "x", "spares_emergencies": True}, 201),
    ],
)
async def test_a_stop_names_what_it_holds(
    database: Database, settings: Settings, body: Mapping[str, object], status: int
) -> None:
    await apply_pack(database)
    key = await key_headers(database, "send")
    async with running_app(settings, database) as app, browser(app) as caller:
        assert (await caller.post(STOPS, headers=key, json=body)).status_code == status


async def test_a_release_is_undone_before_anything_left(database: Database, settings: Settings) -> None:
    await apply_pack(database)
    await add_contacts(database, settings)
    run_id = await launch_alert(database)
    key = await key_headers(database, "read", "send")
    async with running_app(settings, database) as app, browser(app) as caller:
        late = await caller.post(f"/api/v1/runs/{run_id}/undo", headers=key)
        assert (late.status_code, "cannot be undone any more" in late.text) == (409, True)
        await execute(
            database, "UPDATE notifier.runs SET state = 'scheduled', held_until = notifier.now() + interval '1 h'"
        )
        undone = await caller.post(f"/api/v1/runs/{run_id}/undo", headers=key)
        assert (undone.status_code, undone.json()["state"]) == (200, "submitted")
    assert await fetch(database, "SELECT count(*)::int FROM notifier.releases WHERE voided_at IS NULL") == [(0,)]
