"""Apply: new versions only where something changed; what a file no longer defines is retired."""

import asyncio
from pathlib import Path

import pytest

from notifier.domain.errors import NotFound
from notifier.planning.apply import Change, apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.difference import find_differences
from notifier.store import definitions as stored
from notifier.store.database import Database
from tests.builders import campaign, define, fetch, write_folder


def _acts(changes: list[Change]) -> set[tuple[str, str, str]]:
    return {(change.act, change.kind, change.key) for change in changes}


async def test_applying_twice_changes_nothing(database: Database, tmp_path: Path) -> None:
    first = await define(database, tmp_path, campaign())
    assert {change.act for change in first} == {"added"}
    assert await define(database, tmp_path, campaign()) == []
    assert {row for (row,) in await fetch(database, "SELECT version FROM notifier.definitions")} == {1}


async def test_a_change_becomes_a_new_version_and_the_old_one_stays(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign())
    changes = await define(database, tmp_path, campaign(more="topic: notices\n"))
    assert _acts(changes) == {("changed", "campaign", "news")}
    rows = await fetch(database, "SELECT version FROM notifier.definitions WHERE key = 'news' ORDER BY 1")
    assert rows == [(1,), (2,)]


async def test_the_order_of_steps_is_a_change(database: Database, tmp_path: Path) -> None:
    one, two = "a: {channels: [email], template: note}\n", "b: {channels: [email], template: note}\n"
    await define(database, tmp_path, campaign(steps=one + two))
    assert _acts(await define(database, tmp_path, campaign(steps=two + one))) == {("changed", "campaign", "news")}


async def test_what_its_file_no_longer_defines_is_retired_and_can_come_back(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign(), campaign("other"))
    changes = await define(database, tmp_path, campaign(), **{"campaigns/other.yaml": None})
    assert _acts(changes) == {("retired", "campaign", "other")}
    async with database.transaction() as tx:
        with pytest.raises(NotFound, match="no campaign 'other'"):
            await stored.find_latest(tx, 1, "campaign", "other")
    assert _acts(await define(database, tmp_path, campaign(), campaign("other"))) == {("added", "campaign", "other")}


async def test_what_the_console_made_is_not_retired(database: Database, tmp_path: Path) -> None:
    async with database.transaction() as tx:
        await stored.add_version(tx, 1, kind="campaign", key="own", digest=b"x", spec={}, file="")
    assert ("retired", "campaign", "own") not in _acts(await define(database, tmp_path, campaign()))


async def test_a_dry_apply_says_and_does_nothing(database: Database, tmp_path: Path) -> None:
    found = load_definitions(write_folder(tmp_path, {}))
    assert await apply_definitions(database, found, dry=True)
    assert await fetch(database, "SELECT count(*) FROM notifier.definitions") == [(0,)]


async def test_two_applies_at_once_make_each_version_once(database: Database, tmp_path: Path) -> None:
    found = load_definitions(write_folder(tmp_path, {}))
    changes = await asyncio.gather(*(apply_definitions(database, found) for _ in range(3)))
    assert sorted(len(one) > 0 for one in changes) == [False, False, True]
    assert {row for (row,) in await fetch(database, "SELECT version FROM notifier.definitions")} == {1}


async def _take_over(database: Database, folder: Path) -> None:
    await define(database, folder, campaign())
    async with database.transaction() as tx:
        old = await stored.find_latest(tx, 1, "template", "note")
        spec = {**old.spec, "files": {**old.spec["files"], "sms.en.txt": "the console's"}}
        await stored.add_version(tx, 1, kind="template", key="note", digest=b"x", spec=spec, file="")


async def test_what_the_console_took_over_is_left_alone_and_said_to_be(database: Database, tmp_path: Path) -> None:
    await _take_over(database, tmp_path)
    assert _acts(await define(database, tmp_path, campaign())) == {("kept", "template", "note")}
    async with database.transaction() as tx:
        assert (await stored.find_latest(tx, 1, "template", "note")).version == 2
    (one,) = await find_differences(database, load_definitions(tmp_path))
    assert one.change.act == "kept"
    assert "-the console's" in one.lines


async def test_files_take_back_what_the_console_took_over(database: Database, tmp_path: Path) -> None:
    await _take_over(database, tmp_path)
    found = load_definitions(tmp_path)
    assert _acts(await apply_definitions(database, found, take_back=True)) == {("taken-back", "template", "note")}
    async with database.transaction() as tx:
        newest = await stored.find_latest(tx, 1, "template", "note")
    assert (newest.version, newest.file, newest.hash) == (
        3,
        "templates/note/template.yaml",
        found.templates["note"].hash,
    )
    assert await apply_definitions(database, found, take_back=True) == []


async def test_files_take_back_what_the_console_did_not_change(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign())
    async with database.transaction() as tx:
        old = await stored.find_latest(tx, 1, "template", "note")
        await stored.add_version(tx, 1, kind="template", key="note", digest=old.hash, spec=old.spec, file="")
    found = load_definitions(tmp_path)
    assert await apply_definitions(database, found) == []
    assert _acts(await apply_definitions(database, found, take_back=True)) == {("taken-back", "template", "note")}


async def test_each_change_is_audited_once_with_who_made_it(database: Database, tmp_path: Path) -> None:
    found = load_definitions(write_folder(tmp_path, {"campaigns/news.yaml": campaign()}))
    await apply_definitions(database, found, by="cli:lin")
    await apply_definitions(database, found, by="cli:chen")
    rows = await fetch(database, "SELECT actor, act FROM notifier.audit WHERE subject = 'campaign:news'")
    assert rows == [("cli:lin", "definition.added")]
