"""Signed ids: what a public link, a callback or a survey invitation carries."""

import base64
import hashlib
import hmac
from enum import StrEnum
from functools import lru_cache

from notifier.domain.message import MessageId, RunId

_TAG_BYTES = 12
_TOKEN_CHARS = 200  # a longer one is not ours and not worth a hash
_BLOCK_BYTES = 64  # of SHA-256
_NUMBER_LIMIT = 2**63  # a bigint's


class LinkKind(StrEnum):
    """What a signed token may be used for; one token does one thing."""

    MESSAGE = "m"  # names a message to providers and in the API
    SURVEY = "s"  # answers one invitation
    UNSUBSCRIBE = "u"  # opts out
    PREFERENCES = "p"
    TRACKED = "l"  # follows a stored link; carries the link's number too
    NOTE = "n"  # names a note to the house; nothing can be done with it


def derive_key(secret: bytes, use: str) -> bytes:
    """A key of its own for each use, 32 bytes."""
    return hmac.new(secret, b"notifier:" + use.encode(), hashlib.sha256).digest()


def sign_link(key: bytes, kind: LinkKind, *numbers: int) -> str:
    """URL-safe token over up to 12 numbers, each 0..2⁶³-1: `kind.numbers.tag`, 96-bit tag; else `ValueError`."""
    if len(numbers) > 12 or not all(0 <= number < _NUMBER_LIMIT for number in numbers):
        raise ValueError("a token carries up to 12 numbers from 0 to 2**63 - 1")
    body = ".".join([kind.value, *map(_to_text, numbers)])
    return f"{body}.{_tag(key, body)}"


def read_link(key: bytes, kind: LinkKind, token: str) -> tuple[int, ...] | None:
    """The numbers of a token made by `sign_link`, or None: tampered, cut, or of another kind. Never raises."""
    if not token.isascii() or len(token) > _TOKEN_CHARS:
        return None
    body, _, tag = token.rpartition(".")
    if not hmac.compare_digest(tag, _tag(key, body)):
        return None
    found, *texts = body.split(".")
    numbers = [number for text in texts if (number := _to_number(text)) is not None]
    return tuple(numbers) if found == kind.value and len(numbers) == len(texts) else None


def message_token(key: bytes, run_id: RunId, message_id: MessageId) -> str:
    """The public id of a message."""
    return sign_link(key, LinkKind.MESSAGE, run_id, message_id)


def address_key(key: bytes, channel: str, address: str) -> bytes:
    """Keyed hash of a normalised address: equality without the address itself, 16 bytes."""
    return _digest(key, f"{channel}:{address}")[:16]


@lru_cache(maxsize=8)
def _keyed(key: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """HMAC-SHA256 as far as it depends on the key alone (RFC 2104, 4): a third of the time of `hmac.digest`."""
    block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    return inner, outer


def _digest(key: bytes, text: str) -> bytes:
    keyed_inner, keyed_outer = _keyed(key)
    inner, outer = keyed_inner.copy(), keyed_outer.copy()
    inner.update(text.encode())
    outer.update(inner.digest())
    return outer.digest()


def _tag(key: bytes, body: str) -> str:
    return base64.urlsafe_b64encode(_digest(key, body)[:_TAG_BYTES]).decode()


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=1024)  # a message's few links carry the same numbers
def _to_text(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


def _to_number(text: str) -> int | None:
    """The number whose only spelling is `text`; `int` alone would take "+1", "1_0" and "A" too."""
    number = int(text, 36) if text.isalnum() else 0
    return number if _to_text(number) == text else None
