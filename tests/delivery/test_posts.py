"""Posts by hand: not sent before a person says so, never published late, taken back within a day."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.delivery.posts import check_post_link, mark_posted, take_back_posted
from notifier.delivery.settle import settle_doubts
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.message import State
from notifier.domain.person import Person
from notifier.domain.stop import Extent, Scope
from notifier.planning.control import cancel_run, stop_run
from notifier.planning.finish import end_finished_runs
from notifier.planning.stops import stop_above
from notifier.settings import Settings
from notifier.store import posts
from notifier.store.database import Database
from notifier.store.runs import Run
from tests.builders import (
    assert_tallies_agree,
    campaign,
    define,
    drain,
    execute,
    fetch,
    launch_and_plan,
    pass_time,
    set_now,
    state_counts,
)

LINK = "https://mp.weixin.example/s/1"


async def _post(database: Database, settings: Settings, folder: Path) -> tuple[Run, int]:
    """A run whose one post waits for a person."""
    await set_now(database)
    await define(database, folder, campaign(steps="post: {social: [paper], template: note}"))
    run = await launch_and_plan(database)
    await drain(settings, database)
    ((message_id,),) = await fetch(database, "SELECT id FROM notifier.messages")
    return run, message_id


async def _mark(database: Database, run: Run, message_id: int, link: str = LINK) -> None:
    async with database.transaction() as tx:
        await mark_posted(tx, 1, run.id, message_id, link=link, by="lin")


async def _take_back(database: Database, run: Run, message_id: int) -> None:
    async with database.transaction() as tx:
        await take_back_posted(tx, 1, run.id, message_id, by="lin")


async def _run_state(database: Database) -> str:
    ((state,),) = await fetch(database, "SELECT state FROM notifier.runs")
    return str(state)


async def test_a_post_is_sent_only_when_a_person_says_so(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    assert await state_counts(database) == {State.TO_POST: 1}
    assert await end_finished_runs(database) == 0
    await _mark(database, run, message_id)
    assert await fetch(database, "SELECT state, post_url, accepted_at IS NULL FROM notifier.messages") == [
        (State.ACCEPTED, LINK, False)
    ]
    assert await end_finished_runs(database) == 1
    await assert_tallies_agree(database)


async def test_a_post_is_marked_once_and_the_audit_knows_by_whom(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    await _mark(database, run, message_id)
    with pytest.raises(Conflict, match="does not wait"):
        await _mark(database, run, message_id)
    audited = await fetch(database, "SELECT actor, act, detail->>'link' FROM notifier.audit WHERE act LIKE 'post.%'")
    assert audited == [("lin", "post.published", LINK)]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "mp.weixin.example/s/1", "https://", "https://a b", ""])
def test_what_is_no_address_is_no_link_to_a_post(link: str) -> None:
    with pytest.raises(InputError):
        check_post_link(link)


async def test_a_post_nobody_published_in_time_expires_and_its_run_ends(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    await pass_time(database, timedelta(hours=23))
    await settle_doubts(database)
    assert await state_counts(database) == {State.TO_POST: 1}
    await pass_time(database, timedelta(hours=2))
    await settle_doubts(database)
    assert await state_counts(database) == {State.EXPIRED: 1}
    assert await end_finished_runs(database) == 1
    with pytest.raises(Conflict):
        await _mark(database, run, message_id)
    await assert_tallies_agree(database)


async def test_a_post_taken_back_waits_again_and_its_run_goes_on(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    await _mark(database, run, message_id)
    await end_finished_runs(database)
    await pass_time(database, timedelta(hours=23, minutes=30))
    await _take_back(database, run, message_id)
    assert (await state_counts(database), await _run_state(database)) == ({State.TO_POST: 1}, "running")
    await pass_time(database, timedelta(minutes=50))
    await settle_doubts(database)
    await _mark(database, run, message_id, "https://mp.weixin.example/s/2")
    kinds = await fetch(
        database, "SELECT kind FROM notifier.events WHERE kind IN ('posted', 'taken-back') ORDER BY at, event_key"
    )
    assert [kind for (kind,) in kinds] == ["posted", "taken-back", "posted"]
    await assert_tallies_agree(database)


async def test_a_post_is_taken_back_within_a_day_or_not_at_all(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    with pytest.raises(Conflict, match="not marked"):
        await _take_back(database, run, message_id)
    await _mark(database, run, message_id)
    await pass_time(database, timedelta(hours=25))
    with pytest.raises(Conflict, match="more than a day"):
        await _take_back(database, run, message_id)


async def test_what_no_person_posted_cannot_be_taken_back(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(steps="post: {social: [wall], template: note}"))
    run = await launch_and_plan(database)
    await drain(settings, database)
    ((message_id,),) = await fetch(database, "SELECT id FROM notifier.messages")
    with pytest.raises(Conflict, match="not marked"):
        await _take_back(database, run, message_id)


async def test_a_stopped_run_publishes_nothing_and_a_cancelled_one_withdraws_its_posts(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    async with database.transaction() as tx:
        await stop_run(tx, run.id, "lin")
    with pytest.raises(Conflict, match="stopped"):
        await _mark(database, run, message_id)
    async with database.transaction() as tx:
        assert await cancel_run(tx, run.id, "lin") == 1
    assert await state_counts(database) == {State.CANCELLED: 1}
    await assert_tallies_agree(database)


@pytest.mark.parametrize("extent", [Extent(scope=Scope.EVERYTHING), Extent(scope=Scope.CHANNEL, which="social")])
async def test_a_post_a_stop_holds_is_not_published(
    database: Database, settings: Settings, tmp_path: Path, extent: Extent
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    async with database.transaction() as tx:
        await stop_above(tx, 1, extent, reason="wrong picture", by=Person(name="lin"))
    with pytest.raises(Conflict, match="a stop holds it"):
        await _mark(database, run, message_id)
    assert await state_counts(database) == {State.TO_POST: 1}


async def test_posts_are_listed_as_tasks_and_then_as_done(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    async with database.transaction() as tx:
        (task,) = await posts.list_open_posts(tx, 1)
        assert (task.message_id, task.account, task.state) == (message_id, "paper", State.TO_POST)
        assert await posts.list_open_posts(tx, 2) == []
    await _mark(database, run, message_id)
    async with database.transaction() as tx:
        (done,) = await posts.list_done_posts(tx, 1, ["paper"])
        assert (done.url, done.posted_by, await posts.list_open_posts(tx, 1)) == (LINK, "lin", [])
        assert await posts.list_done_posts(tx, 1, ["wall"]) == []


async def test_another_teams_post_is_not_there(database: Database, settings: Settings, tmp_path: Path) -> None:
    run, message_id = await _post(database, settings, tmp_path)
    await execute(database, "INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING")
    async with database.transaction() as tx:
        with pytest.raises(NotFound):
            await mark_posted(tx, 2, run.id, message_id, link=LINK, by="lin")
