"""Where the embedded servers keep data and sockets, and as which user of the system they run."""

import contextlib
import hashlib
import os
import pwd
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from notifier.domain.errors import ServiceError

SOCKET_PATH_BYTES = 107  # sun_path without its final zero
STATE_DIR = Path("/var/lib/notifier")
_LONGEST_SOCKET = "run/postgres/.s.PGSQL.5432"
_SERVER_USERS = ("notifier", "postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The user of the system a server runs as; `switch` says that it is not the one we are."""

    uid: int
    gid: int
    name: str
    switch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders of one installation; the same for every process that shares the data folder."""

    home: Path  # holds `postgres/`, `redis/`, `log/`
    run: Path  # holds the sockets
    user: ServerUser

    @property
    def control(self) -> Path:
        """Socket of the keeper."""
        return self.run / "control.sock"

    @property
    def lock(self) -> Path:
        """Locked by the keeper as long as it lives."""
        return self.home / "keeper.lock"

    @property
    def log(self) -> Path:
        """Folder of the servers' own logs."""
        return self.home / "log"

    @property
    def postgres_data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "postgres"

    @property
    def postgres_run(self) -> Path:
        """Folder of PostgreSQL's socket."""
        return self.run / "postgres"

    @property
    def redis_socket(self) -> Path:
        """Redis's socket."""
        return self.run / "redis" / "redis.sock"


def find_places(data_dir: Path) -> Places:
    """The places of a data folder; creates the folder and `home`, starts nothing."""
    with explaining_permissions():
        data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        home = _home(data_dir.resolve())
        run = home / "run"
        if len(os.fsencode(home / _LONGEST_SOCKET)) > SOCKET_PATH_BYTES:
            run = Path("/tmp") / f"notifier-{os.geteuid()}-{_digest(home)}"  # noqa: S108 - its owner is checked
        return Places(home=home, run=run, user=_server_user(home))


@contextlib.contextmanager
def explaining_permissions() -> Iterator[None]:
    """Turns a refusal of the file system into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise ServiceError(
            f"{error.filename}: {error.strerror}. Set NOTIFIER_DATA_DIR to a folder this user may write, "
            "or run as the user who owns it"
        ) from error


def prepare(places: Places) -> None:
    """Creates the folders, each private to the one who writes it."""
    with explaining_permissions():
        own_folder(places.run, places.user, 0o711 if places.user.switch else 0o700)
        for folder in (places.log, places.postgres_run, places.redis_socket.parent, places.home / "redis"):
            own_folder(folder, places.user, 0o700)
            give(folder, places.user)


def own_folder(folder: Path, user: ServerUser, mode: int) -> None:
    """Creates a folder, or refuses one that somebody else may have laid there."""
    folder.mkdir(mode=mode, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), user.uid}:
        raise ServiceError(f"{folder} belongs to somebody else. Remove it, or choose a shorter NOTIFIER_DATA_DIR")
    folder.chmod(mode)


def give(folder: Path, user: ServerUser) -> None:
    """Makes the server's user the owner."""
    if user.switch:
        os.chown(folder, user.uid, user.gid)


def may_pass(path: Path, user: ServerUser) -> bool:
    """Whether the user can reach `path` through every folder above and read it."""
    resolved = path.resolve()
    return all(_may(parent, user, execute=True) for parent in resolved.parents) and _may(resolved, user, execute=False)


def _may(path: Path, user: ServerUser, *, execute: bool) -> bool:
    found = path.stat()
    bit = 1 if execute else 4
    if found.st_uid == user.uid:
        return bool(found.st_mode & (bit << 6))
    if found.st_gid == user.gid:
        return bool(found.st_mode & (bit << 3))
    return bool(found.st_mode & bit)


def _home(data_dir: Path) -> Path:
    if os.geteuid() != 0:
        return data_dir
    mark = data_dir / "servers"
    user = _unprivileged(data_dir / "postgres")
    if not mark.exists() and all(_may(folder, user, execute=True) for folder in (data_dir, *data_dir.parents)):
        return data_dir
    # The server's user cannot walk into this folder, e.g. below /root; the doors of others stay as they are.
    if not mark.exists():
        mark.write_text(str(STATE_DIR / f"{_digest(data_dir)}-{secrets.token_hex(4)}") + "\n")
    home = Path(mark.read_text().strip())
    open_state_dir()
    home.mkdir(exist_ok=True)
    home.chmod(0o711)
    return home


def open_state_dir() -> None:
    """Creates the folder below which root keeps what other users have to reach; nothing private lies in it directly."""
    if not STATE_DIR.exists():
        STATE_DIR.mkdir(parents=True, exist_ok=True)
        STATE_DIR.chmod(0o755)


def _server_user(home: Path) -> ServerUser:
    if os.geteuid() == 0:
        return _unprivileged(home / "postgres")
    entry = _entry(os.geteuid())
    return ServerUser(uid=os.geteuid(), gid=os.getegid(), name=entry, switch=False)


def _unprivileged(existing: Path) -> ServerUser:
    """The owner of existing data, else the first user of the list; PostgreSQL refuses to run as root."""
    if existing.exists() and existing.stat().st_uid != 0:
        owner = existing.stat()
        return ServerUser(uid=owner.st_uid, gid=owner.st_gid, name=_entry(owner.st_uid), switch=True)
    for name in _SERVER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(uid=entry.pw_uid, gid=entry.pw_gid, name=name, switch=True)
    raise ServiceError(
        "PostgreSQL does not run as root and this machine has no user notifier, postgres or nobody. "
        "Add one, run as a normal user, or set DATABASE_URL"
    )


def _entry(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise ServiceError(
            f"user {uid} has no entry in /etc/passwd, which PostgreSQL needs. Add one, or set DATABASE_URL"
        ) from None


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
