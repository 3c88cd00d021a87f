"""Workers that die of a message, and workers that are told to leave: the one is counted, the other is not."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

from notifier.delivery.settle import settle_doubts
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import assert_tallies_agree, campaign, define, execute, fetch, launch, pass_time, set_now, states
from tests.peers.smtp_peer import SmtpPeer, smtp_peer
from tests.worker.processes import until, worker

POISON = "c100@example.com"
ACCEPTED = "SELECT count(*)::int FROM notifier.messages WHERE state = 'accepted'"


class Deadly(dict[str, str]):
    """Replies of a server that says nothing once the poison arrives; the worker that brought it is to die then."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        if key != POISON:
            return super().get(key, default)
        self.arrived.set()
        return "stall"


async def _scene(database: Database, folder: Path, people: int, text: str, **files: str) -> None:
    await set_now(database)
    await define(database, folder, text, **files)
    await execute(
        database,
        """
        WITH people AS (
            INSERT INTO notifier.contacts (team_id, external_id, kind)
            SELECT 1, 'c' || n, 'customer' FROM generate_series(1, $1::int) AS n RETURNING id, external_id)
        INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
        SELECT id, 'email', external_id || '@example.com', sha256(external_id::bytea) FROM people
        """,
        people,
    )


async def test_a_message_that_ends_three_workers_is_set_aside_and_the_rest_flow(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    deadly = Deadly()
    async with smtp_peer(SmtpPeer(replies=deadly)) as peer:
        account = (
            "account: email\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
            f"settings: {{host: 127.0.0.1, port: {peer.port}, tls: none}}\n"
        )
        files = {"campaigns/accounts/email.yaml": account}
        await _scene(database, tmp_path, 201, campaign(purpose="emergency"), **files)
        await launch(database)
        for _ in range(3):
            deadly.arrived.clear()
            async with worker(settings) as process:
                await asyncio.wait_for(deadly.arrived.wait(), 60)
                process.kill()
                await process.wait()
            await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
            await settle_doubts(database)
            await pass_time(database, timedelta(minutes=1))
        async with worker(settings):
            await until(database, ACCEPTED, 200, within_s=60)
        delivered = {mail.rcpt_to for mail in peer.mails}
    assert len(delivered) == 200
    assert POISON not in delivered
    aside = [(name, reason) for name, state, reason in await states(database) if state != "accepted"]
    assert aside == [("c100", "set aside: three workers died holding it")]
    ((least, most),) = await fetch(database, "SELECT min(crashes), max(crashes) FROM notifier.messages")
    assert (least, most) == (0, 3)
    await assert_tallies_agree(database)


async def test_six_rolling_restarts_use_up_no_try_and_count_no_crash(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    count = 3000
    await _scene(database, tmp_path, count, campaign())
    await launch(database)
    for _ in range(6):
        ((before,),) = await fetch(database, ACCEPTED)
        async with worker(settings) as process:
            await until(database, f"SELECT count(*) > {before} FROM notifier.messages WHERE state = 'accepted'", True)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    async with worker(settings):
        await until(database, ACCEPTED, count, within_s=120)
    assert await fetch(database, "SELECT max(attempts), max(crashes) FROM notifier.messages") == [(1, 0)]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.events WHERE kind = 'uncertain'") == [(0,)]
    ((kept, people),) = await fetch(
        database, "SELECT count(*)::int, count(DISTINCT recipient)::int FROM notifier.sandbox_items"
    )
    assert (kept, people) == (count, count)
