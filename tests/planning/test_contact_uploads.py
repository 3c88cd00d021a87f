"""A file sent to the desk is looked at first, read by whoever lives, and stopped by anybody who may."""

import asyncio
import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from notifier.domain.contact import ContactKind
from notifier.domain.contact_import import ImportState
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.person import Person, Role
from notifier.planning.contact_import import uploads
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.preview import Preview
from notifier.planning.contact_import.uploads import file_name, keep_upload, show_preview, start_import, stop_import
from notifier.planning.contact_import.work import read_waiting_imports
from notifier.store import imports
from notifier.store.contacts import get_contact
from notifier.store.database import Database
from notifier.store.imports import ImportLine
from tests.builders import define, execute, fetch
from tests.planning.test_contact_import import BANK, KEY

LIN = Person(name="lin", role=Role.AUTHOR)
PEOPLE = "客户号,姓名,email,city\nA,王芳,a@example.com,Bonn\nB,李雷,wrong,Ulm\nC,=cmd,,Köln\n"


class Desk:
    """Sends files and lets a worker read them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder

    async def send(self, data: str | bytes, name: str = "people.csv") -> int:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return await keep_upload(self.database, path, team_id=1, by=LIN)

    async def line(self, import_id: int) -> ImportLine:
        async with self.database.transaction() as tx:
            return await imports.get_import(tx, 1, import_id)

    async def preview(self, import_id: int, **options: object) -> Preview:
        async with self.database.transaction() as tx:
            line = await imports.get_import(tx, 1, import_id)
            return await show_preview(tx, line, replace(ImportOptions(), **options), bank=BANK)  # type: ignore[arg-type]

    async def start(self, import_id: int, *, is_demo: bool = False, **options: object) -> None:
        async with self.database.transaction() as tx:
            line = await imports.get_import(tx, 1, import_id)
            await start_import(tx, line, replace(ImportOptions(), **options), by=LIN, is_demo=is_demo)  # type: ignore[arg-type]

    async def read(self, shall_end: Callable[[], bool] = lambda: False) -> int:
        return await read_waiting_imports(self.database, address_hash_key=KEY, shall_end=shall_end)

    async def begun(self, import_id: int) -> None:
        """Until its first batch is written."""
        for _ in range(3_000):
            if (await self.line(import_id)).read_rows:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nothing was read")

    async def errors(self, import_id: int) -> list[dict[str, str]]:
        async with self.database.transaction() as tx:
            data = await imports.get_errors(tx, 1, import_id)
        return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))

    async def contacts(self) -> int:
        found: int = (await fetch(self.database, "SELECT count(*)::int FROM notifier.contacts"))[0][0]
        return found


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> Desk:
    await define(database, tmp_path / "definitions")
    return Desk(database, tmp_path)


def rows(count: int) -> str:
    return "id,age\n" + "".join(f"N{number:06},{number}\n" for number in range(count))


async def test_the_preview_says_what_each_column_and_row_becomes_and_writes_nothing(desk: Desk) -> None:
    shown = await desk.preview(await desk.send(PEOPLE))
    assert [(one.title, one.target) for one in shown.columns] == [
        ("客户号", "external_id"),
        ("姓名", "name"),
        ("email", "email"),
        ("city", "attributes.city"),
    ]
    assert shown.columns[1].samples == ("王芳", "李雷", "=cmd")
    assert (shown.sample.counted, shown.sample.is_exact, shown.wrong_rows) == (3, True, 1)
    assert shown.rows[0].contact
    assert shown.rows[0].contact.name == "王芳"
    assert [problem.column for problem in shown.rows[1].problems] == ["email"]
    assert await desk.contacts() == 0


async def test_a_file_nothing_names_a_contact_in_can_be_mapped(desk: Desk) -> None:
    import_id = await desk.send("Nr,wer\n7,Bob\n")
    shown = await desk.preview(import_id)
    assert shown.problem
    assert "no column says who" in str(shown.problem)
    assert "external_id" in shown.columns[0].choices
    with pytest.raises(InputError, match="no column says who"):
        await desk.start(import_id)
    await desk.start(import_id, mapping={"Nr": "external_id", "wer": "name"}, kind=ContactKind.EMPLOYEE, locale="en")
    await desk.read()
    async with desk.database.transaction() as tx:
        found = await get_contact(tx, 1, "7")
    assert found
    assert (found.contact.name, found.contact.kind, found.contact.locale) == ("Bob", ContactKind.EMPLOYEE, "en")


async def test_a_started_import_is_read_with_an_exact_account_and_its_file_is_forgotten(desk: Desk) -> None:
    import_id = await desk.send(PEOPLE)
    await desk.start(import_id, list_key="visitors")
    assert await desk.read() == 1
    line = await desk.line(import_id)
    assert (line.state, line.read_rows, line.added, line.rejected) == (ImportState.DONE, 3, 2, 1)
    assert (line.done_bytes, line.has_errors) == (line.size_bytes, True)
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.list_members") == [(2,)]
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.import_parts") == [(0,)]
    assert await fetch(desk.database, "SELECT sample FROM notifier.imports") == [(None,)]
    assert [problem["row"] for problem in await desk.errors(import_id)] == ["3"]
    acts = await fetch(
        desk.database, "SELECT act, actor FROM notifier.audit WHERE act NOT LIKE 'definition.%' ORDER BY id"
    )
    assert acts == [("import.uploaded", "lin"), ("import.started", "lin")]


async def test_the_errors_of_a_sent_file_hold_no_formula(desk: Desk) -> None:
    import_id = await desk.send("id,email\n=1+1,nobody\n")
    await desk.start(import_id)
    await desk.read()
    assert (await desk.errors(import_id))[0]["external_id"] == "'=1+1"


async def test_a_form_sent_twice_starts_one_import(desk: Desk) -> None:
    import_id = await desk.send(PEOPLE)
    await desk.start(import_id, list_key="one")
    await desk.start(import_id, list_key="two")
    assert await desk.read() == 1
    assert await fetch(desk.database, "SELECT key FROM notifier.lists") == [("one",)]
    await desk.start(import_id)
    assert await desk.read() == 0


async def test_a_file_in_many_parts_comes_out_whole(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PART_BYTES", 1000)
    import_id = await desk.send(rows(5_000))
    assert (await fetch(desk.database, "SELECT count(*)::int FROM notifier.import_parts"))[0][0] > 50
    await desk.start(import_id)
    await desk.read()
    assert (await desk.line(import_id)).added == 5_000


async def test_what_a_killed_worker_left_is_finished_by_the_next_with_an_exact_account(desk: Desk) -> None:
    import_id = await desk.send(rows(9_000) + "N000001,\x07\n")
    await desk.start(import_id)
    reading = asyncio.create_task(desk.read())
    await desk.begun(import_id)
    reading.cancel()  # as a kill: nothing is told to the database
    await asyncio.gather(reading, return_exceptions=True)
    half = await desk.line(import_id)
    assert half.state is ImportState.READING
    assert 0 < half.read_rows < 9_001
    assert await desk.read() == 0  # its lease still holds
    await execute(desk.database, "UPDATE notifier.imports SET alive_until = now() - interval '1 second'")
    assert await desk.read() == 1
    line = await desk.line(import_id)
    assert (line.state, line.read_rows, line.added, line.updated, line.rejected) == (
        ImportState.DONE,
        9_001,
        9_000,
        0,
        1,
    )
    assert len(await desk.errors(import_id)) == 1


async def test_a_worker_told_to_leave_gives_its_import_back_at_once(desk: Desk) -> None:
    import_id = await desk.send(rows(9_000))
    await desk.start(import_id)
    looks = iter([False, False, *[True] * 100])
    await desk.read(lambda: next(looks))
    line = await desk.line(import_id)
    assert (line.state, line.read_rows) == (ImportState.QUEUED, 2_000)
    assert await desk.read() == 1
    assert (await desk.line(import_id)).added == 9_000


async def test_who_lost_the_import_writes_no_more(desk: Desk) -> None:
    import_id = await desk.send(rows(9_000))
    await desk.start(import_id)
    slow = asyncio.create_task(desk.read())
    await desk.begun(import_id)
    await execute(desk.database, "UPDATE notifier.imports SET alive_until = now() - interval '1 hour'")
    async with desk.database.transaction() as tx:
        taken = await imports.claim_import(tx)
    assert taken
    await slow
    line = await desk.line(import_id)
    assert (line.state, line.read_rows) == (ImportState.READING, taken.read_rows)
    assert await desk.contacts() == taken.read_rows


async def test_an_import_on_which_workers_keep_dying_is_broken_with_a_remedy(desk: Desk) -> None:
    import_id = await desk.send(rows(3))
    await desk.start(import_id)
    for _ in range(imports.MOST_TRIES):
        async with desk.database.transaction() as tx:
            await imports.tidy_imports(tx)
            assert await imports.claim_import(tx)
        await execute(desk.database, "UPDATE notifier.imports SET alive_until = now() - interval '1 second'")
    assert await desk.read() == 0
    line = await desk.line(import_id)
    assert line.state is ImportState.BROKEN
    assert "Split the file" in line.problem
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.import_parts") == [(0,)]


async def test_a_file_read_by_the_command_line_and_killed_is_broken_too(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        turn = await imports.begin_import(tx, 1, "own.csv")
    await desk.read()
    assert (await desk.line(turn.import_id)).state is ImportState.READING
    await execute(desk.database, "UPDATE notifier.imports SET alive_until = now() - interval '1 second'")
    await desk.read()
    line = await desk.line(turn.import_id)
    assert line.state is ImportState.BROKEN
    assert "Import the file again" in line.problem


async def test_a_stopped_import_keeps_what_was_written_and_writes_no_more(desk: Desk) -> None:
    import_id = await desk.send(rows(20_000))
    await desk.start(import_id)
    reading = asyncio.create_task(desk.read())
    await desk.begun(import_id)
    async with desk.database.transaction() as tx:
        await stop_import(tx, await imports.get_import(tx, 1, import_id), by=LIN)
    await reading
    line = await desk.line(import_id)
    assert line.state is ImportState.CANCELLED
    assert 0 < line.read_rows == await desk.contacts() < 20_000
    async with desk.database.transaction() as tx:
        with pytest.raises(Conflict):
            await stop_import(tx, line, by=LIN)
        with pytest.raises(Conflict):
            await show_preview(tx, line, ImportOptions(), bank=BANK)


async def test_an_upload_nobody_starts_can_be_given_up_and_is_forgotten_after_a_day(desk: Desk) -> None:
    given_up, forgotten = await desk.send(PEOPLE), await desk.send(PEOPLE)
    async with desk.database.transaction() as tx:
        await stop_import(tx, await imports.get_import(tx, 1, given_up), by=LIN)
        assert not await imports.has_waiting(tx)
    await execute(desk.database, "UPDATE notifier.imports SET started_at = started_at - interval '25 hours'")
    async with desk.database.transaction() as tx:
        assert await imports.has_waiting(tx)
    await desk.read()
    with pytest.raises(NotFound):
        await desk.line(forgotten)
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.import_parts") == [(0,)]


async def test_other_teams_neither_see_nor_stop_an_import(desk: Desk) -> None:
    import_id = await desk.send(PEOPLE)
    async with desk.database.transaction() as tx:
        with pytest.raises(NotFound):
            await imports.get_import(tx, 2, import_id)
        assert not await imports.cancel_import(tx, 2, import_id)
        assert not await imports.queue_import(tx, 2, import_id, {})
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.import_parts") == [(1,)]


async def test_values_are_made_up_in_the_demo_only(desk: Desk) -> None:
    import_id = await desk.send("id\nC00001\n")
    with pytest.raises(InputError, match="demonstrations only"):
        await desk.start(import_id, synthesize=True)
    await desk.start(import_id, synthesize=True, is_demo=True)
    await desk.read()
    async with desk.database.transaction() as tx:
        found = await get_contact(tx, 1, "C00001")
    assert found
    assert found.contact.email == "c00001@example.com"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"locale": "chinese!"}, "locale"),
        ({"zone": "Asia/Atlantis"}, "zone"),
        ({"list_key": "a\nb"}, "list_key"),
        ({"list_key": "x" * 101}, "list_key"),
        ({"consent_source": ""}, "consent_source"),
        ({"mapping": {"id": "shoe"}}, "id"),
    ],
)
async def test_options_that_cannot_be_are_refused_before_anything_starts(
    desk: Desk, options: dict[str, object], field: str
) -> None:
    import_id = await desk.send("id\nA\n")
    with pytest.raises(InputError) as caught:
        await desk.start(import_id, **options)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert (await desk.line(import_id)).state is ImportState.UPLOADED


def _bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * (uploads.UNZIPPED_BYTES + 1))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)), "neither UTF-8|NUL|header|no name|UTF-16"),
        (PEOPLE.encode("utf-16"), "UTF-16"),
        (b"id," + b"x" * (10 * 2**20), "longer than"),
        (b"id,a,a\n", "two columns"),
        (b"PK\x03\x04 no zip", "no readable spreadsheet"),
    ],
    ids=["empty", "binary", "UTF-16", "10 MB line", "doubled column", "no zip"],
)
async def test_a_file_that_is_none_is_refused_with_a_remedy_and_not_kept(desk: Desk, data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        await desk.send(data)
    assert caught.value.remedy
    assert await fetch(desk.database, "SELECT count(*)::int FROM notifier.imports") == [(0,)]


async def test_a_spreadsheet_that_unpacks_too_far_is_refused(desk: Desk) -> None:
    data = await asyncio.to_thread(_bomb)
    assert len(data) < 1_000_000
    with pytest.raises(InputError, match="unpacks to"):
        await desk.send(data, "bomb.xlsx")


async def test_the_preview_says_where_a_file_will_break(desk: Desk) -> None:
    import_id = await desk.send('id,name\nA,Bob\nB,"open\n')
    assert "never closed" in (await desk.preview(import_id)).sample.breaks
    await desk.start(import_id)
    await desk.read()
    line = await desk.line(import_id)
    assert line.state is ImportState.BROKEN
    assert "row 3" in line.problem


async def test_a_long_line_after_the_sample_breaks_the_import_where_it_stands(desk: Desk) -> None:
    import_id = await desk.send(rows(5_000).encode() + b"Z," + b"9" * (10 * 2**20) + b"\n")
    await desk.start(import_id)
    await desk.read()
    line = await desk.line(import_id)
    assert (line.state, "longer than" in line.problem) == (ImportState.BROKEN, True)
    assert line.read_rows == line.added == await desk.contacts() < 5_000


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("C:\\Users\\lin\\客户.csv", "客户.csv"),
        ("../../etc/passwd", "passwd"),
        ("a\0b\r\n.csv", "ab.csv"),
        ("..", "contacts"),
        ("", "contacts"),
        ("x" * 300 + ".csv", "x" * 76 + ".csv"),
    ],
)
def test_a_file_is_called_by_a_plain_name(told: str, name: str) -> None:
    assert file_name(told) == name
