"""Room: tokens are taken for what leaves and come back for what does not; what may have arrived keeps its account."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.accounts import Accounts
from notifier.delivery.breaker import Breakers
from notifier.delivery.limits import Limits, account_bucket
from notifier.delivery.materials import Library, RunMaterials
from notifier.delivery.room import Room, Rooms
from notifier.delivery.settle import RECONCILE_FOR, settle_doubts
from notifier.domain.account import Account
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.rates import Ask, Grant
from tests.builders import ACCOUNTS, campaign, claim, execute, launch_and_plan, pass_time
from tests.delivery.scripted import SPARE, Peer, open_with, refused, scene, too_fast


@pytest.fixture
async def limits(database: Database, settings: Settings) -> AsyncIterator[Limits]:
    limits = Limits(settings.redis_url, database)
    yield limits
    await limits.aclose()


async def _open(
    database: Database, settings: Settings, tmp_path: Path, limits: Limits, *, more: str
) -> tuple[Rooms, RunMaterials, Account]:
    files = {"campaigns/accounts/email.yaml": ACCOUNTS["email"] + more}
    await scene(database, settings, tmp_path, campaign(), contacts=3, files=files)
    run = await launch_and_plan(database)
    materials = await Library(database).get(run.id)
    accounts = Accounts(settings, database)
    account, _ = await accounts.get(materials.accounts["email"])
    return Rooms(database, accounts, limits, Breakers(database)), materials, account


async def _take(limits: Limits, materials: RunMaterials, account: Account) -> Grant:
    bucket = account_bucket(materials.team_id, account)
    (grant,) = await limits.take([Ask(bucket=bucket, per_second=account.per_second or 0, want=1)], urgent=True)
    return grant


async def test_where_nothing_was_granted_nothing_is_charged(
    database: Database, settings: Settings, tmp_path: Path, limits: Limits
) -> None:
    rooms, materials, account = await _open(database, settings, tmp_path, limits, more="per_second: 0.1\n")
    granted = [await rooms.take_one(materials, account, 1, parts=3, address="a@example.com") for _ in range(30)]
    assert granted.count(True) == 1
    assert (await _take(limits, materials, account)).wait_s < 45  # three parts and the one that is asked for


async def test_what_another_account_takes_over_counts_for_its_group_of_domains(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    group = "groups: {big: {domains: [example.com], per_second: 1}}\n"
    files = {"campaigns/accounts/spare.yaml": SPARE["campaigns/accounts/spare.yaml"] + group}
    await scene(database, settings, tmp_path, campaign(), contacts=30, files=files)
    await launch_and_plan(database)
    second = Peer()
    async with open_with(settings, database, email=Peer(say=too_fast), spare=second) as sender:
        await sender.drain_lane(3, budget_s=0.5)
    assert 1 <= len(second.taken) < 15


async def test_what_was_claimed_by_a_worker_that_died_goes_by_the_first_account_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await scene(database, settings, tmp_path, campaign(), contacts=3, files=SPARE)
    run = await launch_and_plan(database)
    await claim(database, run.id)  # then the worker dies
    await execute(database, "UPDATE notifier.claims SET alive_until = now() - interval '1 s'")
    await settle_doubts(database)
    await pass_time(database, RECONCILE_FOR + timedelta(seconds=1))
    await settle_doubts(database)
    first, second = Peer(say=refused), Peer()
    async with open_with(settings, database, email=first, spare=second) as sender:
        await sender.drain_lane(3)
        assert (first.asked > 0, second.asked) == (True, 0)
        first.say = lambda _: None
        await pass_time(database, timedelta(hours=1))
        await sender.drain_lane(3)
    assert (len(first.taken), second.asked) == (3, 0)


async def test_room_that_is_not_used_is_there_for_other_workers_at_once(
    database: Database, settings: Settings, tmp_path: Path, limits: Limits
) -> None:
    rooms, materials, account = await _open(database, settings, tmp_path, limits, more="per_second: 0.01\n")
    room = await rooms.ask(materials, 3, want=64)
    assert room.left == {"email": 1}
    batch = replace(await claim(database, materials.run_id), messages=())
    await rooms.assign(batch, room, materials, 3)
    assert (await _take(limits, materials, account)).granted == 1


async def test_a_post_takes_a_token_of_its_account(
    database: Database, settings: Settings, tmp_path: Path, limits: Limits
) -> None:
    files = {"campaigns/accounts/wall.yaml": ACCOUNTS["wall"] + "per_second: 0.01\n"}
    posts = campaign(steps="post: {social: [wall], template: note}")
    await scene(database, settings, tmp_path, posts, contacts=0, files=files)
    run = await launch_and_plan(database)
    materials, accounts = await Library(database).get(run.id), Accounts(settings, database)
    account, _ = await accounts.get(materials.accounts["wall"])
    rooms = Rooms(database, accounts, limits, Breakers(database))
    batch = await claim(database, run.id)
    assigned = await rooms.assign(batch, Room(), materials, 3)
    assert list(assigned.accounts.values()) == ["wall"]
    assert not await rooms.take_one(materials, account, 1, parts=1, address="")
