"""What a page offers is what the stages would do."""

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.domain.person import Person, Role
from notifier.planning.acts import Acts, Hindrance, possible_acts
from notifier.planning.draft import Draft, draft_run
from notifier.planning.release import submit_run
from notifier.planning.review import review_run
from notifier.store.database import Database, Tx
from notifier.store.runs import Run
from tests.builders import NOON, campaign, define, person, set_now

STAFF = "audience: {kind: employee}\n"


async def _drafted(tx: Tx, author: Person, *, submitted: bool = True) -> Run:
    draft = Draft(campaign_key="news", at=NOON + timedelta(hours=1))
    run = await draft_run(tx, team_id=1, draft=draft, by=author)
    return await submit_run(tx, run.id, author) if submitted else run


async def _acts(tx: Tx, run: Run, by: Person) -> Acts:
    return possible_acts(run, (await review_run(tx, run)).facts, by)


async def _define(database: Database, folder: Path, *, purpose: str = "service", more: str = "") -> None:
    await set_now(database)
    await define(database, folder, campaign(purpose=purpose, more=more))


@pytest.mark.parametrize(
    ("login", "role", "hindrance"),
    [
        ("boss", Role.APPROVER, None),
        ("root", Role.ADMIN, None),
        ("mate", Role.AUTHOR, Hindrance.ROLE),
        ("crew", Role.OPERATOR, Hindrance.ROLE),
        ("look", Role.VIEWER, Hindrance.ROLE),
        ("mine", Role.APPROVER, Hindrance.AUTHOR),
    ],
)
async def test_who_may_release_what_reaches_customers(
    database: Database, tmp_path: Path, login: str, role: Role, hindrance: Hindrance | None
) -> None:
    await _define(database, tmp_path)
    async with database.transaction() as tx:
        run = await _drafted(tx, await person(tx, "mine"))
        found = await _acts(tx, run, await person(tx, login, role))
    assert found.hindrance is hindrance
    assert found.release is (hindrance is None)
    assert not found.break_glass
    assert found.give_back is (login not in {"mine", "look"})


async def test_only_an_emergency_has_a_glass_to_break(database: Database, tmp_path: Path) -> None:
    await _define(database, tmp_path, purpose="emergency")
    async with database.transaction() as tx:
        author = await person(tx, "mine", Role.AUTHOR)
        run = await _drafted(tx, author)
        assert (await _acts(tx, run, author)).break_glass
        assert not (await _acts(tx, run, await person(tx, "boss"))).break_glass
        assert not (await _acts(tx, run, await person(tx, "look", Role.VIEWER))).break_glass


async def test_what_reaches_staff_alone_is_released_by_its_author(database: Database, tmp_path: Path) -> None:
    await _define(database, tmp_path, more=STAFF)
    async with database.transaction() as tx:
        author = await person(tx, "mine", Role.AUTHOR)
        assert (await _acts(tx, await _drafted(tx, author), author)).release


async def test_a_draft_is_submitted_and_a_viewer_only_looks(database: Database, tmp_path: Path) -> None:
    await _define(database, tmp_path)
    async with database.transaction() as tx:
        author = await person(tx, "mine", Role.AUTHOR)
        run = await _drafted(tx, author, submitted=False)
        mine, theirs = await _acts(tx, run, author), await _acts(tx, run, await person(tx, "look", Role.VIEWER))
    assert (mine.edit, mine.submit, mine.test, mine.release, mine.hindrance) == (True, True, True, False, None)
    assert (theirs.edit, theirs.submit, theirs.test, theirs.give_back) == (False, False, False, False)
