"""Release: what was seen is what goes out, by another person than who made it, whichever way they come."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from notifier.domain.errors import Conflict, Forbidden, InputError
from notifier.domain.person import Person, Role
from notifier.planning.acts import may_review, possible_acts
from notifier.planning.draft import Draft, draft_run, edit_run
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import plan_due
from notifier.planning.release import (
    release_facts,
    release_run,
    reschedule_run,
    return_run,
    review_break_glass,
    submit_run,
)
from notifier.settings import Settings
from notifier.store import releases, runs
from notifier.store.database import Database
from notifier.store.releases import Release
from notifier.store.runs import Run
from notifier.store.views.overview import list_unreviewed
from tests.builders import NOON, add_contact, campaign, define, execute, fetch, pass_time, person, set_now

STAFF = "audience: {kind: employee}\n"
ALARM = campaign("alarm", purpose="emergency")
FIX = (
    "campaign: fix\ntitle: {zh-CN: 更正, en: Fix}\npurpose: {of: corrects}\ninputs:\n"
    "  corrects: {type: run, label: {zh-CN: 更正, en: Corrects}}\n"
    "steps:\n  inform: {channels: [email], template: note, with: {word: 更正}}\n"
)
REASON = "flood at the branch, nobody else awake"


async def _scene(database: Database, settings: Settings, tmp_path: Path, contacts: int = 2) -> None:
    await set_now(database)
    await define(database, tmp_path, campaign(), ALARM, campaign("staff", more=STAFF))
    for number in range(contacts):
        await add_contact(database, settings, f"c{number}")


async def _person(database: Database, login: str, role: Role = Role.APPROVER) -> Person:
    async with database.transaction() as tx:
        return await person(tx, login, role)


async def _submitted(database: Database, by: Person, **what: object) -> Run:
    draft = Draft(**{"campaign_key": "news", **what})  # type: ignore[arg-type]
    async with database.transaction() as tx:
        run = await draft_run(tx, team_id=1, draft=draft, by=by)
        return await submit_run(tx, run.id, by)


async def _seen(database: Database, run: Run) -> bytes:
    async with database.transaction() as tx:
        return (await release_facts(tx, await runs.get_run(tx, run.id))).hash


async def _release(database: Database, run: Run, by: Person, *, seen: bytes | None = None, reason: str = "") -> Run:
    wanted = await _seen(database, run) if seen is None else seen
    async with database.transaction() as tx:
        return await release_run(tx, run.id, by, hash=wanted, break_glass=reason)


async def _acts(database: Database) -> list[str]:
    return [
        act
        for (act,) in await fetch(
            database, "SELECT act FROM notifier.audit WHERE act NOT LIKE 'definition.%' ORDER BY id"
        )
    ]


async def test_another_person_releases(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin", Role.AUTHOR), await _person(database, "chen")
    run = await _submitted(database, lin)
    assert (await plan_due(database)).messages == 0
    assert (await _release(database, run, chen)).state == "scheduled"
    assert (await plan_due(database)).messages == 2
    assert await _acts(database) == ["run.drafted", "run.submitted", "run.released"]
    assert await fetch(database, "SELECT authors, user_id, break_glass FROM notifier.releases") == [
        ([lin.user_id], chen.user_id, "")
    ]


async def test_the_author_never_releases_whatever_became_of_their_role(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin = await _person(database, "lin", Role.AUTHOR)
    run = await _submitted(database, lin)
    with pytest.raises(Forbidden, match="role of an approver"):
        await _release(database, run, lin)
    await execute(database, "UPDATE notifier.users SET role = 'admin'")
    with pytest.raises(Forbidden, match="another person"):
        await _release(database, run, replace(lin, role=Role.ADMIN))
    as_key = replace(lin, name="api-key:1", role=Role.ADMIN)
    with pytest.raises(Forbidden, match="another person"):
        await _release(database, run, as_key)
    assert await fetch(database, "SELECT count(*) FROM notifier.releases") == [(0,)]


async def test_the_role_counts_that_a_person_has_at_the_moment(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    run = await _submitted(database, await _person(database, "lin", Role.AUTHOR))
    chen = await _person(database, "chen")
    await execute(database, "UPDATE notifier.users SET role = 'viewer' WHERE login = 'chen'")
    with pytest.raises(Forbidden, match="role of an approver"):
        await _release(database, run, chen)
    await execute(database, "UPDATE notifier.users SET role = 'admin', disabled_at = now() WHERE login = 'chen'")
    with pytest.raises(Forbidden, match="role of an approver"):
        await _release(database, run, chen)


async def test_who_changed_a_run_is_one_of_its_authors(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    run = await _submitted(database, lin)
    async with database.transaction() as tx:
        await edit_run(tx, run.id, Draft(campaign_key="news", inputs={"word": "改"}), chen)
        run = await submit_run(tx, run.id, chen)
    for one in (lin, chen):
        with pytest.raises(Forbidden, match="another person"):
            await _release(database, run, one)
    assert (await _release(database, run, await _person(database, "wang"))).state == "scheduled"


async def test_a_key_of_nobody_releases_nothing(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    run = await _submitted(database, await _person(database, "lin"))
    with pytest.raises(Forbidden, match="a person has to release"):
        await _release(database, run, Person(name="api-key:9", role=Role.ADMIN))


async def test_the_table_itself_refuses_one_pair_of_eyes(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin = await _person(database, "lin")
    run = await _submitted(database, lin)
    insert = """INSERT INTO notifier.releases (team_id, run_id, hash, facts, authors, user_id, needs_second)
        VALUES (1, $1, '', '{}', ARRAY[$2::bigint], $3::bigint, true)"""
    for user_id in (lin.user_id, None):
        with pytest.raises(asyncpg.CheckViolationError, match="releases_four_eyes"):
            await execute(database, insert, run.id, lin.user_id, user_id)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO notifier.contacts (team_id, external_id, kind) VALUES (1, 'new', 'customer')",
        'UPDATE notifier.runs SET inputs = \'{"word": "other"}\'',
        "UPDATE notifier.runs SET nominal_at = nominal_at + interval '1 hour', at_once = false",
        "UPDATE notifier.runs SET drill = NOT drill",
        "UPDATE notifier.runs SET audience_list = 'some'",
        "UPDATE notifier.runs SET pinned = jsonb_set(pinned, '{accounts}', '{}')",
    ],
)
async def test_what_changed_since_it_was_seen_is_not_released(
    database: Database, settings: Settings, tmp_path: Path, change: str
) -> None:
    await _scene(database, settings, tmp_path)
    run = await _submitted(database, await _person(database, "lin"))
    seen = await _seen(database, run)
    await execute(database, change)
    with pytest.raises(Conflict, match="not what you looked at"):
        await _release(database, run, await _person(database, "chen"), seen=seen)


async def test_an_edit_voids_the_release(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    at = NOON + timedelta(hours=2)
    run = await _submitted(database, lin, at=at)
    await _release(database, run, chen)
    async with database.transaction() as tx:
        moved = await reschedule_run(tx, run.id, at + timedelta(hours=1), lin)
    assert (moved.state, moved.nominal_at) == ("submitted", at + timedelta(hours=1))
    assert await fetch(database, "SELECT voided_at IS NOT NULL FROM notifier.releases") == [(True,)]
    await pass_time(database, timedelta(hours=4))
    assert (await plan_due(database)).messages == 0
    await _release(database, moved, chen)
    assert (await plan_due(database)).messages == 2


async def test_a_run_that_is_not_what_was_released_is_called_back(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    run = await _submitted(database, await _person(database, "lin"), at=NOON + timedelta(hours=1))
    await _release(database, run, await _person(database, "chen"))
    await execute(database, 'UPDATE notifier.runs SET inputs = \'{"word": "forged"}\'')
    await pass_time(database, timedelta(hours=1, minutes=1))
    assert (await plan_due(database)).messages == 0
    assert await fetch(database, "SELECT state, problem FROM notifier.runs") == [
        ("submitted", "it is not what was released")
    ]


@pytest.mark.parametrize(("more", "goes"), [(10, True), (11, False)])
async def test_an_audience_that_grew_since_the_release_is_looked_at_again(
    database: Database, settings: Settings, tmp_path: Path, more: int, goes: bool
) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    run = await _submitted(database, lin, at=NOON + timedelta(hours=1))
    await _release(database, run, chen)
    for number in range(more):
        await add_contact(database, settings, f"new{number}")
    await pass_time(database, timedelta(hours=1, minutes=1))
    assert bool((await plan_due(database)).messages) is goes
    ((state, problem),) = await fetch(database, "SELECT state, problem FROM notifier.runs")
    assert (state, problem) == (
        ("running", "")
        if goes
        else ("submitted", "it was released for 2 contacts and now means 13: it has to be released again")
    )
    if not goes:
        await _release(database, run, chen)
        assert (await plan_due(database)).messages == 13


async def test_a_returned_run_is_its_authors_again(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    run = await _submitted(database, lin)
    async with database.transaction() as tx:
        with pytest.raises(InputError, match="reason"):
            await return_run(tx, run.id, chen, " ")
        returned = await return_run(tx, run.id, chen, "the date is wrong")
    assert (returned.state, returned.problem) == ("draft", "the date is wrong")
    with pytest.raises(Conflict, match="only a submitted run"):
        await _release(database, returned, chen)


async def test_what_reaches_no_customer_needs_no_second_person(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin = await _person(database, "lin", Role.AUTHOR)
    async with database.transaction() as tx:
        staff = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="staff"), by=lin)
        drill = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="alarm", drill=True), by=lin)
        real = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="alarm"), by=lin)
    assert (staff.state, drill.state, real.state) == ("scheduled", "scheduled", "submitted")
    told = "SELECT detail -> 'drill' FROM notifier.audit WHERE act = 'run.released' ORDER BY id"
    assert await fetch(database, told) == [(None,), (True,)]


async def test_breaking_the_glass_is_for_emergencies_and_is_reviewed_by_another(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin", Role.AUTHOR), await _person(database, "chen")
    news, alarm = await _submitted(database, lin), await _submitted(database, lin, campaign_key="alarm")
    with pytest.raises(Forbidden, match="only an emergency"):
        await _release(database, news, lin, reason=REASON)
    with pytest.raises(InputError, match="at least 5"):
        await _release(database, alarm, lin, reason="help")
    assert (await _release(database, alarm, lin, reason=REASON)).state == "scheduled"
    assert "run.glass_broken" in await _acts(database)
    async with database.transaction() as tx:
        with pytest.raises(Forbidden, match="approver"):
            await review_break_glass(tx, alarm.id, lin, "fine")
        await review_break_glass(tx, alarm.id, chen, "was right to do so")
        with pytest.raises(Conflict, match="no release that waits"):
            await review_break_glass(tx, alarm.id, chen, "again")
    assert await fetch(database, "SELECT reviewed_by, review_note FROM notifier.releases") == [
        (chen.user_id, "was right to do so")
    ]


async def test_who_made_what_another_released_alone_does_not_review_it(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin, chen = await _person(database, "lin"), await _person(database, "chen", Role.OPERATOR)
    alarm = await _submitted(database, lin, campaign_key="alarm")
    await _release(database, alarm, chen, reason=REASON)
    release = await _alone(database, alarm)
    assert not may_review(release, lin)
    async with database.transaction() as tx:
        with pytest.raises(Forbidden, match="you made or changed this run: another person has to review it"):
            await review_break_glass(tx, alarm.id, lin, "fine")
        (mine,) = await list_unreviewed(tx, 1, lin.user_id or 0)
        (theirs,) = await list_unreviewed(tx, 1, 0)
    assert (mine.is_mine, theirs.is_mine) == (True, False)
    wang = await _person(database, "wang")
    assert may_review(release, wang)
    async with database.transaction() as tx:
        await review_break_glass(tx, alarm.id, wang, "fine")


async def _alone(database: Database, run: Run) -> Release:
    async with database.transaction() as tx:
        found = await releases.find_unreviewed(tx, run.id)
    assert found
    return found


@pytest.mark.parametrize(("days", "alone"), [(6, True), (8, False)])
async def test_only_what_corrects_a_fresh_emergency_has_a_glass_to_break(
    database: Database, settings: Settings, tmp_path: Path, days: int, alone: bool
) -> None:
    await _scene(database, settings, tmp_path)
    await define(database, tmp_path, ALARM, FIX)
    lin, chen = await _person(database, "lin", Role.AUTHOR), await _person(database, "chen")
    alarm = await _submitted(database, lin, campaign_key="alarm")
    await _release(database, alarm, chen)
    early = await _submitted(database, lin, campaign_key="fix", inputs={"corrects": alarm.id})
    assert not await _may_break(database, early, lin)  # what it corrects has not started
    await plan_due(database)
    await pass_time(database, timedelta(days=days))
    fix = await _submitted(database, lin, campaign_key="fix", inputs={"corrects": alarm.id})
    assert fix.purpose == "emergency"
    assert await _may_break(database, fix, lin) is alone
    if alone:
        assert (await _release(database, fix, lin, reason=REASON)).state == "scheduled"
        return
    with pytest.raises(Forbidden, match="corrects no emergency that started within the last 7 days"):
        await _release(database, fix, lin, reason=REASON)
    assert (await _release(database, fix, chen)).state == "scheduled"


async def _may_break(database: Database, run: Run, by: Person) -> bool:
    async with database.transaction() as tx:
        return possible_acts(run, await release_facts(tx, run), by).break_glass


async def test_a_run_too_late_is_not_released(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    run = await _submitted(database, await _person(database, "lin"), at=NOON + timedelta(hours=1))
    await pass_time(database, timedelta(hours=26))
    with pytest.raises(Conflict, match="is over: choose another"):
        await _release(database, run, await _person(database, "chen"))


async def test_what_has_begun_is_not_edited(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    lin = await _person(database, "lin")
    run = await _submitted(database, lin)
    await _release(database, run, await _person(database, "chen"))
    await plan_due(database)
    async with database.transaction() as tx:
        with pytest.raises(Conflict, match="cannot be changed any more"):
            await edit_run(tx, run.id, Draft(campaign_key="news"), lin)


async def test_breaking_the_glass_is_told_to_every_approver(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin, _ = await _person(database, "lin", Role.AUTHOR), await _person(database, "chen")
    await execute(database, "UPDATE notifier.users SET email = login || '@example.com'")
    await _release(database, await _submitted(database, lin, campaign_key="alarm"), lin, reason=REASON)
    assert await fetch(database, "SELECT kind, address FROM notifier.notes") == [("alarm", "chen@example.com")]


async def test_a_segment_narrows_whom_a_run_means(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    segment = "segment: one\ntitle: {zh-CN: 一, en: One}\naudience: {attribute: name, is: 李雷}\n"
    await define(database, tmp_path, campaign(), **{"campaigns/segments/one.yaml": segment})
    await add_contact(database, settings, "lilei", name="李雷")
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    with pytest.raises(InputError, match="segment: there is no segment 'two'"):
        await _submitted(database, lin, segment="two")
    run = await _submitted(database, lin, segment="one")
    await _release(database, run, chen)
    assert (await plan_due(database)).messages == 1


async def test_what_follows_an_exercise_is_one(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path)
    await define(database, tmp_path, ALARM, FIX)
    lin = await _person(database, "lin", Role.AUTHOR)
    async with database.transaction() as tx:
        drill = await launch_campaign(tx, team_id=1, draft=Draft(campaign_key="alarm", drill=True), by=lin)
        draft = Draft(campaign_key="fix", inputs={"corrects": drill.id})
        assert (await launch_campaign(tx, team_id=1, draft=draft, by=lin)).drill


async def test_a_list_exchanged_after_the_release_is_looked_at_again(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, contacts=4)
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'few')")
    member = "INSERT INTO notifier.list_members SELECT l.id, c.id FROM notifier.lists l, notifier.contacts c WHERE c.external_id = $1"
    await execute(database, member, "c0")
    lin, chen = await _person(database, "lin"), await _person(database, "chen")
    run = await _submitted(database, lin, audience_list="few", at=NOON + timedelta(hours=1))
    await _release(database, run, chen)
    await execute(database, "DELETE FROM notifier.list_members")
    await execute(database, member, "c1")
    await pass_time(database, timedelta(hours=1, minutes=1))
    assert (await plan_due(database)).messages == 0
    ((state, problem),) = await fetch(database, "SELECT state, problem FROM notifier.runs")
    assert (state, "list was changed" in problem) == ("submitted", True)


async def test_who_wrote_the_text_of_an_emergency_does_not_release_it_alone(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    lin, wang = await _person(database, "lin", Role.AUTHOR), await _person(database, "wang", Role.AUTHOR)
    await execute(
        database, "UPDATE notifier.definitions SET author_id = $1, file = '' WHERE kind = 'template'", lin.user_id
    )
    run = await _submitted(database, lin, campaign_key="alarm")
    with pytest.raises(Forbidden, match="you wrote these texts"):
        await _release(database, run, lin, reason=REASON)
    assert (await _release(database, run, wang, reason=REASON)).state == "scheduled"
