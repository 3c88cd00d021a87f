"""The sandbox's callbacks: Standard Webhooks, one event or up to 1,000 in one body."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from standardwebhooks import Webhook, WebhookVerificationError

from notifier.domain.errors import InputError
from notifier.domain.event import EventKind, ProviderEvent
from notifier.domain.links import derive_key
from notifier.providers.base import CallbackRequest, safe_reason

MAX_EVENTS = 1000
_MAX_ID_LENGTH = 200

KIND_OF: Mapping[str, EventKind] = {
    "accepted": EventKind.ACCEPTED,
    "sent": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "bounced": EventKind.BOUNCED_HARD,
    "bounced-hard": EventKind.BOUNCED_HARD,
    "bounced-soft": EventKind.BOUNCED_SOFT,
    "failed": EventKind.FAILED,
    "complained": EventKind.COMPLAINED,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
    "opted-out": EventKind.OPTED_OUT,
}
"""`type` of an event → ours."""


def sandbox_secret(signing_key: bytes, account: str) -> bytes:
    """The key of an account's callbacks where its definition names no secret."""
    return derive_key(signing_key, f"sandbox-callbacks:{account}")


def secret_bytes(text: str) -> bytes:
    """The key of a secret as written: `whsec_` and base64 as Standard Webhooks has it, else the text itself."""
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise InputError("secrets.callback_secret", "not base64 after whsec_") from error


def sandbox_signature(secret: bytes, event_id: str, at: datetime, body: bytes) -> str:
    """The `webhook-signature` of a body; `at` is real time, accepted for five minutes."""
    return str(Webhook(secret).sign(event_id, at.astimezone(UTC), body.decode()))


def sandbox_headers(secret: bytes, event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """All headers of a callback to `/hooks/sandbox/{account}`."""
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sandbox_signature(secret, event_id, at, body),
    }


def verify(secret: bytes, request: CallbackRequest) -> bool:
    """Whether the body is signed with the secret, not older than five minutes."""
    try:
        Webhook(secret).verify(request.body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # garbage in a header is a bare ValueError or binascii.Error
        return False
    return True


def read(request: CallbackRequest) -> tuple[ProviderEvent, ...]:
    """The events of a body, in its order; `InputError` names the first that is malformed."""
    try:
        found = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise InputError("body", "not JSON") from error
    events = found if isinstance(found, list) else [found]
    if len(events) > MAX_EVENTS:
        raise InputError("body", f"{len(events)} events", f"Send at most {MAX_EVENTS} at once")
    return tuple(_event(f"body[{number}]", event) for number, event in enumerate(events))


def _event(where: str, event: object) -> ProviderEvent:
    if not isinstance(event, dict):
        raise InputError(where, "not an object")
    kind = KIND_OF.get(_text(where, event, "type"))
    if kind is None:
        raise InputError(f"{where}.type", "unknown", f"Known: {', '.join(KIND_OF)}")
    reason = event.get("reason", "")
    return ProviderEvent(
        public_id=_text(where, event, "message"),
        event_key=_text(where, event, "id"),
        kind=kind,
        at=_time(where, event.get("at")),
        reason=safe_reason(reason) if isinstance(reason, str) else "",
    )


def _text(where: str, event: dict[str, object], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _MAX_ID_LENGTH:
        raise InputError(f"{where}.{name}", "missing or no plain text", f"Write 1 to {_MAX_ID_LENGTH} characters")
    return value


def _time(where: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InputError(f"{where}.at", "not a time", "Write ISO 8601 with an offset, e.g. 2026-02-02T09:00:00+08:00")
