"""A process under measurement: does what standard input asks, one JSON line each, and says what it took."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.profile import profiled
from notifier.delivery.drain import Sender
from notifier.domain.keys import derive_keys
from notifier.domain.person import Person, Role
from notifier.planning.catalogue import find_bank, get_campaign
from notifier.planning.contact_import import ImportOptions, import_contacts
from notifier.planning.draft import Draft
from notifier.planning.launch import launch_campaign
from notifier.planning.plan import freeze_audience, plan_due
from notifier.planning.release import release_facts, release_run
from notifier.planning.single import ask_release
from notifier.settings import Settings, load_settings
from notifier.store import access, runs
from notifier.store.database import Database, Tx, open_database
from notifier.store.runs import Run

TEAM = 1
_LANE = 3  # of service messages


async def _approver(tx: Tx) -> int:
    login = "bench-approver"
    found = await access.find_user(tx, login)
    if found is not None:
        return found.id
    return await access.add_user(tx, TEAM, login=login, name=login, role="approver", password_hash="", locale="en")


async def _release(tx: Tx, run: Run) -> None:
    approver = Person(name="bench-approver", user_id=await _approver(tx), role=Role.APPROVER)
    await release_run(tx, run.id, approver, hash=(await release_facts(tx, run)).hash)


class Child:
    """The stages of the house, each called as a worker calls it."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._sender = Sender(settings, database, worker=f"bench:{os.getpid()}")

    async def drain(self, **_nothing: Any) -> dict[str, object]:
        """Send everything that is due."""
        drained = await self._sender.drain_lane(_LANE, budget_s=3600)
        return {"sent": drained.sent, "settled": drained.settled}

    async def launch(self, campaign: str, inputs: Mapping[str, object], audience: str = "") -> dict[str, object]:
        """A run of a campaign, now."""
        async with self._database.transaction() as tx:
            draft = Draft(campaign_key=campaign, inputs=inputs, audience_list=audience)
            run = await launch_campaign(tx, team_id=TEAM, draft=draft, by=Person(name="bench"))
            await _release(tx, run)
        return {"run": run.id}

    async def release_singles(self, campaign: str) -> dict[str, object]:
        """Let single messages of a campaign be sent."""
        async with self._database.transaction() as tx:
            run = await ask_release(tx, team_id=TEAM, campaign_key=campaign, by=Person(name="bench"))
            await _release(tx, run)
        return {"run": run.id}

    async def freeze(self, run: int) -> dict[str, object]:
        """Freeze the audience alone; planning goes on from there."""
        async with self._database.transaction() as tx:
            found = await runs.get_run(tx, run, lock=True)
            recipients = await freeze_audience(tx, found, await get_campaign(tx, found))
        return {"recipients": recipients}

    async def plan(self, **_nothing: Any) -> dict[str, object]:
        """Freeze and plan everything that is due."""
        planned = await plan_due(self._database)
        return {"messages": planned.messages}

    async def import_file(self, file: str) -> dict[str, object]:
        """Read a file of contacts."""
        async with self._database.transaction() as tx:
            bank = await find_bank(tx, TEAM)
        report = await import_contacts(
            self._database,
            Path(file),
            ImportOptions(),
            bank=bank,
            address_hash_key=derive_keys(self._settings.secret).addresses,
        )
        return {"read": report.read, "added": report.added, "rejected": report.rejected}

    async def aclose(self) -> None:
        """Close the connections."""
        await self._sender.aclose()


async def _serve() -> None:
    settings = load_settings(log_level="error")
    async with open_database(settings.database_url) as database:
        child = Child(settings, database)
        try:
            while line := await asyncio.to_thread(sys.stdin.readline):
                order = json.loads(line)
                reply = await _measure(getattr(child, order.pop("do")), order)
                sys.stdout.write(json.dumps(reply) + "\n")
                sys.stdout.flush()
        finally:
            await child.aclose()


async def _measure(work: Callable[..., Awaitable[dict[str, object]]], order: dict[str, Any]) -> dict[str, object]:
    began, cpu = time.time(), time.process_time()
    with profiled(order.pop("profile", "")):
        done = await work(**order)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**done, "began": began, "ended": time.time(), "cpu_s": time.process_time() - cpu, "peak_bytes": peak}


def open_hours() -> timedelta:
    """The shift of business time to the coming 10:00 in Shanghai, when nothing has to wait for the morning."""
    now = datetime.now(UTC)
    return now.replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=1) - now


if __name__ == "__main__":
    uvloop.run(_serve())
