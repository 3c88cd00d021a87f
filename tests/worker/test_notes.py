"""Notes leave by themselves, rung for or not."""

from pathlib import Path

from notifier.domain.channel import Channel, EmailContent
from notifier.planning.notes import send_test
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import add_contact, campaign, define, fetch, launch, set_now
from tests.planning.test_notes import add, add_user
from tests.worker.processes import until, worker

SENT = "SELECT count(*)::int FROM notifier.notes WHERE state = 'sent'"


async def test_a_worker_sends_tests_and_the_proofs_of_what_it_planned(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    await add(database)
    by = await add_user(database, email="lin@example.com")
    content = EmailContent(subject="s", html="<p>", text="t")
    async with database.transaction() as tx:
        await send_test(tx, team_id=1, by=by, channel=Channel.EMAIL, content=content, locale="en")
    async with worker(settings):
        await until(database, SENT, 1)
        await launch(database)
        await until(database, SENT, 2)
    kinds = await fetch(database, "SELECT kind, state FROM notifier.notes ORDER BY id")
    assert kinds == [("test", "sent"), ("proof", "sent")]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.messages") == [(1,)]


async def test_without_redis_notes_leave_all_the_same(database: Database, settings: Settings, tmp_path: Path) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign())
    by = await add_user(database, email="lin@example.com")
    content = EmailContent(subject="s", html="<p>", text="t")
    async with database.transaction() as tx:
        await send_test(tx, team_id=1, by=by, channel=Channel.EMAIL, content=content, locale="en")
    nowhere = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with worker(nowhere):
        await until(database, SENT, 1)
