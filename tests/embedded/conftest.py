"""Data folders that an unprivileged server can reach, emptied afterwards."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from notifier.settings import Settings, load_settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings without servers, in a data folder of their own."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    folder = Path(tempfile.mkdtemp(prefix="notifier-test-"))
    folder.chmod(0o711)
    yield load_settings(data_dir=folder / "data", definitions_dir=None)
    shutil.rmtree(folder, ignore_errors=True)
