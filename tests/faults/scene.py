"""The stage for faults: many contacts, an SMTP account that leads to the recorder, and the comparison of both books."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.keys import derive_keys
from notifier.domain.links import LinkKind, address_key, message_token, read_link
from notifier.domain.message import MOVES, MessageId, RunId, State
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.paused_accounts import try_now
from tests.builders import assert_tallies_agree, campaign, define, execute, fetch, pass_time, set_now
from tests.peers.recorder import Recorder

TOPIC = "more: {topic: {zh-CN: x}}"
SERVICE = "news"
MARKETING = "offer"
EMERGENCY = "alarm"
TRANSACTIONAL = "code"
PURPOSES = {SERVICE: "service", MARKETING: "marketing", EMERGENCY: "emergency", TRANSACTIONAL: "transactional"}


def smtp_account(port: int, *, key: str = "email", order: int = 100, more: str = "") -> str:
    """The YAML of an e-mail account on a port of this machine."""
    return (
        f"account: {key}\ntitle: Mail\nchannel: email\nprovider: smtp\nsender: notices@riverside-bank.example\n"
        f"order: {order}\nsettings: {{host: 127.0.0.1, port: {port}, tls: none, connections: 4{more}}}\n"
    )


async def set_scene(
    database: Database, settings: Settings, folder: Path, *, people: int, port: int, more: str = ""
) -> None:
    """Noon, a campaign of each purpose, its mail to `port`, and so many contacts who opted in."""
    await set_now(database)
    await define(
        database,
        folder,
        *(campaign(key, purpose=purpose) for key, purpose in PURPOSES.items()),
        **{"campaigns/accounts/email.yaml": smtp_account(port, more=more)},
    )
    await add_people(database, settings, people)


async def add_people(database: Database, settings: Settings, count: int) -> None:
    """Contacts c1, c2 … with an e-mail address each, all opted in."""
    key = derive_keys(settings.secret).addresses
    names = [f"c{number}" for number in range(1, count + 1)]
    await execute(
        database,
        """
        WITH given AS (SELECT * FROM unnest($1::text[], $2::bytea[]) AS g(name, key)),
        people AS (
            INSERT INTO notifier.contacts (team_id, external_id, kind, locale)
            SELECT 1, name, 'customer', 'zh-CN' FROM given RETURNING id, external_id),
        addressed AS (
            INSERT INTO notifier.addresses (contact_id, channel, address, address_key)
            SELECT p.id, 'email', g.name || '@example.com', g.key FROM people p JOIN given g ON g.name = p.external_id)
        INSERT INTO notifier.consents (contact_id, channel, act, source, at)
        SELECT id, 'email', 'opt-in', 'test', '2026-01-01Z' FROM people
        """,
        names,
        [address_key(key, "email", f"{name}@example.com") for name in names],
    )


async def count_states(database: Database) -> Counter[tuple[str, str]]:
    """(campaign, state) → messages."""
    rows = await fetch(
        database,
        """
        SELECT r.campaign_key, m.state, count(*)::int FROM notifier.messages m JOIN notifier.runs r ON r.id = m.run_id
        GROUP BY 1, 2
        """,
    )
    return Counter({(key, state): count for key, state, count in rows})


async def end_leases(database: Database, pids: Iterable[int] = ()) -> int:
    """The two minutes after which a lease ends have passed for these processes (none named: for all).

    Returns how many had one; a row that a sleeping worker locked is passed over.
    """
    rows = await fetch(
        database,
        """
        UPDATE notifier.claims SET alive_until = now() - interval '1 s'
        WHERE id IN (SELECT id FROM notifier.claims
            WHERE $1::text[] = '{}' OR split_part(worker, ':', 2) = ANY ($1) FOR UPDATE SKIP LOCKED)
        RETURNING worker
        """,
        [str(pid) for pid in pids],
    )
    return len({worker for (worker,) in rows})


async def settle_all(database: Database, *, within_s: float = 120) -> None:
    """Let workers finish: time passes until no message is open but those that wait for a person."""
    for _ in range(15):
        await nothing_due(database, within_s=within_s)
        if (await fetch(database, _OPEN))[0][0] == 0:
            return
        await pass_time(database, RECONCILE_FOR + timedelta(seconds=30))
        await settle_doubts(database)
    raise AssertionError(f"messages stay open: {await count_states(database)}")


async def nothing_due(database: Database, *, within_s: float = 120) -> None:
    """Wait until all that is due went out; the way is mended, so an account that pauses may try again at once."""
    ends = time.monotonic() + within_s
    while (await fetch(database, _DUE))[0][0]:
        if time.monotonic() > ends:
            raise AssertionError(f"messages stay due: {await count_states(database)}")
        async with database.transaction() as tx:
            await try_now(tx, 1, "email", by="test")
        await asyncio.sleep(0.2)


_WAITS = "s.in_doubt IN ('ask', 'reconcile-then-ask')"
_DUE = """
SELECT (SELECT count(*) FROM notifier.messages m WHERE m.state = 'sending'
        OR m.state = 'queued' AND m.due_at <= (SELECT notifier.now()))::int
    + (SELECT count(*) FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE s.state <> 'planned' AND r.kind <> 'standing')::int
