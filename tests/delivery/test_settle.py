"""Settle: where nobody knows, a person decides, once, and it is written who did; what was set aside gets a chance."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.settle import NOT_SENT, decide, replay, settle_doubts
from notifier.domain.doubt import Verdict
from notifier.domain.errors import Conflict, NotFound
from notifier.domain.message import MessageId, RunId, State
from notifier.planning.control import cancel_run
from notifier.planning.finish import end_finished_runs
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.messages.record import Receipt, record_receipts
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    claim,
    define,
    drain,
    execute,
    fetch,
    kept,
    launch_and_plan,
    opt_out,
    pass_time,
    set_now,
    state_counts,
    states,
)

LANE = 2
ASIDE = "set aside: three workers died holding it"


async def _in_doubt(
    database: Database, settings: Settings, folder: Path, count: int = 1
) -> tuple[RunId, list[MessageId]]:
    await set_now(database)
    await define(database, folder, campaign(purpose="transactional"))
    for number in range(1, count + 1):
        await add_contact(database, settings, f"c{number}")
    run = await launch_and_plan(database)
    batch = await claim(database, run.id, LANE)
    receipts = [Receipt(id=one.id, state=State.UNCERTAIN, reason="lost") for one in batch.messages]
    async with database.transaction() as tx:
        await record_receipts(tx, run.id, batch.claim_id, receipts)
    return run.id, [receipt.id for receipt in receipts]


async def _decide(database: Database, run_id: RunId, verdict: Verdict, message_id: int | None = None) -> int:
    async with database.transaction() as tx:
        return await decide(tx, run_id, verdict, "wang", message_id=message_id)


async def _replay(database: Database, run_id: RunId, message_id: int | None = None, reason: str = "") -> int:
    async with database.transaction() as tx:
        return await replay(tx, run_id, "wang", message_id=message_id, reason=reason)


async def _set_aside(database: Database, run_id: RunId) -> None:
    """A third worker dies holding everything that is queued."""
    batch = await claim(database, run_id, LANE)
    await execute(database, "UPDATE notifier.messages SET crashes = 2 WHERE claim_id = $1", batch.claim_id)
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    await settle_doubts(database)


@pytest.mark.parametrize(
    ("verdict", "state", "kind", "why"),
    [
        (Verdict.SENT, "accepted", "accepted", ""),
        (Verdict.NOT_SENT, "failed", "failed", NOT_SENT),
        (Verdict.SEND_AGAIN, "queued", "deferred", "a person said it was not sent: it goes again"),
    ],
)
async def test_a_person_decides_a_doubt_once(
    database: Database, settings: Settings, tmp_path: Path, verdict: Verdict, state: str, kind: str, why: str
) -> None:
    run_id, (message_id,) = await _in_doubt(database, settings, tmp_path)
    assert await _decide(database, run_id, verdict, message_id) == 1
    assert await states(database) == [("c1", state, why if state == "failed" else "")]
    assert await fetch(database, "SELECT kind, reason, source FROM notifier.events WHERE source <> ''") == [
        (kind, why, "person")
    ]
    assert await fetch(database, "SELECT actor, act, subject FROM notifier.audit WHERE act LIKE 'message.%'") == [
        ("wang", f"message.decided_{state}", f"message:{run_id}/{message_id}")
    ]
    assert await fetch(database, "SELECT accepted_at IS NOT NULL FROM notifier.messages") == [(state == "accepted",)]
    with pytest.raises(Conflict, match="nothing to decide"):
        await _decide(database, run_id, Verdict.NOT_SENT, message_id)
    await assert_tallies_agree(database)


async def test_only_what_is_there_can_be_decided(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id, (message_id,) = await _in_doubt(database, settings, tmp_path)
    with pytest.raises(NotFound):
        await _decide(database, run_id, Verdict.SENT, message_id + 1)


async def test_all_doubts_of_a_run_are_decided_at_once(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id, _ = await _in_doubt(database, settings, tmp_path, 3)
    assert await _decide(database, run_id, Verdict.SENT) == 3
    assert await state_counts(database) == {"accepted": 3}
    assert await fetch(database, "SELECT act, subject, detail FROM notifier.audit WHERE act LIKE 'run.decided%'") == [
        ("run.decided_accepted", f"run:{run_id}", {"messages": 3})
    ]
    with pytest.raises(Conflict, match="waits for this decision"):
        await _decide(database, run_id, Verdict.SENT)
    await assert_tallies_agree(database)


async def test_what_goes_again_is_checked_again(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id, _ = await _in_doubt(database, settings, tmp_path, 2)
    ((contact_id,),) = await fetch(database, "SELECT id FROM notifier.contacts WHERE external_id = 'c1'")
    await opt_out(database, contact_id)
    await _decide(database, run_id, Verdict.SEND_AGAIN)
    await drain(settings, database, LANE)
    assert await states(database) == [("c1", "refused", "opted-out"), ("c2", "accepted", "")]


async def test_nothing_is_sent_late_or_of_a_cancelled_run(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id, (message_id,) = await _in_doubt(database, settings, tmp_path)
    await pass_time(database, timedelta(minutes=6))
    with pytest.raises(Conflict, match="not sent late"):
        await _decide(database, run_id, Verdict.SEND_AGAIN, message_id)
    async with database.transaction() as tx:
        await cancel_run(tx, run_id, "wang")
    with pytest.raises(Conflict, match="cancelled"):
        await _decide(database, run_id, Verdict.SEND_AGAIN, message_id)
    assert await _decide(database, run_id, Verdict.NOT_SENT, message_id) == 1


async def test_what_was_set_aside_gets_another_chance_with_an_audit_row(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id, _ = await _in_doubt(database, settings, tmp_path, 2)
    await _decide(database, run_id, Verdict.SEND_AGAIN)
    await _set_aside(database, run_id)
    assert await states(database) == [("c1", "failed", ASIDE), ("c2", "failed", ASIDE)]
    await end_finished_runs(database)
    assert await fetch(database, "SELECT state FROM notifier.runs") == [("ended",)]
    with pytest.raises(Conflict):
        await _replay(database, run_id, reason="another one")
    ((contact_id,),) = await fetch(database, "SELECT id FROM notifier.contacts WHERE external_id = 'c1'")
    await opt_out(database, contact_id)
    assert await _replay(database, run_id, reason=ASIDE) == 2
    await drain(settings, database, LANE)
    assert await states(database) == [("c1", "refused", "opted-out"), ("c2", "accepted", "")]
    assert [recipient for recipient, _ in await kept(database)] == ["c2@example.com"]
    assert await fetch(database, "SELECT actor, act, detail FROM notifier.audit WHERE act LIKE '%replayed'") == [
        ("wang", "run.replayed", {"messages": 2, "reason": ASIDE})
    ]
    await end_finished_runs(database)
    assert await fetch(database, "SELECT state FROM notifier.runs") == [("ended",)]
    await assert_tallies_agree(database)


async def test_one_more_worker_that_dies_sets_it_aside_again(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run_id, (message_id,) = await _in_doubt(database, settings, tmp_path)
    await _decide(database, run_id, Verdict.SEND_AGAIN)
    await _set_aside(database, run_id)
    assert await _replay(database, run_id, message_id) == 1
    assert await fetch(database, "SELECT crashes FROM notifier.messages") == [(2,)]


async def test_what_is_not_set_aside_is_not_replayed(database: Database, settings: Settings, tmp_path: Path) -> None:
    run_id, (message_id,) = await _in_doubt(database, settings, tmp_path)
    with pytest.raises(Conflict, match="nothing to decide"):
        await _replay(database, run_id, message_id)
    await _decide(database, run_id, Verdict.NOT_SENT, message_id)
    with pytest.raises(Conflict, match="failed for good"):
        await _replay(database, run_id, message_id)
    with pytest.raises(Conflict):
        await _replay(database, run_id)
