"""Failover: the next account takes what the first one definitely did not, and gives way when the first is well again."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.errors import Fault, TryAgain
from notifier.settings import Settings
from notifier.store.database import Database
from tests.builders import (
    assert_tallies_agree,
    campaign,
    execute,
    fetch,
    launch_and_plan,
    pass_time,
    state_counts,
)
from tests.delivery.scripted import (
    SPARE,
    Peer,
    Say,
    lost,
    no_such_user,
    not_ours,
    open_with,
    refused,
    scene,
    too_fast,
)

PAUSES = "SELECT account, cause FROM notifier.paused_accounts ORDER BY account"
AUDIT = "SELECT act, subject FROM notifier.audit WHERE act LIKE 'account.%' ORDER BY id"


async def _probe_now(database: Database) -> None:
    await execute(database, "UPDATE notifier.paused_accounts SET probe_at = now()")
    await asyncio.sleep(0.6)  # a worker looks twice a second


@pytest.mark.parametrize(("say", "cause"), [(refused, "provider"), (not_ours, "sender")])
async def test_an_account_that_is_down_pauses_and_the_next_takes_all_of_it(
    database: Database, settings: Settings, tmp_path: Path, say: Say, cause: str
) -> None:
    await scene(database, settings, tmp_path, campaign(), campaign("more"), contacts=100, files=SPARE)
    await launch_and_plan(database)
    first, second = Peer(say=say), Peer()
    async with open_with(settings, database, email=first, spare=second) as sender:
        await sender.drain_lane(3)
        assert await state_counts(database) == {"accepted": 100}
        assert Counter(one.to for one in second.taken).most_common(1)[0][1] == 1
        assert await fetch(database, "SELECT DISTINCT account FROM notifier.messages") == [("spare",)]
        assert await fetch(database, PAUSES) == [("email", cause)]
        assert await fetch(database, AUDIT) == [("account.paused", "account:email")]
        asked = first.asked
        await launch_and_plan(database, "more")
        await sender.drain_lane(3)
        assert first.asked == asked  # not even asked
        first.say = lambda _: None
        await _probe_now(database)
        await execute(
            database,
            "UPDATE notifier.messages SET state = 'queued', account = '', address_key = NULL, due_at = notifier.now()",
        )
        await sender.drain_lane(3)
    assert await fetch(database, PAUSES) == []
    assert (await fetch(database, AUDIT))[-1] == ("account.resumed", "account:email")
    assert len(first.taken) > 1  # drifted back


async def test_without_a_second_account_messages_wait_unharmed(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=60)
    await launch_and_plan(database)
    peer = Peer(say=not_ours)
    async with open_with(settings, database, email=peer) as sender:
        await sender.drain_lane(3)
        assert await state_counts(database) == {"queued": 60}
        assert await fetch(database, "SELECT DISTINCT attempts FROM notifier.messages") == [(0,)]
        assert await fetch(database, "SELECT count(*)::int FROM notifier.suppressions") == [(0,)]
        asked = peer.asked
        await pass_time(database, timedelta(minutes=10))
        await sender.drain_lane(3)
        assert peer.asked == asked  # nothing is claimed for a paused account
        peer.say = lambda _: None
        await _probe_now(database)
        await sender.drain_lane(3)
        assert len(peer.taken) >= 1
        assert await fetch(database, PAUSES) == []
        await assert_tallies_agree(database)


async def test_one_worker_alone_probes_with_one_message(database: Database, settings: Settings, tmp_path: Path) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=40)
    await launch_and_plan(database)
    peer = Peer(say=refused)
    async with (
        open_with(settings, database, "a", email=peer) as one,
        open_with(settings, database, "b", email=peer) as two,
    ):
        await one.drain_lane(3)
        await pass_time(database, timedelta(minutes=30))
        await _probe_now(database)
        asked = peer.asked
        await one.drain_lane(3)
        await two.drain_lane(3)
    assert peer.asked == asked + 1


@pytest.mark.parametrize(("say", "state"), [(lost, "uncertain"), (no_such_user, "failed")])
async def test_after_an_unknown_outcome_or_for_a_bad_address_no_other_account_is_asked(
    database: Database, settings: Settings, tmp_path: Path, say: Say, state: str
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=3, files=SPARE)
    await launch_and_plan(database)
    second = Peer()
    async with open_with(settings, database, email=Peer(say=say), spare=second) as sender:
        await sender.drain_lane(3)
    assert await state_counts(database) == {state: 3}
    assert second.asked == 0


async def test_what_was_in_doubt_goes_again_by_its_own_account_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=10, files=SPARE)
    await launch_and_plan(database)
    first, second = Peer(say=lost), Peer()
    async with open_with(settings, database, email=first, spare=second) as sender:
        await sender.drain_lane(3)
        assert await fetch(database, PAUSES) == [("email", "provider")]
        await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
        await settle_doubts(database)
        await sender.drain_lane(3)
        assert second.asked == 0
        first.say = lambda _: None
        await _probe_now(database)
        for _ in range(3):
            await pass_time(database, timedelta(minutes=11))
            await sender.drain_lane(3)
    assert second.asked == 0
    assert first.taken


async def test_a_full_speed_limit_hands_over_to_the_next_account(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=30, files=SPARE)
    await launch_and_plan(database)
    second = Peer()
    async with open_with(settings, database, email=Peer(say=too_fast), spare=second) as sender:
        await sender.drain_lane(3)
    assert len(second.taken) == 30
    assert await fetch(database, PAUSES) == []  # it is only slowed down


async def test_servers_that_refuse_us_one_after_the_other_pause_the_account(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=20)
    await execute(
        database, "UPDATE notifier.addresses SET address = replace(address, 'com', 'net') WHERE contact_id % 2 = 0"
    )
    await launch_and_plan(database)
    refusal = TryAgain("550 5.7.1 not wanted", code="5.7.1", fault=Fault.SENDER)
    peer = Peer(say=lambda one: refusal if not one.to.startswith("c000@") else None)
    async with open_with(settings, database, email=peer) as sender:
        await sender.drain_lane(3)
    assert await fetch(database, PAUSES) == [("email", "sender")]
    assert (await state_counts(database))["queued"] == 19


async def test_what_expires_while_every_account_pauses_has_expired(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(purpose="transactional"), contacts=5)
    await launch_and_plan(database)
    async with open_with(settings, database, email=Peer(say=not_ours)) as sender:
        await sender.drain_lane(2)
        assert await state_counts(database) == {"queued": 5}
        await pass_time(database, timedelta(minutes=6))
        await sender.drain_lane(2)
    assert await state_counts(database) == {"expired": 5}
    await assert_tallies_agree(database)


async def test_a_post_goes_by_its_own_account_alone_and_waits_while_that_pauses(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    posts = campaign(steps="post: {social: [wall, paper], template: note}")
    await scene(database, settings, tmp_path, posts, contacts=0)
    await launch_and_plan(database)
    wall, paper = Peer(say=not_ours), Peer()
    async with open_with(settings, database, wall=wall, paper=paper) as sender:
        await sender.drain_lane(3)
        assert await fetch(database, PAUSES) == [("wall", "sender")]
        assert (wall.asked, len(paper.taken)) == (1, 1)
        await pass_time(database, timedelta(minutes=20))
        await sender.drain_lane(3)
        assert wall.asked == 1
        wall.say = lambda _: None
        await _probe_now(database)
        await pass_time(database, timedelta(minutes=20))
        await sender.drain_lane(3)
    assert (len(wall.taken), len(paper.taken)) == (1, 1)
    assert await fetch(database, PAUSES) == []
