"""A house of its own to measure in: servers, schema, definitions, and children that do the work."""

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.child import TEAM, open_hours
from notifier.domain.contact import Contact
from notifier.domain.keys import derive_keys
from notifier.embedded import embedded_services
from notifier.planning.apply import apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.settings import Settings, load_settings, starter_dir
from notifier.store import clock
from notifier.store.contact_batches import Columns, ensure_list, write_contacts
from notifier.store.contacts import FIELDS, row_of
from notifier.store.database import Database, migrate, open_database

CAMPAIGN = "measures-notice"
INPUTS = {
    "closed_branches": {"zh-CN": "外滩支行、陆家嘴支行", "en": "Bund and Lujiazui branches"},
    "from_date": "2026-03-09",
    "until_date": "2026-03-15",
    "open_branches": {"zh-CN": "静安支行、徐汇支行", "en": "Jing'an and Xuhui branches"},
}
PUBLIC_URL = "https://notify.riverside-bank.example"
_STEPS = "steps:\n  inform: {channels: [email], template: measures-notice}\n"
_KEPT = "'teams', 'clock', 'migrations', 'definitions', 'users'"
_BATCH = 5_000
_REPLY_S = 900


class Child:
    """A process under measurement and its open pipe."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def do(self, what: str, **how: object) -> dict[str, Any]:
        """Have something done; `RuntimeError` where it died of it."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the child has no pipes")
        self._process.stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")
        async with asyncio.timeout(_REPLY_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that should {what} died, see above")
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def stop(self) -> None:
        """End it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Servers and database of one benchmark, all of it in a folder that goes away."""

    folder: Path
    database: Database
    settings: Settings
    ready: Settings  # the same, naming the servers
    environment: Mapping[str, str] = field(repr=False)

    @asynccontextmanager
    async def children(self, number: int) -> AsyncIterator[list[Child]]:
        """So many fresh processes."""
        async with AsyncExitStack() as stack:
            started = []
            for _ in range(number):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "benchmarks.child",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=dict(self.environment),
                    limit=2**20,
                )
                started.append(Child(process))
                stack.push_async_callback(started[-1].stop)
            yield started

    async def execute(self, *statements: str) -> None:
        """Run SQL, a transaction each."""
        for statement in statements:
            async with self.database.transaction() as tx:
                await tx.execute(statement)

    async def value(self, statement: str, *values: object) -> Any:
        """One value of SQL."""
        async with self.database.transaction() as tx:
            return await tx.fetchval(statement, *values)

    async def empty(self) -> None:
        """No contacts, no runs; the definitions stay."""
        names = await self.value(
            f"""
            SELECT string_agg(format('notifier.%I', c.relname), ', ') FROM pg_class c
            WHERE c.relnamespace = 'notifier'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                AND c.relname NOT IN ({_KEPT})
            """
        )
        await self.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")

    async def add_contacts(self, contacts: Iterable[Contact], audience: str = "") -> None:
        """Made-up contacts; those of `audience` join this list."""
        key, batch = derive_keys(self.settings.secret).addresses, []
        for contact in contacts:
            batch.append(row_of(contact, key))
            if len(batch) == _BATCH:
                await self._write(batch, audience)
                batch = []
        await self._write(batch, audience)

    async def _write(self, rows: list[Any], audience: str) -> None:
        async with self.database.transaction() as tx:
            list_id = await ensure_list(tx, TEAM, audience) if audience else None
            await write_contacts(tx, TEAM, rows, Columns(fields=FIELDS), list_id=list_id)

    async def mail_to(self, port: int) -> None:
        """E-mail of the runs to come goes to this port of this machine."""
        account = self.folder / "definitions" / "campaigns" / "accounts" / "email.yaml"
        account.write_text(_replaced(r"port: \d+", f"port: {port}", account.read_text()))
        await apply_definitions(self.database, load_definitions(self.folder / "definitions"))

    async def analyze(self) -> None:
        """What autovacuum does on a server that has stood for longer than a minute."""
        await self.execute("ANALYZE notifier.contacts, notifier.addresses, notifier.consent_states")


@asynccontextmanager
async def open_house(smtp_port: int) -> AsyncIterator[House]:
    """Durable servers, a new schema, and the starter pack with e-mail going to `smtp_port` of this machine."""
    with tempfile.TemporaryDirectory(prefix="notifier-bench-") as name:
        folder = Path(name)
        os.chmod(name, 0o755)  # noqa: PTH101 - else root's servers keep their data elsewhere, and it stays
        settings = load_settings(data_dir=folder / "data", public_url=PUBLIC_URL, log_level="error")
        async with embedded_services(settings, durable=True) as services:
            await migrate(services.database_url)
            async with open_database(services.database_url, max_connections=4) as database:
                house = House(
                    folder=folder,
                    database=database,
                    settings=settings,
                    ready=settings.model_copy(
                        update={"database_url": services.database_url, "redis_url": services.redis_url}
                    ),
                    environment=_environment(settings, services.database_url, services.redis_url),
                )
                await apply_definitions(database, load_definitions(_definitions(folder, smtp_port)))
                async with database.transaction() as tx:
                    await clock.set_shift(tx, open_hours())
                    await clock.make_partitions(tx)
                yield house


def _definitions(folder: Path, smtp_port: int) -> Path:
    """The starter pack, its notice as e-mail alone, its e-mail over SMTP."""
    root = folder / "definitions"
    for part in ("campaigns", "templates"):
        shutil.copytree(starter_dir() / part, root / part)
    account = root / "campaigns" / "accounts" / "email.yaml"
    smtp = f"provider: smtp\nsettings: {{host: 127.0.0.1, port: {smtp_port}, tls: none, connections: 4}}"
    account.write_text(_replaced(r"provider: sandbox\n(?s:.*)", smtp + "\n", account.read_text()))
    campaign = root / "campaigns" / "epidemic-response" / f"{CAMPAIGN}.yaml"
    campaign.write_text(_replaced(r"steps:\n(?:  .*\n)+", _STEPS, campaign.read_text()))
    return root


def _replaced(pattern: str, by: str, text: str) -> str:
    changed, count = re.subn(pattern, by, text)
    if count != 1:
        raise RuntimeError(f"the starter pack has changed: {pattern!r} is there {count} times")
    return changed


def _environment(settings: Settings, database_url: str, redis_url: str) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "NOTIFIER_DATA_DIR": str(settings.data_dir),
        "NOTIFIER_SECRET_KEY": settings.secret_key.get_secret_value(),
        "NOTIFIER_PUBLIC_URL": settings.public_url,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
