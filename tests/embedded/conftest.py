"""Data folders that an unprivileged server can reach, emptied afterwards."""

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from notifier.embedded import embedded_services
from notifier.settings import Settings, load_settings


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings without servers, in a data folder of their own in which nothing was ever started."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    folder = _folder()
    yield load_settings(data_dir=folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(fresh: Settings, created: Path) -> Settings:
    """The same, with PostgreSQL's data folder already created: a second start."""
    subprocess.run(["cp", "-a", created, fresh.data_dir / "postgres"], check=True)
    return fresh


@pytest.fixture(scope="session")
async def created() -> AsyncIterator[Path]:
    """PostgreSQL's data folder after a first start."""
    folder = _folder()
    first = load_settings(data_dir=folder / "data", database_url="", redis_url="redis://unused")
    async with embedded_services(first, durable=False):
        pass
    yield first.data_dir / "postgres"
    shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="notifier-test-"))
    folder.chmod(0o711)
    return folder
