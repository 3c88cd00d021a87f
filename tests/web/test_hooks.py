"""The hooks: believed only when signed, stored once, answered fast."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import orjson
import pytest
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifier.domain.account import Account, SecretRef
from notifier.domain.channel import Channel
from notifier.domain.text import Localized
from notifier.providers.base import Dependencies, Provider
from notifier.providers.registry import open_provider
from notifier.providers.sandbox.callbacks import sandbox_headers, sandbox_secret
from notifier.store.database import Database
from tests.feedback.faces import PUBLIC_URL, Doors, open_doors
from tests.feedback.rows import Scene, Sent, add_message, add_scene, fetch

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNING_KEY = b"k" * 32
TOKEN = "0123456789abcdef0123456789abcdef"


def _accounts() -> dict[str, Provider]:
    sandbox = Account(key="email", title=Localized({}), channel=Channel.EMAIL, provider="sandbox")
    twilio = Account(
        key="sms",
        title=Localized({}),
        channel=Channel.SMS,
        provider="twilio",
        sender="+12125550100",
        settings={"account_sid": "AC" + "0" * 32},
        secrets={"auth_token": SecretRef("T")},
    )
    deps = Dependencies(signing_key=SIGNING_KEY)
    return {
        "email": open_provider(sandbox, {}, deps=deps),
        "sms": open_provider(twilio, {"auth_token": TOKEN}, deps=deps),
    }


def _body(message: str, event_id: str = "e1") -> bytes:
    return orjson.dumps([{"type": "delivered", "message": message, "id": event_id}])


async def _call(
    doors: Doors, body: bytes, *, event_id: str = "w1", path: str = "/hooks/sandbox/email"
) -> httpx.Response:
    headers = sandbox_headers(sandbox_secret(SIGNING_KEY, "email"), event_id, datetime.now(UTC), body)
    return await doors.client.post(path, content=body, headers=headers)


async def test_a_signed_callback_is_stored_once_and_rings_the_bell(database: Database) -> None:
    doors = open_doors(database, accounts=_accounts())
    body = _body("m.1.2.x")
    for event_id in ("w1", "w2"):
        answer = await _call(doors, body, event_id=event_id)
        assert (answer.status_code, answer.content) == (204, b"")
    rows = await fetch(database, "SELECT provider, account, url, content_type, body FROM notifier.callbacks")
    assert rows == [("sandbox", "email", f"{PUBLIC_URL}/hooks/sandbox/email", "application/json", body)]
    assert doors.bell.rung == ["callbacks", "callbacks"]


async def test_a_forged_callback_is_refused_as_a_problem(database: Database) -> None:
    doors = open_doors(database, accounts=_accounts())
    body = _body("m.1.2.x")
    headers = sandbox_headers(b"wrong" * 8, "w1", datetime.now(UTC), body)
    answer = await doors.client.post("/hooks/sandbox/email", content=body, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    unsigned = await doors.client.post("/hooks/sandbox/email", content=body)
    assert unsigned.status_code == 403
    assert await fetch(database, "SELECT count(*) FROM notifier.callbacks") == [(0,)]
    assert doors.bell.rung == []


@pytest.mark.parametrize("path", ["/hooks/sandbox/nobody", "/hooks/twilio/email", "/hooks/survey/nobody"])
async def test_an_unknown_account_is_not_found(database: Database, path: str) -> None:
    answer = await _call(open_doors(database, accounts=_accounts()), _body("m"), path=path)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


async def test_too_long_a_body_is_refused_before_it_is_believed(database: Database) -> None:
    answer = await _call(open_doors(database, accounts=_accounts()), b"x" * 1_048_577)
    assert answer.status_code == 413


async def test_the_signed_address_is_that_of_the_settings(database: Database) -> None:
    doors = open_doors(database, accounts=_accounts())
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered"}
    for host, expected in ((PUBLIC_URL, 204), ("http://elsewhere.example.com", 403)):
        url = f"{host}/hooks/twilio/sms?message=m.1.2.x"
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        answer = await doors.client.post(
            "/hooks/twilio/sms?message=m.1.2.x", data=form, headers={"x-twilio-signature": signature}
        )
        assert answer.status_code == expected


async def test_the_same_body_for_two_messages_is_two_callbacks(database: Database) -> None:
    doors = open_doors(database, accounts=_accounts())
    form = {"MessageSid": "SM" + "1" * 32, "MessageStatus": "delivered"}
    for message in ("m.1.2.x", "m.1.3.x"):
        path = f"/hooks/twilio/sms?message={message}"
        signature = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + path, form)
        await doors.client.post(path, data=form, headers={"x-twilio-signature": signature})
    assert await fetch(database, "SELECT count(*) FROM notifier.callbacks") == [(2,)]


async def test_a_day_without_partition_gets_one(database: Database) -> None:
    doors = open_doors(database, accounts=_accounts())
    async with database.transaction() as tx:
        name = await tx.fetchval("SELECT 'notifier.callbacks_' || to_char(current_date, 'YYYYMMDD')")
        await tx.execute(f"DROP TABLE {name}")
    answers = await asyncio.gather(*(_call(doors, _body("m", f"e{n}")) for n in range(3)))
    assert {answer.status_code for answer in answers} == {204}
    assert await fetch(database, "SELECT count(*) FROM notifier.callbacks") == [(3,)]


async def _tell(doors: Doors, told: object, *, secret: str = SECRET, source: str = "tool") -> httpx.Response:
    body = orjson.dumps(told)
    at = datetime.now(UTC)
    headers = {
        "webhook-id": "w1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("w1", at, body.decode()),
    }
    return await doors.client.post(f"/hooks/survey/{source}", content=body, headers=headers)


async def _survey(database: Database) -> tuple[Doors, Scene, Sent]:
    scene = await add_scene(database)
    sent = await add_message(database, scene)
    return open_doors(database, sources={"tool": SECRET}), scene, sent


async def test_a_tool_answers_an_invitation_like_our_page(database: Database) -> None:
    doors, scene, sent = await _survey(database)
    told = {"id": "r1", "survey": "monthly-satisfaction", "answers": {"rating": 4}, "invitation": sent.survey_token}
    assert (await _tell(doors, told)).json() == {"outcome": "recorded"}
    assert (await _tell(doors, told)).json() == {"outcome": "completed"}
    assert "already answered" in (await doors.client.get(f"/s/{sent.survey_token}")).text
    rows = await fetch(
        database, "SELECT invitation_id, run_id, contact_id, source, external_key FROM notifier.responses"
    )
    assert rows == [(sent.invitation_id, scene.run_id, sent.contact_id, "tool", "r1")]
    later = {**told, "answers": {"comment": "slow"}}
    assert (await _tell(doors, later)).json() == {"outcome": "completed"}
    answers = await fetch(database, "SELECT question, number, text FROM notifier.answers ORDER BY question")
    assert answers == [("comment", None, "slow"), ("rating", 4, None)]
    assert (await _tell(doors, {**told, "id": "r2"})).json() == {"outcome": "already-answered"}


async def test_a_tool_answers_without_invitation(database: Database) -> None:
    doors, _, sent = await _survey(database)
    contact = (await fetch(database, "SELECT external_id FROM notifier.contacts"))[0][0]
    told = {
        "id": "r1",
        "survey": "monthly-satisfaction",
        "answers": {"rating": 4},
        "contact": contact,
        "received_at": "2026-03-05T10:00:00+08:00",
        "simulated": True,
    }
    assert (await _tell(doors, told)).status_code == 200
    rows = await fetch(database, "SELECT contact_id, simulated, received_at FROM notifier.responses")
    assert rows == [(sent.contact_id, True, datetime(2026, 3, 5, 2, tzinfo=UTC))]


async def test_an_answer_cannot_come_from_the_future(database: Database) -> None:
    doors, _, _ = await _survey(database)
    ahead = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    told = {"id": "r1", "survey": "monthly-satisfaction", "answers": {"rating": 4}, "received_at": ahead}
    await _tell(doors, told)
    assert await fetch(database, "SELECT received_at <= now() FROM notifier.responses") == [(True,)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": {"rating": 9}}, "rating"),
        ({"answers": {}}, "rating"),
        ({"answers": {"rating": 4, "nonsense": 1}}, "nonsense"),
        ({"survey": "unknown"}, "unknown"),
        ({"contact": "nobody"}, "contact"),
        ({"invitation": "s.1.forged"}, "invitation"),
        ({"id": ""}, "id"),
        ({"colour": "red"}, "colour"),
        ({"received_at": "2026-03-05T10:00:00"}, "received_at"),
    ],
)
async def test_a_wrong_response_is_refused_with_a_word_why(
    database: Database, change: dict[str, object], says: str
) -> None:
    doors, _, _ = await _survey(database)
    answer = await _tell(doors, {"id": "r1", "survey": "monthly-satisfaction", "answers": {"rating": 4}, **change})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert await fetch(database, "SELECT count(*) FROM notifier.responses") == [(0,)]


async def test_a_closed_invitation_is_a_conflict(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene, closes="-1 second")
    doors = open_doors(database, sources={"tool": SECRET})
    told = {"id": "r1", "survey": "monthly-satisfaction", "answers": {"rating": 4}, "invitation": sent.survey_token}
    assert (await _tell(doors, told)).status_code == 409


async def test_a_tool_with_the_wrong_secret_is_not_believed(database: Database) -> None:
    doors, _, _ = await _survey(database)
    told = {"id": "r1", "survey": "monthly-satisfaction", "answers": {"rating": 4}}
    other = "whsec_" + "A" * 32
    assert (await _tell(doors, told, secret=other)).status_code == 403
    garbage = {b"webhook-id": b"w", b"webhook-timestamp": b"soon", b"webhook-signature": "v1,é".encode()}
    assert (await doors.client.post("/hooks/survey/tool", content=b"{}", headers=garbage)).status_code == 403
