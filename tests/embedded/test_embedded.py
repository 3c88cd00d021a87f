"""The embedded servers start, survive what happens to processes, and stop."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from notifier.domain.errors import ServiceError
from notifier.embedded import Services, embedded_services, reset
from notifier.embedded.places import find_places
from notifier.settings import Settings, load_settings

HOLDER = Path(__file__).with_name("holder.py")
CHECKOUT = Path(__file__).parents[2]
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


async def connect(database_url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(database_url.replace("+asyncpg", ""), timeout=10)


async def ask(database_url: str, sql: str) -> object:
    connection = await connect(database_url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def ping(redis_url: str) -> bool:
    client = redis.asyncio.Redis.from_url(redis_url)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose()


async def eventually(attempt: Callable[[], Awaitable[object]], patience_s: float = 15) -> object:
    """The attempt's first result that is no error."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return await attempt()
        except (OSError, asyncpg.PostgresError, redis.exceptions.RedisError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def server_pids(settings: Settings) -> set[int]:
    """Every process that works in, or was started for, this data folder."""
    places = find_places(settings.data_dir)
    needles = {str(places.home).encode(), str(settings.data_dir).encode()}
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        ours = b"postgres" in line or b"redis-server" in line or b"notifier.embedded" in line
        if ours and any(needle in line for needle in needles):
            found.add(int(process.name))
    return found


def postmaster_pid(settings: Settings) -> int:
    return int((find_places(settings.data_dir).postgres_data / "postmaster.pid").read_text().split()[0])


def keeper_pid(settings: Settings) -> int:
    """Of the only keeper."""
    (pid,) = [pid for pid in server_pids(settings) if b"notifier.embedded" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return pid


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def python_for_everybody() -> str:
    """An interpreter of our version that another user can run."""
    python = Path("/usr/bin/python3")
    if not python.exists() or not python.resolve().name.endswith(f"{sys.version_info.major}.{sys.version_info.minor}"):
        pytest.skip("no interpreter that another user can run")
    return str(python)


async def all_gone(settings: Settings, patience_s: float = 15) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        gone = not server_pids(settings)
        if gone or time.monotonic() > deadline:
            return gone
        await asyncio.sleep(0.05)


async def start_holder(
    data_dir: Path, prefix: Sequence[str] = (sys.executable,)
) -> tuple[asyncio.subprocess.Process, Services]:
    path = os.pathsep.join([str(CHECKOUT), *(entry for entry in sys.path if entry)])
    process = await asyncio.create_subprocess_exec(
        *prefix,
        str(HOLDER),
        str(data_dir),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "NOTIFIER_DEFINITIONS_DIR": ""},
    )
    assert process.stdout is not None
    lines = [(await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip() for _ in range(2)]
    assert all(lines), "the holder ended instead of saying its addresses"
    return process, Services(database_url=lines[0], redis_url=lines[1])


async def end_holder(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_both_answer_and_a_second_start_keeps_the_data(fresh: Settings) -> None:
    async with embedded_services(fresh) as services:
        assert services.database_url.startswith("postgresql+asyncpg://notifier@/notifier?host=/")
        assert services.redis_url.startswith("unix:///")
        assert str(await ask(services.database_url, "SHOW server_version_num")).startswith("18")
        assert await ask(services.database_url, "SHOW server_encoding") == "UTF8"
        assert await ask(services.database_url, "SHOW synchronous_commit") == "on"
        assert await ask(services.database_url, "SHOW fsync") == "on"
        assert await ask(services.database_url, "SHOW listen_addresses") == ""
        await ask(services.database_url, "CREATE TABLE kept AS SELECT 42 AS number")
        assert await ping(services.redis_url)
    assert not (find_places(fresh.data_dir).postgres_data / "postmaster.pid").exists(), "stopped when the block ends"
    assert await all_gone(fresh)
    async with embedded_services(fresh) as again:
        assert again == services
        assert await ask(again.database_url, "SELECT number FROM kept") == 42


async def test_time_zones_are_known(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        noon = "SELECT to_char(timestamptz '2026-02-02 04:00Z' AT TIME ZONE 'Asia/Shanghai', 'HH24:MI')"
        assert await ask(services.database_url, noon) == "12:00"
        known = await ask(services.database_url, "SELECT count(*) FROM pg_timezone_names")
        assert isinstance(known, int)
        assert known > 400


async def test_given_servers_are_passed_through_and_nothing_starts(fresh: Settings) -> None:
    given = fresh.model_copy(update={"database_url": "postgresql+asyncpg://a/b", "redis_url": "redis://c"})
    async with embedded_services(given) as services:
        assert services == Services(database_url="postgresql+asyncpg://a/b", redis_url="redis://c")
        assert server_pids(given) == set()


async def test_only_the_missing_server_is_started(fresh: Settings) -> None:
    given = fresh.model_copy(update={"database_url": "postgresql+asyncpg://a/b"})
    async with embedded_services(given) as services:
        assert await ping(services.redis_url)
        assert not find_places(given.data_dir).postgres_data.exists()


async def test_a_crashed_server_is_restarted_at_the_same_address(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        await ask(services.database_url, "CREATE TABLE kept AS SELECT 1 AS number")
        os.kill(postmaster_pid(settings), signal.SIGKILL)
        await asyncio.sleep(0.2)
        assert await eventually(lambda: ask(services.database_url, "SELECT number FROM kept")) == 1
        client = redis.asyncio.Redis.from_url(services.redis_url)
        os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
        await client.aclose()
        await asyncio.sleep(0.2)
        assert await eventually(lambda: ping(services.redis_url))
    assert await all_gone(settings)


async def test_a_killed_keeper_is_replaced(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        first = keeper_pid(settings)
        os.kill(first, signal.SIGKILL)
        await asyncio.sleep(0.3)
        assert await eventually(lambda: ask(services.database_url, "SELECT 1")) == 1
        assert await eventually(lambda: ping(services.redis_url))
        assert keeper_pid(settings) != first
    assert await all_gone(settings)


async def test_servers_end_with_a_killed_user(settings: Settings) -> None:
    holder, services = await start_holder(settings.data_dir)
    await ask(services.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
    holder.kill()
    await holder.wait()
    assert await all_gone(settings)
    async with embedded_services(settings, durable=False) as again:
        assert await ask(again.database_url, "SELECT number FROM kept") == 7


async def test_everything_killed_at_once_starts_again(settings: Settings) -> None:
    holder, services = await start_holder(settings.data_dir)
    await ask(services.database_url, "CREATE TABLE kept AS SELECT 7 AS number")
    for pid in [holder.pid, *server_pids(settings)]:
        os.kill(pid, signal.SIGKILL)
    await holder.wait()
    async with embedded_services(settings, durable=False) as again:
        assert await ask(again.database_url, "SELECT number FROM kept") == 7


async def test_processes_share_the_servers_and_the_last_stops_them(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        master = postmaster_pid(settings)
        holder, theirs = await start_holder(settings.data_dir)
        assert theirs == services
        assert postmaster_pid(settings) == master
    assert await ask(theirs.database_url, "SELECT 1") == 1
    await end_holder(holder)
    assert await all_gone(settings)


async def test_many_starting_at_once_get_the_same_servers(fresh: Settings) -> None:
    holders = await asyncio.gather(*(start_holder(fresh.data_dir) for _ in range(3)))
    assert len({services.database_url for _, services in holders}) == 1
    assert keeper_pid(fresh)
    await asyncio.gather(*(end_holder(process) for process, _ in holders))
    assert await all_gone(fresh)


async def test_reset_forgets_the_data_and_keeps_the_secret_key(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        await ask(services.database_url, "CREATE TABLE kept AS SELECT 1 AS number")
    await reset(settings)
    assert load_settings(data_dir=settings.data_dir).secret == settings.secret
    async with embedded_services(settings, durable=False) as services:
        assert await ask(services.database_url, "SELECT to_regclass('kept')") is None


async def test_reset_refuses_while_somebody_uses_the_servers(settings: Settings) -> None:
    async with embedded_services(settings, durable=False) as services:
        with pytest.raises(ServiceError, match="Stop it"):
            await reset(settings)
        assert await ask(services.database_url, "SELECT 1") == 1


async def test_reset_of_nothing_is_no_error(fresh: Settings) -> None:
    await reset(fresh.model_copy(update={"data_dir": fresh.data_dir / "absent"}))


async def test_a_server_that_does_not_start_says_what_its_log_says(settings: Settings) -> None:
    (find_places(settings.data_dir).postgres_data / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(ServiceError, match=r"postgres did not start.*postgres\.log ends"):
        async with embedded_services(settings):
            pass
    assert await all_gone(settings)


async def test_a_data_folder_of_another_version_is_refused(fresh: Settings) -> None:
    data = find_places(fresh.data_dir).postgres_data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(ServiceError, match="PostgreSQL 15, this is 18"):
        async with embedded_services(fresh):
            pass


async def test_an_unfinished_data_folder_is_made_anew(fresh: Settings) -> None:
    data = find_places(fresh.data_dir).postgres_data
    data.mkdir(parents=True)
    (data / "half").write_text("")
    async with embedded_services(fresh, durable=False) as services:
        assert await ask(services.database_url, "SELECT 1") == 1


async def test_a_process_id_that_now_belongs_to_somebody_else_is_left_alone(settings: Settings) -> None:
    async with embedded_services(settings, durable=False):
        pass
    mark = find_places(settings.data_dir).postgres_data / "postmaster.pid"
    mark.write_text(f"{os.getpid()}\n{mark.parent}\n")
    async with embedded_services(settings, durable=False) as services:
        assert await ask(services.database_url, "SELECT 1") == 1


async def test_a_long_data_folder_gets_a_short_socket_folder(fresh: Settings) -> None:
    long = fresh.model_copy(update={"data_dir": fresh.data_dir / ("x" * 60) / ("y" * 60)})
    async with embedded_services(long, durable=False) as services:
        assert services.redis_url.startswith("unix:///tmp/notifier-")
        assert await ask(services.database_url, "SELECT 1") == 1
    run = find_places(long.data_dir).run
    await reset(long)
    assert not run.exists()


@ROOT_ONLY
async def test_root_uses_a_reachable_folder_where_the_data_folder_is_closed(fresh: Settings) -> None:
    closed = fresh.data_dir / "closed"
    closed.mkdir(mode=0o700)
    inside = fresh.model_copy(update={"data_dir": closed / "data"})
    home = find_places(inside.data_dir).home
    try:
        assert home.parent == Path("/var/lib/notifier")
        async with embedded_services(inside, durable=False) as services:
            assert await ask(services.database_url, "SELECT 1") == 1
            assert owner_of(postmaster_pid(inside)) != 0
        closed.chmod(0o711)
        assert find_places(inside.data_dir).home == home, "the data does not move when doors open"
    finally:
        shutil.rmtree(home)


@ROOT_ONLY
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
async def test_a_normal_user_runs_them_as_itself(fresh: Settings) -> None:
    folder = fresh.data_dir / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    holder, _ = await start_holder(folder, [*become, python_for_everybody()])
    theirs = fresh.model_copy(update={"data_dir": folder})
    assert owner_of(postmaster_pid(theirs)) == 65534
    assert owner_of(keeper_pid(theirs)) == 65534
    assert (folder / "postgres").stat().st_mode & 0o777 == 0o700
    await end_holder(holder)
    assert await all_gone(theirs)
