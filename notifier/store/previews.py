"""Rendered mails somebody looks at while writing: in Redis for some minutes, for that person alone."""

import hashlib
import zlib

from redis.asyncio import Redis
from redis.exceptions import RedisError

from notifier.domain.errors import ServiceError

KEPT_S = 900
LONGEST_BYTES = 1_000_000


async def keep_preview(redis: Redis, user_id: int, html: str) -> str:
    """Keep a mail for a quarter of an hour; returns the name it is found by. `ServiceError` without Redis."""
    raw = html.encode("utf-8", "replace")[:LONGEST_BYTES]
    name = hashlib.sha256(raw).hexdigest()[:32]
    try:
        await redis.set(_key(user_id, name), zlib.compress(raw, 1), ex=KEPT_S)
    except (RedisError, OSError, TimeoutError) as error:
        raise ServiceError("Redis cannot be reached: the mail cannot be shown") from error
    return name


async def find_preview(redis: Redis, user_id: int, name: str) -> str | None:
    """The mail; None where it is gone or was somebody else's."""
    try:
        found = await redis.get(_key(user_id, name))
    except (RedisError, OSError, TimeoutError) as error:
        raise ServiceError("Redis cannot be reached: the mail cannot be shown") from error
    return None if found is None else zlib.decompress(found).decode("utf-8", "replace")


def _key(user_id: int, name: str) -> str:
    return f"notifier:preview:{user_id}:{name}"
