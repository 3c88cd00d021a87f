"""Two people let a run out from the command line: who may, what they see, and what is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from notifier.embedded import Services
from notifier.store.database import open_database
from tests.builders import execute, fetch
from tests.cli.conftest import PASSWORD, Run, Said

GIVEN = f"{PASSWORD}\n"
WRONG = "--as: login or password is wrong"
REASON = "the branch is on fire, nobody else answers"


@pytest.fixture
def ready(applied: Run, contacts_file: Path, two_users: None) -> Run:
    """Definitions, contacts, an author and an approver."""
    assert applied("contacts", "import", str(contacts_file), "--map", "手机=phone", "--list", "visitors").code == 0
    return applied


def launch(run: Run, key: str = "measures-notice", login: str = "lin", *more: str) -> str:
    """The number of a run somebody launched."""
    said = run("campaign", "launch", key, "--example", "--as", login, "--yes", "--json", *more, given=GIVEN)
    assert said.code == 0, said.err
    return str(said.json["run"])


def seen(run: Run, number: str) -> str:
    """The hash of what would be released."""
    return str(run("campaign", "release", number, "--look", "--json").json["hash"])


def release(run: Run, number: str, login: str, *more: str) -> Said:
    """Somebody releases what stands there now."""
    digest = seen(run, number)[:12]
    return run("campaign", "release", number, "--as", login, "--hash", digest, "--yes", *more, given=GIVEN)


def state(run: Run, number: str) -> str:
    return str(run("campaign", "status", number, "--json").json["state"])


def rows(services: Services, sql: str) -> list[tuple[Any, ...]]:
    async def main() -> list[tuple[Any, ...]]:
        async with open_database(services.database_url, max_connections=1) as database:
            return await fetch(database, sql)

    return asyncio.run(main())


def change(services: Services, sql: str) -> None:
    async def main() -> None:
        async with open_database(services.database_url, max_connections=1) as database:
            await execute(database, sql)

    asyncio.run(main())


@pytest.mark.parametrize(
    "words",
    [
        ("launch", "measures-notice", "--example", "--yes"),
        ("submit", "1"),
        ("release", "1"),
        ("return", "1", "--reason", "x"),
        ("reschedule", "1", "--at", "now"),
        ("review", "1", "--note", "x"),
        ("fill", "1"),
    ],
    ids=lambda words: words[0],
)
def test_nobody_acts_without_a_name_and_its_password(ready: Run, words: tuple[str, ...]) -> None:
    assert "--as LOGIN" in ready("campaign", *words).err
    for login, given in (("lin", "not the password\n"), ("nobody", GIVEN), ("nobody", "x\n")):
        said = ready("campaign", *words, "--as", login, given=given)
        assert (said.code, WRONG in said.err) == (2, True)
    assert ready("campaign", *words, "--as", "lin", given="").code == 2
    assert ready("campaign", "status", "--json").json == []


def test_who_was_disabled_is_told_the_same_as_who_is_wrong(ready: Run) -> None:
    ready("user", "disable", "lin")
    said = ready("campaign", "launch", "measures-notice", "--example", "--as", "lin", "--yes", given=GIVEN)
    assert (said.code, WRONG in said.err) == (2, True)


def test_author_submits_and_colleague_releases(ready: Run, services: Services) -> None:
    number = launch(ready)
    assert state(ready, number) == "submitted"
    said = release(ready, number, "lin")
    assert (said.code, "releasing needs the role" in said.err) == (1, True)
    said = release(ready, number, "chen")
    assert (said.code, "is scheduled" in said.out) == (0, True), said.err
    acts = rows(services, "SELECT actor, act FROM notifier.audit WHERE subject LIKE 'run:%' ORDER BY id")
    assert acts == [("lin", "run.drafted"), ("lin", "run.submitted"), ("chen", "run.released")]


def test_an_approver_does_not_release_what_they_launched(ready: Run) -> None:
    number = launch(ready, login="chen")
    said = release(ready, number, "chen")
    assert (said.code, "you made or changed this run" in said.err) == (1, True)
    assert state(ready, number) == "submitted"


def test_an_author_who_becomes_an_approver_still_does_not(ready: Run) -> None:
    number = launch(ready)
    for role in ("approver", "admin"):
        assert ready("user", "role", "lin", role).code == 0
        assert "you made or changed this run" in release(ready, number, "lin").err
    assert state(ready, number) == "submitted"


def test_who_only_moves_the_time_is_an_author_too(ready: Run) -> None:
    number = launch(ready)
    moved = ready("campaign", "reschedule", number, "--at", "2030-03-16T09:00", "--as", "chen", "--json", given=GIVEN)
    assert (moved.json["state"], moved.json["nominal_at"]) == ("submitted", "2030-03-16T01:00:00+00:00")
    assert "you made or changed this run" in release(ready, number, "chen").err


def test_a_released_run_that_is_moved_has_to_be_released_again(ready: Run, services: Services) -> None:
    number = launch(ready)
    assert release(ready, number, "chen").code == 0
    ready("campaign", "reschedule", number, "--at", "2030-03-16T09:00", "--as", "lin", given=GIVEN)
    assert state(ready, number) == "submitted"
    assert rows(services, "SELECT count(*) FROM notifier.releases WHERE voided_at IS NULL") == [(0,)]
    assert release(ready, number, "chen").code == 0
    assert state(ready, number) == "scheduled"


def test_a_returned_run_says_why_and_is_submitted_again(ready: Run) -> None:
    number = launch(ready)
    said = ready("campaign", "return", number, "--reason", "the date is wrong", "--as", "chen", given=GIVEN)
    assert (said.code, state(ready, number)) == (0, "draft")
    assert "the date is wrong" in ready("campaign", "status", number).out
    assert release(ready, number, "chen").code == 1
    assert ready("campaign", "submit", number, "--as", "lin", given=GIVEN).code == 0
    assert state(ready, number) == "submitted"


def test_looking_shows_all_that_will_happen_and_releases_nothing(ready: Run) -> None:
    number = launch(ready, "branch-closure-alert")
    said = ready("campaign", "release", number, "--look")
    assert said.code == 0, said.err
    for words in ("lin (lin)", "once released", "emergency", "contacts meant", "template"):
        assert words in said.out
    facts = ready("campaign", "release", number, "--look", "--json").json
    assert f"hash {facts['hash'][:12]}" in said.out
    assert (facts["contacts"], facts["needs_second"], facts["authors"]) == (2, True, ["lin (lin)"])
    assert state(ready, number) == "submitted"


def test_nothing_is_released_unseen(ready: Run) -> None:
    number = launch(ready)
    said = ready("campaign", "release", number, "--as", "chen", "--yes", given=GIVEN)
    assert (said.code, "--hash" in said.err) == (2, True)
    assert ready("campaign", "release", number, "--as", "chen", given=GIVEN).code == 2  # nobody is here to confirm
    assert state(ready, number) == "submitted"


def test_what_changed_since_it_was_seen_is_not_released(ready: Run, tmp_path: Path) -> None:
    number = launch(ready)
    digest = seen(ready, number)
    more = tmp_path / "more.csv"
    more.write_text("external_id,name,email\n7,New,new@example.com\n")
    assert ready("contacts", "import", str(more)).code == 0
    said = ready("campaign", "release", number, "--as", "chen", "--hash", digest, "--yes", given=GIVEN)
    assert (said.code, "not what you looked at" in said.err) == (1, True)
    assert state(ready, number) == "submitted"


def test_an_emergency_is_released_alone_with_a_reason_and_reviewed_by_another(ready: Run, services: Services) -> None:
    number = launch(ready, "branch-closure-alert")
    assert release(ready, number, "lin", "--break-glass", "help").code == 2
    assert release(ready, number, "lin", "--break-glass", REASON).code == 0
    assert state(ready, number) == "scheduled"
    note = ("--note", "right and in time")
    assert ready("campaign", "review", number, *note, "--as", "lin", given=GIVEN).code == 1
    assert ready("campaign", "review", number, *note, "--as", "chen", given=GIVEN).code == 0
    assert rows(services, "SELECT break_glass, review_note FROM notifier.releases") == [(REASON, "right and in time")]


def test_glass_is_broken_for_emergencies_only(ready: Run) -> None:
    number = launch(ready)
    said = release(ready, number, "lin", "--break-glass", REASON)
    assert (said.code, "only an emergency" in said.err) == (1, True)
    assert state(ready, number) == "submitted"


def test_a_drill_goes_out_at_once(ready: Run) -> None:
    assert state(ready, launch(ready, "branch-closure-alert", "lin", "--drill")) == "scheduled"


def test_a_viewer_launches_nothing(ready: Run) -> None:
    ready("user", "role", "lin", "viewer")
    said = ready("campaign", "launch", "measures-notice", "--example", "--as", "lin", "--yes", given=GIVEN)
    assert said.code == 1
    assert ready("campaign", "status", "--json").json == []
