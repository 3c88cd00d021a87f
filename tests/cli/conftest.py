"""The command line on the test servers, and folders of definitions."""

import json
import logging
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from notifier.cli.app import app
from notifier.embedded import Services
from notifier.settings import starter_dir
from notifier.store.database import Database

SECRET = "test-secret-key-test-secret-key-test"
PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Said:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output read as one JSON document."""
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Commands set up logs of their own; afterwards they are as before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run(quiet_logs: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command without any server named."""
    monkeypatch.setenv("NOTIFIER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("DATABASE_URL", "REDIS_URL", "NOTIFIER_DEFINITIONS_DIR"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str, given: str | None = None) -> Said:
        result = CliRunner().invoke(app, list(arguments), input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def run_on_servers(run: Run, database: Database, services: Services, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the test servers, which are empty."""
    monkeypatch.setenv("DATABASE_URL", services.database_url)
    monkeypatch.setenv("REDIS_URL", services.redis_url)
    monkeypatch.setenv("NOTIFIER_SECRET_KEY", SECRET)
    return run


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A small folder of definitions: two campaigns of the starter pack and all they name."""
    folder = tmp_path / "bank"
    pack = starter_dir()
    shutil.copytree(pack / "campaigns", folder / "campaigns")
    shutil.copytree(pack / "templates", folder / "templates")
    keep = {"branch-closure-alert", "measures-notice", "monthly-satisfaction", "_layouts", "survey-invitation"}
    for path in (folder / "campaigns" / "epidemic-response").iterdir():
        if path.stem not in keep:
            path.unlink()
    for path in (folder / "templates").iterdir():
        if path.name not in keep:
            shutil.rmtree(path)
    return folder


@pytest.fixture
def applied(run_on_servers: Run, bank: Path) -> Run:
    """The command line with the small folder in use."""
    said = run_on_servers("apply", str(bank), "--yes")
    assert said.code == 0, said.err
    return run_on_servers


@pytest.fixture
def two_users(run_on_servers: Run) -> None:
    """An author and an approver with `PASSWORD`: lin and chen."""
    for login, role in (("lin", "author"), ("chen", "approver")):
        assert run_on_servers("user", "add", login, "--role", role, given=f"{PASSWORD}\n").code == 0


@pytest.fixture
def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def contacts_file(tmp_path: Path) -> Path:
    """Three contacts, one of them wrong."""
    path = tmp_path / "contacts.csv"
    rows = (
        "external_id,name,email,手机,branch",
        "1,王芳,wang@example.com,+12125550123,静安支行",
        "2,Lee,lee@example.com,,静安支行",
        "3,Wrong,no address,,静安支行",
    )
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Polls; fails the test where it never comes."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
