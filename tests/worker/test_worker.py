"""The worker as a process: it plans, sends and applies by itself, and leaves cleanly."""

import asyncio
import json
import os
import signal
import socket
import time
from pathlib import Path

import asyncpg

from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.queue import JOBS, open_redis, queue_name
from notifier.worker import ALIVE_S, alive_folder, error_facts, is_alive
from tests.builders import (
    add_contact,
    assert_tallies_agree,
    campaign,
    define,
    fetch,
    kept,
    launch,
    set_now,
    state_counts,
)
from tests.worker.processes import until, worker

DONE = "SELECT count(*)::int FROM notifier.messages WHERE state = 'accepted'"


async def _scene(database: Database, settings: Settings, folder: Path, count: int = 20) -> None:
    await set_now(database)
    await define(database, folder, campaign(), campaign("alarm", purpose="emergency"))
    for number in range(count):
        await add_contact(database, settings, f"c{number:03}")


async def test_a_launched_run_is_planned_sent_and_ended_by_itself(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path)
    async with worker(settings):
        await launch(database)
        await launch(database, "alarm")
        await until(database, DONE, 40)
        await until(database, "SELECT count(*)::int FROM notifier.runs WHERE state = 'ended'", 2)
    assert len(await kept(database)) == 40
    await assert_tallies_agree(database)


async def test_told_to_stop_it_finishes_what_is_on_the_wire_and_leaves_cleanly(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, 300)
    async with worker(settings) as process:
        await launch(database)
        await until(database, "SELECT count(*) > 0 FROM notifier.sandbox_items", True)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert time.monotonic() - begun < 15
    found = await state_counts(database)
    assert set(found) <= {"accepted", "queued"}
    assert found["accepted"] == len(await kept(database))
    assert await fetch(database, "SELECT count(*) FROM notifier.claims") == [(0,)]
    await assert_tallies_agree(database)


async def test_jobs_are_json_and_pickles_in_the_queue_do_no_harm(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, 3)
    marker = tmp_path / "harm"
    evil = b"\x80\x04cposix\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    redis = open_redis(settings.redis_url)
    job = await redis.enqueue_job("drain-3", _queue_name=queue_name(JOBS["drain-3"]))
    assert job is not None
    raw = await redis.get(f"arq:job:{job.job_id}")
    assert raw is not None
    assert raw.startswith(b"{")
    for name, body in (("evil", evil), ("none", b"{}"), ("list", b"[1]")):
        await redis.set(f"arq:job:{name}", body)
        await redis.zadd(queue_name(JOBS["drain-3"]), {name: 1})
    async with worker(settings):
        await launch(database)
        await until(database, DONE, 3)
    await redis.aclose()
    assert not marker.exists()


async def test_jobs_on_which_workers_were_killed_hold_up_nobody(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, 3)
    redis = open_redis(settings.redis_url)
    left_ms = int(time.time() * 1000) - 9_000
    for queue in map(queue_name, set(JOBS.values())):
        for number in range(8):  # as arq leaves a job it was killed in
            name = f"{queue}:{number}"
            await redis.set(f"arq:job:{name}", b'{"t": null, "f": "tick", "a": [], "k": {}, "et": 0}')
            await redis.set(f"arq:in-progress:{name}", b"1", ex=3600)
            await redis.zadd(queue, {name: left_ms})
    async with worker(settings):
        await launch(database)
        await until(database, DONE, 3, within_s=20)
    await redis.aclose()


def test_an_error_is_logged_by_kind_not_by_its_words() -> None:
    error = asyncpg.UniqueViolationError("Key (address)=(c1@example.com) already exists")
    assert error_facts(error) == {"error": "UniqueViolationError", "sqlstate": "23505"}
    assert error_facts(ValueError("c1@example.com")) == {"error": "ValueError", "sqlstate": ""}


async def test_a_worker_serves_only_its_lanes(database: Database, settings: Settings, tmp_path: Path) -> None:
    await _scene(database, settings, tmp_path, 3)
    async with worker(settings, (1, 2)):
        await launch(database)
        await launch(database, "alarm")
        await until(database, DONE, 3)
        await asyncio.sleep(1)
    assert await state_counts(database) == {"accepted": 3, "queued": 3}


async def test_a_worker_says_that_it_lives_and_takes_its_word_back(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, 0)
    assert not is_alive(settings)
    async with worker(settings, (1, 2)) as process:
        await until(database, "SELECT count(*)::int FROM notifier.workers WHERE lanes = '{1,2}'", 1, within_s=60)
        assert is_alive(settings)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert not is_alive(settings)
    assert await fetch(database, "SELECT count(*) FROM notifier.workers") == [(0,)]


async def test_a_sign_of_life_grows_old_and_that_of_another_machine_is_none(settings: Settings) -> None:
    folder = alive_folder(settings)
    folder.mkdir(parents=True)
    (folder / "elsewhere-1").touch()
    assert not is_alive(settings)
    own = folder / f"{socket.gethostname()}-1"
    own.touch()
    assert is_alive(settings)
    os.utime(own, (time.time() - ALIVE_S - 1,) * 2)
    assert not is_alive(settings)


async def test_each_line_of_a_worker_is_an_object_that_names_worker_and_job(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    await _scene(database, settings, tmp_path, 3)
    told = settings.model_copy(update={"log_format": "json", "log_level": "info"})
    with (tmp_path / "log").open("wb") as log:
        async with worker(told, (3,), stderr=log.fileno()) as process:
            await launch(database)
            await until(database, DONE, 3, within_s=60)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    by_event = {line["event"]: line for line in lines}
    assert {"worker.started", "worker.lane_drained", "worker.stopped"} <= set(by_event)
    assert by_event["worker.lane_drained"]["job"] == "drain-3"
    assert {line["worker"] for line in lines} == {f"{socket.gethostname()}:{process.pid}"}
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
