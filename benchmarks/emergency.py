"""How long an emergency takes from the API to the server of the other side, while a whole city's mail is on its way."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.child import TEAM
from benchmarks.house import House
from benchmarks.postfix import free_port
from benchmarks.stages import Figures, add_crowd, plan_run, say
from notifier.processes import default_children, running
from notifier.web.access.keys import create_api_key
from tests.peers.recorder import Recorder, recorder

_CAMPAIGN = "branch-closure-alert"
_INPUTS = {
    "branch": "all",
    "branch_name": {"zh-CN": "静安支行", "en": "Jing'an branch"},
    "closes_at": "2026-03-12T15:00",
    "reopens": {"zh-CN": "3月13日9:00", "en": "March 13 at 9:00 AM"},
    "cash_at": {"zh-CN": "徐汇支行", "en": "Xuhui branch"},
}
_EVERY_S = 0.15
_LAST_S = 60.0


async def measure_emergency(house: House, backlog: int, samples: int) -> Figures:
    """API call → an independent server has the mail, with all processes of an installation and two workers that drain."""
    await add_crowd(house, backlog)
    await house.analyze()
    async with recorder(house.folder / "book") as book:
        await house.mail_to(book.ports["email"])
        async with house.children(1) as (planner,):
            await plan_run(planner, "")
            await planner.do("release_singles", campaign=_CAMPAIGN)
        say(f"emergency: {samples} calls while {backlog:,} messages drain")
        settings = house.ready.model_copy(update={"web_port": free_port(), "recurring": False})
        async with running(settings, default_children(2)) as group:
            await book.took(min(1_000, backlog // 2))
            return await _sample(house, group.web_url, book, samples)


async def _sample(house: House, url: str, book: Recorder, samples: int) -> Figures:
    before, began = _count(book.file), time.time()
    async with house.database.transaction() as tx:
        token = await create_api_key(tx, name="bench", scopes=("send",), by="bench", team_id=TEAM)
    called: dict[str, float] = {}
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
        for number in range(samples):
            at = time.time()
            called[await _call(client, number)] = at
            await asyncio.sleep(_EVERY_S)
    left = await house.value("SELECT count(*) FROM notifier.messages WHERE lane = 3 AND state = 'queued'")
    drained, took = _count(book.file) - before, time.time() - began
    return {
        **_percentiles([at - called[public_id] for public_id, at in (await _arrivals(book, set(called))).items()]),
        "emergency_samples": samples,
        "emergency_backlog_left": left,
        "emergency_backlog_per_s": drained / took,
    }


async def _call(client: httpx.AsyncClient, number: int) -> str:
    body = {"campaign": _CAMPAIGN, "contact": f"P{number + 1}", "inputs": _INPUTS}
    answer = await client.post("/api/v1/messages", json=body, headers={"idempotency-key": f"bench-{number}"})
    if answer.status_code != 202:
        raise RuntimeError(f"the API answered {answer.status_code}: {answer.text}")
    return str(answer.json()["id"])


async def _arrivals(book: Recorder, wanted: set[str]) -> dict[str, float]:
    """When each arrived for the first time; `RuntimeError` where one did not."""
    ends = time.monotonic() + _LAST_S
    while True:
        found: dict[str, float] = {}
        for one in book.taken():
            if one.public_id in wanted:
                found.setdefault(one.public_id, one.at)
        if len(found) == len(wanted):
            return found
        if time.monotonic() > ends:
            raise RuntimeError(f"{len(wanted) - len(found)} of {len(wanted)} emergency messages did not arrive")
        await asyncio.sleep(0.5)


def _count(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def _percentiles(seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    at = {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 for share in (0.5, 0.99)}
    return {"emergency_p50_ms": at[0.5], "emergency_p99_ms": at[0.99], "emergency_worst_ms": ordered[-1] * 1000}