"""
_OPEN = f"""
SELECT count(*)::int FROM notifier.messages m
JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step JOIN notifier.runs r ON r.id = m.run_id
WHERE m.state IN ('queued', 'sending') OR m.state = 'uncertain' AND NOT {_WAITS}
"""
_BOOK = f"""
SELECT m.run_id, m.id, m.state, {_WAITS} AS asks, m.account,
    (SELECT count(*) FROM notifier.events e WHERE e.run_id = m.run_id AND e.message_id = m.id
        AND e.kind = 'uncertain')::int AS doubts
FROM notifier.messages m JOIN notifier.run_steps s ON s.run_id = m.run_id AND s.step = m.step
"""
_SENT = {"accepted", "delivered", "bounced"}


async def assert_ledger_agrees(recorder: Recorder, database: Database, settings: Settings) -> Counter[str]:
    """Row by row, the recorder's book against the ledger; returns what it counted.

    What the ledger calls sent was taken: once, or once more for each doubt it wrote down; of a purpose that asks, never
    twice. What it calls unsent was not taken, but where it wrote down a doubt.
    """
    key = derive_keys(settings.secret).links
    copies, accounts = Counter[str](), dict[str, set[str]]()
    for one in recorder.taken():
        assert read_link(key, LinkKind.MESSAGE, one.public_id), f"{one} is no message of ours"
        copies[one.public_id] += 1
        accounts.setdefault(one.public_id, set()).add(one.account)
    found = Counter[str]()
    for run_id, message_id, state, asks, account, doubts in await fetch(database, _BOOK):
        public_id = message_token(key, RunId(run_id), MessageId(message_id))
        taken = copies.pop(public_id, 0)
        row = f"message {run_id}/{message_id}: {state}, taken {taken} times, in doubt {doubts} times"
        assert state != "sending", row
        assert taken <= 1 + doubts, row
        assert not (asks and taken > 1), row
        if state in _SENT:
            assert taken >= 1, row
            assert account in accounts[public_id], row
        elif not doubts:
            assert taken == 0, row
        found.update(rows=1, taken=taken, doubted=bool(doubts), doubled=taken > 1, **{state: 1})
    assert not copies, f"the ledger does not know {copies}"
    assert (await fetch(database, "SELECT count(*)::int FROM notifier.claims"))[0][0] == 0
    await assert_tallies_agree(database)
    return found


@asynccontextmanager
async def watched_moves(database: Database) -> AsyncIterator[None]:
    """Every change of a message's state while this is open was a legal move, by whatever statement it was made."""
    await execute(database, "CREATE TABLE public.moves (run_id bigint, id bigint, before text, after text)")
    await execute(
        database,
        """
        CREATE FUNCTION public.note_move() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO public.moves VALUES (NEW.run_id, NEW.id, OLD.state, NEW.state); RETURN NULL; END $$
        """,
    )
    await execute(
        database,
        """
        CREATE TRIGGER moves AFTER UPDATE ON notifier.messages FOR EACH ROW WHEN (OLD.state <> NEW.state)
        EXECUTE FUNCTION public.note_move()
        """,
    )
    try:
        yield
        await assert_moves_legal(database)
        assert await fetch(database, "SELECT 1 FROM public.moves LIMIT 1"), "nothing moved"
    finally:
        await execute(database, "DROP FUNCTION public.note_move() CASCADE")
        await execute(database, "DROP TABLE public.moves")


async def assert_moves_legal(database: Database) -> None:
    """So far none was illegal."""
    made = await fetch(database, "SELECT DISTINCT before, after FROM public.moves")
    illegal = [(before, after) for before, after in made if (State(before), State(after)) not in MOVES]
    assert not illegal


def public_ids(settings: Settings, rows: Sequence[tuple[int, int]]) -> set[str]:
    """What the recorder calls these messages (run, id)."""
    key = derive_keys(settings.secret).links
    return {message_token(key, RunId(run), MessageId(number)) for run, number in rows}


async def eventually(is_so: Callable[[], bool], *, within_s: float = 60) -> None:
    """Wait until it is so."""
    for _ in range(int(within_s / 0.02)):
        if is_so():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")
