"""A worker reads the files that wait: one at a time, with its progress in the account."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from notifier.domain.errors import InputError, NotFound
from notifier.planning.catalogue import find_bank
from notifier.planning.contact_import.run import HandedBack, Resumed, Stopped, import_contacts
from notifier.planning.contact_import.uploads import unpack_options
from notifier.store import imports
from notifier.store.database import TRANSIENT, Database
from notifier.store.imports import Claimed

_SAY_EVERY_S = 1.0


async def read_waiting_imports(
    database: Database, *, address_hash_key: bytes, shall_end: Callable[[], bool] = lambda: False
) -> int:
    """Read what waits until nothing does; returns how many files were begun.

    An import whose reader died goes on where its account stands. Where `shall_end` says so the import at hand is
    given back after its batch, for another worker.
    """
    begun = 0
    while not shall_end():
        async with database.transaction() as tx:
            await imports.tidy_imports(tx)
            claimed = await imports.claim_import(tx)
        if claimed is None:
            return begun
        begun += 1
        await _read(database, claimed, address_hash_key, shall_end)
    return begun


async def _read(database: Database, claimed: Claimed, key: bytes, shall_end: Callable[[], bool]) -> None:
    said = _Said()
    alive = asyncio.create_task(_say_alive(database, claimed, said))
    try:
        with tempfile.TemporaryDirectory(prefix="notifier-import-") as folder:
            source = Path(folder) / claimed.file
            await _fetch(database, claimed, source)
            await _import(database, claimed, source, key, said=said, shall_end=shall_end)
    except (InputError, NotFound) as error:  # the options fit the sample and not the file; there is no bank yet
        async with database.transaction() as tx:
            await imports.end_import(tx, claimed.turn, problem=str(error))
    except Stopped:
        pass  # its page says so
    except HandedBack:
        async with database.transaction() as tx:
            await imports.hand_back(tx, claimed.turn)
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)


async def _import(
    database: Database, claimed: Claimed, source: Path, key: bytes, *, said: "_Said", shall_end: Callable[[], bool]
) -> None:
    async with database.transaction() as tx:
        bank = await find_bank(tx, claimed.team_id)
    await import_contacts(
        database,
        source,
        unpack_options(claimed.options, team_id=claimed.team_id),
        bank=bank,
        address_hash_key=key,
        progress=lambda _rows, share: said.tell(share),
        resumed=Resumed(turn=claimed.turn, read_rows=claimed.read_rows, shall_end=shall_end),
    )


async def _fetch(database: Database, claimed: Claimed, source: Path) -> None:
    """Put the file together again: a reader must jump in it."""
    with source.open("wb") as file:
        part = 0
        while True:
            async with database.transaction() as tx:
                data = await imports.read_part(tx, claimed.turn.import_id, part)
            if data is None:
                return
            await asyncio.to_thread(file.write, data)
            part += 1


class _Said:
    """How far the file is read."""

    share = 0.0

    def tell(self, share: float) -> None:
        self.share = share


async def _say_alive(database: Database, claimed: Claimed, said: _Said) -> None:
    """Once a second, also while one batch takes longer than a lease."""
    held = True
    while held:
        await asyncio.sleep(_SAY_EVERY_S)
        with suppress(*TRANSIENT):  # the next second
            async with database.transaction() as tx:
                done_bytes = round(said.share * claimed.size_bytes)
                held = await imports.keep_alive(tx, claimed.turn, done_bytes=done_bytes)
