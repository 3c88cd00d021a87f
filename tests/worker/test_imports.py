"""Files of contacts are read by the worker as a process, also after one is killed."""

from pathlib import Path

from notifier.domain.person import Person
from notifier.planning.contact_import.options import ImportOptions
from notifier.planning.contact_import.uploads import keep_upload, start_import
from notifier.settings import Settings
from notifier.store import imports
from notifier.store.database import Database
from tests.builders import define, execute, fetch
from tests.worker.processes import until, worker

ROWS = 60_000
STATE = "SELECT state FROM notifier.imports"


async def _queue(database: Database, folder: Path, rows: int) -> None:
    await define(database, folder / "definitions")
    path = folder / "people.csv"
    path.write_text("id,age\n" + "".join(f"N{number:06},{number}\n" for number in range(rows)))
    lin = Person(name="lin")
    import_id = await keep_upload(database, path, team_id=1, by=lin)
    async with database.transaction() as tx:
        line = await imports.get_import(tx, 1, import_id)
        await start_import(tx, line, ImportOptions(), by=lin, is_demo=False)


async def test_a_queued_import_is_read_by_itself(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _queue(database, tmp_path, 100)
    async with worker(settings):
        await until(database, STATE, "done")
    assert await fetch(database, "SELECT read_rows, added FROM notifier.imports") == [(100, 100)]


async def test_a_worker_of_urgent_lanes_alone_leaves_it(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _queue(database, tmp_path, 100)
    async with worker(settings, (1, 2)), worker(settings, (3,)):
        await until(database, STATE, "done")
    await _queue(database, tmp_path, 100)
    async with worker(settings, (1, 2)):
        await until(database, "SELECT count(*) > 0 FROM notifier.callbacks WHERE false", False)
    assert (await fetch(database, "SELECT state FROM notifier.imports ORDER BY id"))[-1] == ("queued",)


async def test_the_import_of_a_killed_worker_is_finished_with_an_exact_account(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _queue(database, tmp_path, ROWS)
    async with worker(settings) as process:
        await until(database, "SELECT read_rows > 0 FROM notifier.imports", True)
        process.kill()
        await process.wait()
    ((state, read),) = await fetch(database, "SELECT state, read_rows FROM notifier.imports")
    assert (state, 0 < read < ROWS) == ("reading", True)
    await execute(database, "UPDATE notifier.imports SET alive_until = now()")  # half a minute passes
    async with worker(settings):
        await until(database, STATE, "done", within_s=60)
    assert await fetch(database, "SELECT read_rows, added, updated FROM notifier.imports") == [(ROWS, ROWS, 0)]
    assert await fetch(database, "SELECT count(*)::int FROM notifier.contacts") == [(ROWS,)]
