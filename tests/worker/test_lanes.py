"""One worker for all lanes, one connection to the provider, a backlog of marketing: what is urgent leaves at once."""

import time
from pathlib import Path

import pytest

from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import campaign, define, execute, fetch, launch, set_now
from tests.peers.smtp_peer import smtp_peer
from tests.worker.processes import until, worker

BACKLOG = 3_000
_PEOPLE = """
WITH people AS (
    INSERT INTO notifier.contacts (team_id, external_id, kind, attributes)
    SELECT 1, 'c' || n, 'customer', jsonb_build_object('first', n = 1) FROM generate_series(1, $1::int) AS n
    RETURNING id, external_id),
consented AS (
    INSERT INTO notifier.consents (contact_id, channel, topic, act, source, at)
    SELECT id, 'email', '', 'opt-in', 'test', '2026-01-01' FROM people)
INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
SELECT id, 'email', external_id || '@example.com', sha256(external_id::bytea) FROM people
"""
_LEFT = "SELECT count(*)::int FROM notifier.messages WHERE lane = 4 AND state = 'queued'"


def _mail(port: int) -> str:
    return (
        "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
        f"settings: {{host: 127.0.0.1, port: {port}, tls: none, connections: 1, timeout_s: 30, final_timeout_s: 30}}\n"
    )


@pytest.mark.parametrize("purpose", ["emergency", "transactional"])
async def test_what_is_urgent_overtakes_a_backlog_on_the_only_connection(
    database: Database, settings: Settings, tmp_path: Path, purpose: str
) -> None:
    audience = "audience: {attribute: first, is: true}\n"
    async with smtp_peer() as peer:
        await set_now(database)
        await define(
            database,
            tmp_path,
            campaign(purpose="marketing", more="topic: education\n"),
            campaign("alarm", purpose=purpose, more=audience),
            **{"campaigns/accounts/email.yaml": _mail(peer.port)},
        )
        await execute(database, _PEOPLE, BACKLOG)
        async with worker(settings):
            await launch(database)
            await until(
                database, "SELECT count(*) > 100 FROM notifier.messages WHERE state = 'accepted'", True, within_s=120
            )
            await launch(database, "alarm")
            begun = time.monotonic()
            lane = 1 if purpose == "emergency" else 2
            await until(
                database,
                f"SELECT count(*)::int FROM notifier.messages WHERE lane = {lane} AND state = 'accepted'",
                1,
                within_s=60,
            )
            took = time.monotonic() - begun
            ((left,),) = await fetch(database, _LEFT)
    assert left > BACKLOG / 3  # it did not wait for them
    assert took < 10
