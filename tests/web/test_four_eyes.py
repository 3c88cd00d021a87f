"""Nobody lets out what they made: not by a key, not after a promotion, not by a session or a key from before."""

from pathlib import Path

import pytest

from notifier.domain.errors import Forbidden
from notifier.domain.person import Person
from notifier.planning.draft import Draft, edit_run
from notifier.planning.launch import launch_campaign
from notifier.planning.release import release_facts, release_run, submit_run
from notifier.settings import Settings
from notifier.store import access, runs
from notifier.store.access import User
from notifier.store.database import Database
from notifier.store.runs import Run
from notifier.web.access import people
from notifier.web.access.keys import create_api_key, find_key
from notifier.web.access.sessions import Visitor
from notifier.web.api.keyed import person
from tests.builders import add_contact, campaign, define, fetch, set_now
from tests.web.rooms import add_user

NEWS = Draft(campaign_key="news")


@pytest.fixture
async def bank(database: Database, settings: Settings, tmp_path: Path) -> Database:
    """A campaign to customers; lin writes, chen and zhou approve, gao administers."""
    await set_now(database)
    await define(database, tmp_path, campaign())
    await add_contact(database, settings, "c1")
    for login, role in (("lin", "author"), ("chen", "approver"), ("zhou", "approver"), ("gao", "admin")):
        await add_user(database, login, role)
    return database


async def _at_the_console(database: Database, login: str) -> Person:
    async with database.transaction() as tx:
        user = await access.find_user(tx, login)
    assert isinstance(user, User)
    return Visitor(user=user, token="t", form_token="f").person


async def _by_key(database: Database, login: str, *scopes: str) -> Person:
    """A key of the user, as a request that comes in with it is seen."""
    async with database.transaction() as tx:
        token = await create_api_key(tx, name="laptop", scopes=scopes or ("read", "send"), by="gao", login=login)
        key = await find_key(tx, token)
    assert key is not None
    return person(key)


async def _launch(database: Database, by: Person) -> Run:
    async with database.transaction() as tx:
        return await launch_campaign(tx, team_id=1, draft=NEWS, by=by)


async def _release(database: Database, run: Run, by: Person) -> Run:
    async with database.transaction() as tx:
        found = await release_facts(tx, await runs.get_run(tx, run.id))
        return await release_run(tx, run.id, by, hash=found.hash)


async def _refused(database: Database, run: Run, by: Person, why: str) -> None:
    with pytest.raises(Forbidden, match=why):
        await _release(database, run, by)
    assert await fetch(database, "SELECT 1 FROM notifier.releases") == []


async def test_a_key_of_an_approver_lets_out_what_another_made(bank: Database) -> None:
    run = await _launch(bank, await _by_key(bank, "lin"))
    assert (await _release(bank, run, await _by_key(bank, "chen", "release"))).state == "scheduled"


async def test_what_my_key_made_i_do_not_let_out_and_the_other_way_round(bank: Database) -> None:
    by_key = await _launch(bank, await _by_key(bank, "chen"))
    await _refused(bank, by_key, await _at_the_console(bank, "chen"), "another person")
    by_hand = await _launch(bank, await _at_the_console(bank, "zhou"))
    await _refused(bank, by_hand, await _by_key(bank, "zhou", "release"), "another person")


async def test_two_keys_of_one_user_are_one_person(bank: Database) -> None:
    run = await _launch(bank, await _by_key(bank, "chen"))
    await _refused(bank, run, await _by_key(bank, "chen", "release"), "another person")


async def test_a_systems_key_lets_nothing_out(bank: Database) -> None:
    run = await _launch(bank, await _by_key(bank, "lin"))
    await _refused(bank, run, await _by_key(bank, ""), "a person has to release")


@pytest.mark.parametrize("role", ["approver", "admin"])
async def test_who_is_promoted_does_not_let_out_what_they_made_before(bank: Database, role: str) -> None:
    run = await _launch(bank, await _at_the_console(bank, "lin"))
    async with bank.transaction() as tx:
        await people.change_role(tx, 1, "lin", role, by="gao")
    await _refused(bank, run, await _at_the_console(bank, "lin"), "another person")
    await _refused(bank, run, await _by_key(bank, "lin", "release"), "another person")


async def test_who_changes_anothers_run_does_not_let_it_out_nor_does_who_made_it(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "zhou"))
    chen = await _by_key(bank, "chen")
    async with bank.transaction() as tx:
        await edit_run(tx, run.id, NEWS, chen)
        await submit_run(tx, run.id, chen)
    for login in ("zhou", "chen"):
        await _refused(bank, run, await _at_the_console(bank, login), "another person")
    assert (await _release(bank, run, await _at_the_console(bank, "gao"))).state == "scheduled"


async def test_who_submits_anothers_draft_does_not_let_it_out(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "lin"))
    chen = await _at_the_console(bank, "chen")
    async with bank.transaction() as tx:
        await edit_run(tx, run.id, NEWS, await _at_the_console(bank, "lin"))
        await submit_run(tx, run.id, chen)
    await _refused(bank, run, chen, "another person")


async def test_an_admin_who_made_it_does_not_let_it_out_either(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "gao"))
    await _refused(bank, run, await _at_the_console(bank, "gao"), "another person")


async def test_a_session_or_key_from_before_a_demotion_lets_nothing_out(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "lin"))
    from_before = [await _at_the_console(bank, "chen"), await _by_key(bank, "chen", "release")]
    async with bank.transaction() as tx:
        await people.change_role(tx, 1, "chen", "author", by="gao")
    for one in from_before:
        await _refused(bank, run, one, "role of an approver")


async def test_a_session_or_key_from_before_one_was_disabled_lets_nothing_out(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "lin"))
    from_before = [await _at_the_console(bank, "chen"), await _by_key(bank, "chen", "release")]
    async with bank.transaction() as tx:
        await people.disable_user(tx, 1, "chen", by="gao")
    for one in from_before:
        await _refused(bank, run, one, "role of an approver")


async def test_a_demoted_author_stays_the_author_when_they_come_back_as_another_role(bank: Database) -> None:
    run = await _launch(bank, await _at_the_console(bank, "chen"))
    for role in ("viewer", "approver"):
        async with bank.transaction() as tx:
            await people.change_role(tx, 1, "chen", role, by="gao")
    await _refused(bank, run, await _at_the_console(bank, "chen"), "another person")
