"""Real processes: they start together, come back after a crash, and stop together."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from notifier.domain.errors import ServiceError
from notifier.embedded import Services
from notifier.processes import Child, Group, default_children, environment_of, running, web_url
from notifier.settings import Settings, load_settings
from notifier.store.database import Database
from tests.cli.conftest import SECRET, wait_until

_SLEEPERS = (Child(name="worker-1", arguments=("worker", "--lanes", "3,4")),)


@pytest.fixture
def own(services: Services, database: Database, tmp_path: Path, free_port: int) -> Settings:
    """Settings of a house of its own on the test servers."""
    return load_settings(
        database_url=services.database_url,
        redis_url=services.redis_url,
        data_dir=tmp_path / "data",
        secret_key=SECRET,
        web_port=free_port,
        recurring=False,
        survey_sources={"tool": "whsec_c2VjcmV0"},
    )


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_children_read_the_settings_back(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment_of(own).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == own


def test_the_default_set_keeps_emergencies_apart() -> None:
    names = [child.name for child in default_children(workers=2)]
    assert names == ["web", "worker-urgent", "worker-1", "worker-2"]
    assert default_children()[1].arguments == ("worker", "--lanes", "1,2")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000"), ("10.0.0.1", "http://10.0.0.1:8000")],
)
def test_a_server_that_listens_everywhere_is_reached_here(own: Settings, host: str, url: str) -> None:
    assert web_url(own.model_copy(update={"web_host": host, "web_port": 8000})) == url


async def test_the_web_server_is_ready_and_stops_with_the_block(own: Settings) -> None:
    async with running(own, (Child(name="web", arguments=("web",)),)) as group:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"{group.web_url}/readyz")).json()["database"] == "ok"
        pids = group.pids()
        assert list(pids) == ["web"]
        began = time.monotonic()
    assert time.monotonic() - began < 15
    assert not is_alive(pids["web"])
    assert "Traceback" not in group.log_file("web").read_text()


async def test_a_web_server_that_leaves_is_not_ready_first_and_goes_when_told_again(own: Settings) -> None:
    slow = own.model_copy(update={"leave_after_s": 100})
    async with running(slow, (Child(name="web", arguments=("web",)),)) as group:
        pid = group.pids()["web"]
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_leaving(group.web_url))
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid))


def is_leaving(url: str) -> bool:
    """Whether the server says that nothing more should come to it, and still answers."""
    answer = httpx.get(f"{url}/readyz", trust_env=False, timeout=30)
    return answer.status_code == 503 and answer.json()["process"] == "leaving"


async def test_a_web_server_that_does_not_start_is_said_with_its_last_words(own: Settings) -> None:
    broken = Child(name="web", arguments=("web", "--port", "0"))
    with pytest.raises(ServiceError, match=r"did not start.*web\.log ends with"):
        async with running(own, (broken,)):
            pass


async def _pids_other_than(group: Group, old: dict[str, int]) -> dict[str, int]:
    async with asyncio.timeout(30):
        while True:
            if (found := group.pids()) and found != old:
                return found
            await asyncio.sleep(0.05)


async def test_a_child_that_is_killed_comes_back(own: Settings) -> None:
    async with running(own, _SLEEPERS) as group:
        first = await _pids_other_than(group, {})
        os.kill(first["worker-1"], signal.SIGKILL)
        second = await _pids_other_than(group, first)
    assert not is_alive(second["worker-1"])


@pytest.fixture
def up(own: Settings) -> Iterator[subprocess.Popen[str]]:
    """`notifier up` with one worker, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "notifier", "up", "--workers", "1"],
        env=environment_of(own),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == f"Notifier runs at {web_url(own)} (Ctrl-C stops it)\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_up_starts_everything_and_stops_it_cleanly(up: subprocess.Popen[str], sign: signal.Signals) -> None:
    children = _children(up.pid)
    assert len(children) == 3
    up.send_signal(sign)
    _, said = up.communicate(timeout=60)
    assert up.returncode == 0
    assert "notifier user add" in said
    assert "Traceback" not in said
    assert not any(is_alive(pid) for pid in children)


def test_children_end_where_their_parent_is_killed(up: subprocess.Popen[str]) -> None:
    children = _children(up.pid)
    up.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in children))
