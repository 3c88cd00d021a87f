"""Signed ids: what a public link, a callback or a survey invitation carries."""

import base64
import hashlib
import hmac
from enum import StrEnum

from notifier.domain.message import MessageId, RunId

_TAG_BYTES = 12


class LinkKind(StrEnum):
    """What a signed token may be used for; one token does one thing."""

    MESSAGE = "m"  # names a message to providers and in the API
    SURVEY = "s"  # answers one invitation
    UNSUBSCRIBE = "u"  # opts out
    PREFERENCES = "p"
    TRACKED = "l"  # follows a stored link; carries the link's number too


def derive_key(secret: bytes, use: str) -> bytes:
    """A key of its own for each use, 32 bytes."""
    return hmac.new(secret, b"notifier:" + use.encode(), hashlib.sha256).digest()


def sign_link(key: bytes, kind: LinkKind, *numbers: int) -> str:
    """URL-safe token over some non-negative numbers: `kind.numbers.tag`, 96-bit tag."""
    body = ".".join([kind.value, *(_to_text(n) for n in numbers)])
    return f"{body}.{_tag(key, body)}"


def read_link(key: bytes, kind: LinkKind, token: str) -> tuple[int, ...] | None:
    """The numbers of a token made by `sign_link`, or None: tampered, cut, or of another kind."""
    if not token.isascii() or len(token) > 200:
        return None
    body, _, tag = token.rpartition(".")
    if not hmac.compare_digest(tag, _tag(key, body)):
        return None
    found, *texts = body.split(".")
    return tuple(_to_number(text) for text in texts) if found == kind.value else None


def message_token(key: bytes, run_id: RunId, message_id: MessageId) -> str:
    """The public id of a message."""
    return sign_link(key, LinkKind.MESSAGE, run_id, message_id)


def address_key(key: bytes, channel: str, address: str) -> bytes:
    """Keyed hash of a normalised address: equality without the address itself, 16 bytes."""
    return hmac.new(key, f"{channel}:{address}".encode(), hashlib.sha256).digest()[:16]


def _tag(key: bytes, body: str) -> str:
    digest = hmac.new(key, body.encode(), hashlib.sha256).digest()[:_TAG_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _to_text(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


def _to_number(text: str) -> int:
    return int(text, 36)
