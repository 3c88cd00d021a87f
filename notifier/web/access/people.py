"""What is changed about users: each act with its audit row, in the caller's transaction."""

from notifier.domain.errors import Conflict, InputError
from notifier.store import access
from notifier.store.access import User
from notifier.store.database import Tx
from notifier.web.access.passwords import hash_password, verify_password
from notifier.web.access.profile import Profile, read_profile, read_role

_LAST_ADMIN = "{login} is the last admin who may log in. Make somebody else an admin first"


async def change_role(tx: Tx, team_id: int, login: str, role: str, *, by: str) -> None:
    """Give a user another role and end their sessions; `Conflict` for the last live admin."""
    role = read_role(role)
    user, is_last_admin = await access.lock_user(tx, team_id, login)
    if user.role == role:
        return
    if is_last_admin:
        raise Conflict(_LAST_ADMIN.format(login=login))
    await access.set_role(tx, user.id, role)
    await access.end_sessions(tx, user.id)
    await _write(tx, user, "role_changed", by, {"from": user.role, "to": role})


async def change_profile(tx: Tx, team_id: int, login: str, given: Profile, *, by: str) -> None:
    """Change name, language and addresses; the audit names what changed, never an address."""
    user, _ = await access.lock_user(tx, team_id, login)
    new = await read_profile(tx, team_id, given)
    changed = [name for name in ("name", "locale", "email", "phone") if getattr(new, name) != getattr(user, name)]
    if not changed:
        return
    await access.set_profile(tx, user.id, name=new.name, locale=new.locale, email=new.email, phone=new.phone)
    await _write(tx, user, "changed", by, {"fields": changed})


async def disable_user(tx: Tx, team_id: int, login: str, *, by: str) -> None:
    """Let a user in no longer: sessions end, their keys are dead; `Conflict` for the last live admin."""
    user, is_last_admin = await access.lock_user(tx, team_id, login)
    if user.is_disabled:
        return
    if is_last_admin:
        raise Conflict(_LAST_ADMIN.format(login=login))
    await access.disable_user(tx, user.id)
    await access.end_sessions(tx, user.id)
    await _write(tx, user, "disabled", by, {})


async def enable_user(tx: Tx, team_id: int, login: str, *, by: str) -> None:
    """Let a user in again, with the role they had."""
    user, _ = await access.lock_user(tx, team_id, login)
    if not user.is_disabled:
        return
    await access.enable_user(tx, user.id)
    await _write(tx, user, "enabled", by, {})


async def reset_password(tx: Tx, team_id: int, login: str, password: str, *, by: str) -> None:
    """Give a user another password and end all their sessions."""
    password_hash = await hash_password(password)
    user, _ = await access.lock_user(tx, team_id, login)
    await access.set_password(tx, user.id, password_hash)
    await _write(tx, user, "password_reset", by, {})


async def change_own_password(tx: Tx, user: User, *, current: str, new: str, session: bytes) -> None:
    """Change one's own password, known the current one; every other session ends.

    `InputError` names `current` where it is wrong, `password` where the new one will not do.
    """
    found = await access.find_user(tx, user.login)
    if not await verify_password(found.password_hash if found else None, current):
        raise InputError("current", "this is not your password now")
    if new == current:
        raise InputError("password", "is the one you have. Choose another")
    await access.set_password(tx, user.id, await hash_password(new), but=session)
    await _write(tx, user, "password_changed", user.login, {})


async def end_other_sessions(tx: Tx, user: User, *, session: bytes) -> int:
    """Log a user out everywhere but here; returns how many sessions ended."""
    count = await access.end_sessions(tx, user.id, but=session)
    if count:
        await _write(tx, user, "sessions_ended", user.login, {"count": count})
    return count


async def _write(tx: Tx, user: User, act: str, by: str, detail: dict[str, object]) -> None:
    await access.add_audit(tx, user.team_id, actor=by, act=f"user.{act}", subject=f"user:{user.login}", detail=detail)
