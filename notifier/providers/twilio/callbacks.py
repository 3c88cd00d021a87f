"""Twilio's status callbacks: whether one is theirs, and what it says."""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit, urlunsplit

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from notifier.domain.errors import InputError
from notifier.domain.event import EventKind, ProviderEvent
from notifier.providers.base import CallbackRequest
from notifier.providers.twilio.codes import CODES, OPTED_OUT

MESSAGE_PARAM = "message"
"""The parameter of the StatusCallback URL that carries our id; the URL is signed, so it can be trusted."""

KIND_OF: Mapping[str, EventKind] = {
    "accepted": EventKind.ACCEPTED,
    "scheduled": EventKind.ACCEPTED,
    "queued": EventKind.ACCEPTED,
    "sending": EventKind.ACCEPTED,
    "sent": EventKind.SENT,
    "partially_delivered": EventKind.SENT,
    "delivered": EventKind.DELIVERED,
    "read": EventKind.DELIVERED,
    "undelivered": EventKind.BOUNCED_SOFT,
    "failed": EventKind.FAILED,
    "canceled": EventKind.FAILED,
}
"""`MessageStatus` → ours; for undelivered and failed the error code says more."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CODE = re.compile(r"\d{1,6}")


def with_message(callback_url: str, public_id: str) -> str:
    """The StatusCallback of one message: a callback then finds it even if the answer to our POST was lost."""
    parts = urlsplit(callback_url)
    query = "&".join(filter(None, [parts.query, urlencode({MESSAGE_PARAM: public_id})]))
    return urlunsplit(parts._replace(query=query))


def verify(auth_token: str, request: CallbackRequest) -> bool:
    """Whether Twilio signed this URL and body; never an exception.

    The SDK's validator raises on a missing signature and a bad port, does not look at the body when the URL names its
    hash and the parameters are a dict, and joins names to values without a mark between them: hence the checks around it.
    """
    signature = request.headers.get("x-twilio-signature", "")
    if not auth_token or not signature or not signature.isascii():
        return False
    try:
        content = request.body.decode() if "bodySHA256" in request.query() else _plain_form(request)
        return content is not None and bool(RequestValidator(auth_token).validate(request.url, content, signature))
    except (ValueError, InputError):
        return False


def read(request: CallbackRequest) -> tuple[ProviderEvent, ...]:
    """The events of one status callback; empty for a status we do not know; `InputError` if malformed."""
    form = dict(request.form())
    status = form.get("MessageStatus") or form.get("SmsStatus")
    ref = form.get("MessageSid") or form.get("SmsSid")
    if not status or not ref or len(ref) > 64 or not ref.isalnum():
        raise InputError("body", "no status callback", "It must carry MessageSid and MessageStatus")
    if status not in KIND_OF:
        return ()
    return _events(request, ref, status, _code(form.get("ErrorCode", "")))


def _events(request: CallbackRequest, ref: str, status: str, code: str) -> tuple[ProviderEvent, ...]:
    meaning = CODES.get(code) if status in ("undelivered", "failed") else None
    public_id, key = request.query().get(MESSAGE_PARAM, ""), event_key(request)
    event = ProviderEvent(
        public_id=public_id,
        provider_ref=ref,
        event_key=key,
        kind=meaning.event if meaning else KIND_OF[status],
        code=code,
        reason=meaning.text if meaning else (status if code else ""),
    )
    if code not in OPTED_OUT:
        return (event,)
    opted_out = ProviderEvent(
        public_id=public_id, provider_ref=ref, event_key=f"{key}:opted-out", kind=EventKind.OPTED_OUT, code=code
    )
    return (event, opted_out)


def event_key(request: CallbackRequest) -> str:
    """SHA-256 of the sorted parameters: Twilio gives its events no id, and repeats them unchanged."""
    return hashlib.sha256(urlencode(sorted(request.form())).encode()).hexdigest()


def _plain_form(request: CallbackRequest) -> dict[str, str] | None:
    """The parameters, or None where a name is odd or comes twice: such a form can be read in two ways."""
    pairs = request.form()
    form = dict(pairs)
    odd = any(not _FIELD_NAME.fullmatch(name) for name in form)
    return None if odd or len(form) != len(pairs) else form


def _code(text: str) -> str:
    return text if _CODE.fullmatch(text) else ""
