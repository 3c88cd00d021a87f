"""Limits: nothing is claimed that may not go, whoever works; what is urgent has its share."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from notifier.delivery.limits import Limits
from notifier.domain.errors import TryAgain
from notifier.domain.rate import HALF, ORDINARY_SHARE
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.rates import Ask
from tests.builders import (
    ACCOUNTS,
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    execute,
    fetch,
    launch_and_plan,
    set_now,
    state_counts,
)
from tests.delivery.scripted import SPARE, Peer, open_with, scene

SENDING = "SELECT count(*)::int FROM notifier.messages WHERE state = 'sending'"


def _mail(more: str) -> Mapping[str, str]:
    return {"campaigns/accounts/email.yaml": ACCOUNTS["email"] + more}


@pytest.mark.parametrize("redis", ["there", "gone"])
async def test_an_account_is_given_what_it_takes_a_second_and_nothing_waits_claimed(
    database: Database, settings: Settings, tmp_path: Path, redis: str
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=120, files=_mail("per_second: 50\n"))
    await launch_and_plan(database)
    if redis == "gone":
        settings = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    peer, claimed = Peer(), list[int]()
    async with open_with(settings, database, email=peer) as sender:
        begun = time.monotonic()
        work = asyncio.create_task(sender.drain_lane(3, budget_s=1.5))
        while not work.done():
            claimed += [count for (count,) in await fetch(database, SENDING)]
            await asyncio.sleep(0.05)
        await work
        took = time.monotonic() - begun
    rate = 50 * ORDINARY_SHARE
    assert 5 <= len(peer.taken) <= took * rate + 25
    assert max(claimed) <= 25
    await assert_tallies_agree(database)


async def test_without_redis_each_worker_takes_its_share(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=200, files=_mail("per_second: 50\n"))
    await launch_and_plan(database)
    for name in ("a", "b"):
        await execute(database, "INSERT INTO notifier.workers (name, lanes) VALUES ($1, '{3}')", name)
    nowhere = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    peer, begun = Peer(), time.monotonic()
    async with open_with(nowhere, database, "a", email=peer) as a, open_with(nowhere, database, "b", email=peer) as b:
        await asyncio.gather(*(one.drain_lane(3, budget_s=2.0) for one in (a, b)))
    took = time.monotonic() - begun
    assert len(peer.taken) <= took * 50 * ORDINARY_SHARE + 25


async def test_a_group_of_domains_gets_no_more_than_it_takes_and_holds_up_nobody(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    groups = _mail("groups: {big: {domains: [example.com], per_second: 2}}\n")
    await scene(database, settings, tmp_path, campaign(), contacts=60, files=groups)
    await execute(
        database, "UPDATE notifier.addresses SET address = replace(address, 'com', 'net') WHERE contact_id % 2 = 0"
    )
    await launch_and_plan(database)
    peer = Peer()
    async with open_with(settings, database, email=peer) as sender:
        await sender.drain_lane(3, budget_s=1.0)
    net = [one.to for one in peer.taken if one.to.endswith("net")]
    com = [one.to for one in peer.taken if one.to.endswith("com")]
    assert (len(net), 1 <= len(com) <= 6) == (30, True)
    rows = await fetch(
        database,
        """
        SELECT count(*)::int, max(attempts)::int, count(DISTINCT due_at) > 10,
            max(extract(epoch FROM due_at - notifier.now()))::float > 5
        FROM notifier.messages WHERE state = 'queued'
        """,
    )
    assert rows == [(30 - len(com), 0, True, True)]  # as they came, one behind the other
    assert await fetch(database, "SELECT count(*)::int FROM notifier.claims") == [(0,)]
    await assert_tallies_agree(database)


async def test_two_accounts_with_one_sender_share_its_rate(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    rate = "sender_per_second: 10\n"
    files = {**_mail(rate), "campaigns/accounts/spare.yaml": SPARE["campaigns/accounts/spare.yaml"] + rate}
    await scene(database, settings, tmp_path, campaign(), contacts=60, files=files)
    await launch_and_plan(database)
    first, second = Peer(), Peer()
    async with open_with(settings, database, email=first, spare=second) as sender:
        begun = time.monotonic()
        await sender.drain_lane(3, budget_s=1.0)
        await execute(
            database,
            "INSERT INTO notifier.paused_accounts (team_id, account, cause, reason, probe_at) "
            "VALUES (1, 'email', 'provider', 'down', now() + interval '1 hour')",
        )
        await asyncio.sleep(0.6)
        await sender.drain_lane(3, budget_s=1.0)
        took = time.monotonic() - begun
    assert second.taken
    assert len(first.taken) + len(second.taken) <= took * 10 * ORDINARY_SHARE + 5


async def test_sms_are_counted_in_parts(database: Database, settings: Settings, tmp_path: Path) -> None:
    files = {
        "campaigns/accounts/sms.yaml": ACCOUNTS["sms"] + "per_second: 10\n",
        "templates/note/sms.zh-CN.txt": "字" * 180,  # three parts with the signature
    }
    by_sms = campaign(steps="inform: {channels: [sms], template: note}")
    await scene(database, settings, tmp_path, by_sms, contacts=40, files=files)
    await execute(
        database,
        "INSERT INTO notifier.addresses (contact_id, channel, address, address_key) "
        "SELECT id, 'sms', '+1212555' || lpad((100 + id % 100)::text, 4, '0'), sha256(id::text::bytea) FROM notifier.contacts",
    )
    await launch_and_plan(database)
    peer = Peer()
    async with open_with(settings, database, sms=peer) as sender:
        begun = time.monotonic()
        await sender.drain_lane(3, budget_s=3.0)
        took = time.monotonic() - begun
    assert peer.taken
    assert len(peer.taken) * 3 <= took * 10 * ORDINARY_SHARE + 3 * 6


async def test_too_fast_slows_the_account_down_for_every_worker_and_spares_the_messages(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=150, files=_mail("per_second: 1000\n"))
    await launch_and_plan(database)
    told = TryAgain("too many requests at once", code="429", retry_after_s=30)
    peer = Peer(say=lambda one: told if peer.asked > 20 else None)
    async with open_with(settings, database, "a", email=peer) as a, open_with(settings, database, "b", email=peer) as b:
        await a.drain_lane(3, budget_s=1.0)
        asked, waiting = peer.asked, (await state_counts(database))["queued"]
        await b.drain_lane(3, budget_s=1.0)
        assert peer.asked == asked  # Retry-After holds for all
    assert waiting > 0
    assert await fetch(database, "SELECT max(attempts)::int FROM notifier.messages WHERE state = 'queued'") == [(0,)]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.paused_accounts") == [(0,)]


async def test_an_emergency_leaves_at_once_by_an_account_that_marketing_exhausts(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    marketing = campaign(purpose="marketing", more="topic: education\n")
    await scene(
        database,
        settings,
        tmp_path,
        marketing,
        campaign("alarm", purpose="emergency"),
        contacts=300,
        files=_mail("per_second: 20\n"),
        opt_in=("email",),
    )
    await launch_and_plan(database)
    peer = Peer()
    async with open_with(settings, database, email=peer) as sender:
        rush = asyncio.create_task(sender.drain_lane(4, budget_s=4.0))
        await asyncio.sleep(1.0)
        await execute(database, "UPDATE notifier.contacts SET kind = 'employee' WHERE external_id <> 'c000'")
        await execute(
            database,
            "DELETE FROM notifier.addresses WHERE contact_id NOT IN (SELECT id FROM notifier.contacts WHERE external_id = 'c000')",
        )
        await launch_and_plan(database, "alarm")
        begun = time.monotonic()
        while not any(one.urgent for one in peer.taken):
            await sender.drain_lane(1, budget_s=0.5)
            assert time.monotonic() - begun < 30
        took = time.monotonic() - begun
        await rush
    assert took < 5.0  # the backlog would take 18 s


async def test_without_redis_too_fast_halves_the_share_of_a_worker(database: Database) -> None:
    for name in ("a", "b", "c", "d"):
        await execute(database, "INSERT INTO notifier.workers (name, lanes) VALUES ($1, '{3}')", name)
    limits = Limits("redis://127.0.0.1:1/0", database)
    try:
        await limits.slow("b", 100, factor=HALF)
        await asyncio.sleep(1.5)
        (grant,) = await limits.take([Ask(bucket="b", per_second=100, want=64)], urgent=False)
    finally:
        await limits.aclose()
    assert 1 <= grant.granted <= 6  # half a second's worth of 80 % of 12.5, not of 25


async def test_a_channel_without_room_is_not_claimed_for_the_sake_of_another(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    both = campaign(steps="inform: {channels: [sms, email], template: note}")
    slow = {"campaigns/accounts/sms.yaml": ACCOUNTS["sms"] + "per_second: 2\n"}
    await set_now(database)
    await define(database, tmp_path, both, **slow)
    for number in range(80):
        await add_contact(database, settings, f"c{number:03}", phone=f"+1202555{number:04}")
    await launch_and_plan(database)
    mail, phone = Peer(), Peer()
    async with open_with(settings, database, email=mail, sms=phone) as sender:
        await sender.drain_lane(3, budget_s=2.0)
    assert (len(mail.taken), 2 <= len(phone.taken) <= 12) == (80, True)
    entered = "SELECT coalesce(sum(delta), 0)::int FROM notifier.tallies WHERE state = 'sending' AND delta > 0"
    ((claimed,),) = await fetch(database, entered)
    assert claimed <= 80 + 2 * len(phone.taken)
    await assert_tallies_agree(database)
