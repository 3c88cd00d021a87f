"""API keys of the bank's systems."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from notifier.domain.errors import InputError
from notifier.store import access
from notifier.store.access import ApiKey
from notifier.store.database import Tx

SCOPES = ("read", "write", "send")
_PREFIX = "nk"


async def create_api_key(
    tx: Tx, *, name: str, scopes: Sequence[str], expires_at: datetime | None = None, team_id: int = 1
) -> str:
    """Add a key and return it, `nk_<number>_<secret>`; it cannot be shown again."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InputError("scopes", f"wants some of {', '.join(SCOPES)}")
    secret = secrets.token_urlsafe(32)
    key_id = await access.add_api_key(
        tx, team_id, name=name, secret_hash=_hash(secret), scopes=scopes, expires_at=expires_at
    )
    await access.add_audit(
        tx, team_id, actor="console", act="api-key-created", subject=str(key_id), detail={"scopes": list(scopes)}
    )
    return f"{_PREFIX}_{key_id}_{secret}"


async def find_key(tx: Tx, token: str) -> ApiKey | None:
    """The live key a caller holds; None for any other."""
    prefix, _, rest = token.partition("_")
    number, _, secret = rest.partition("_")
    if prefix != _PREFIX or not (number.isascii() and number.isdecimal() and len(number) < 19) or not secret:
        return None
    key = await access.find_api_key(tx, int(number))
    given = _hash(secret)
    if key is None or not hmac.compare_digest(key.secret_hash, given) or not key.is_live:
        return None
    await access.note_key_used(tx, key.id)
    return key


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
