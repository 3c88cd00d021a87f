"""Folders are private, reachable by the server's user, and errors say what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.domain.errors import ServiceError
from notifier.embedded.keeper import lock_or_leave
from notifier.embedded.places import SOCKET_PATH_BYTES, ServerUser, find_places, may_pass, own_folder, prepare
from notifier.settings import Settings

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
STRANGER = ServerUser(uid=54321, gid=54321, name="stranger", switch=True)


def test_sockets_fit_their_limit_whatever_the_data_folder(fresh: Settings) -> None:
    for length in (1, 40, 80, 120):
        places = find_places(fresh.data_dir / ("x" * length))
        for socket in (places.control, places.redis_socket, places.postgres_run / ".s.PGSQL.5432"):
            assert len(os.fsencode(socket)) <= SOCKET_PATH_BYTES


def test_folders_are_private_to_the_server(fresh: Settings) -> None:
    places = find_places(fresh.data_dir)
    prepare(places)
    for folder in (places.postgres_run, places.redis_socket.parent, places.log):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == places.user.uid


@ROOT_ONLY
def test_existing_data_keeps_its_owner(fresh: Settings) -> None:
    data = fresh.data_dir / "postgres"
    data.mkdir()
    os.chown(data, 65534, 65534)
    assert find_places(fresh.data_dir).user.uid == 65534


def test_a_file_in_the_place_of_the_data_folder_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="Set NOTIFIER_DATA_DIR"):
        find_places(tmp_path / "file" / "data")


def test_a_folder_that_somebody_else_laid_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ServiceError, match="belongs to somebody else"):
        own_folder(tmp_path / "link", STRANGER, 0o700)


def test_reach_is_judged_by_every_folder_above(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text("")
    assert not may_pass(tmp_path / "file", STRANGER)
    assert may_pass(Path("/usr/bin/env"), STRANGER)


def test_one_keeper_alone_holds_the_lock(tmp_path: Path) -> None:
    held = lock_or_leave(tmp_path / "lock")
    assert held is not None
    assert lock_or_leave(tmp_path / "lock") is None
    os.close(held)
    again = lock_or_leave(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_keeper_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-m", "notifier.embedded", str(tmp_path / "file" / "data"), "fast"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Set NOTIFIER_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr
