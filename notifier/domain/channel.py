"""The three ways a message can travel, and what each carries."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Channel(StrEnum):
    """A way to reach somebody."""

    EMAIL = "email"
    SMS = "sms"
    SOCIAL = "social"  # a public post by one of our accounts; its recipient is the account


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailContent:
    """A rendered e-mail before MIME: subject one line, both bodies complete."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsContent:
    """A rendered SMS with signature and suffix; `parts` counted on exactly this text."""

    text: str
    parts: int
    encoding: str  # "GSM-7" or "UCS-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostContent:
    """A rendered social-media post."""

    text: str


Content = EmailContent | SmsContent | PostContent


class Permit(Protocol):
    """Whether a message may leave. Stops, opt-outs and its expiry may come while it waits inside a provider."""

    @property
    def is_fresh(self) -> bool:
        """Whether what is known is young enough to go by."""
        ...

    async def renew(self) -> bool:
        """Look again; False where it may not leave any more, or nobody can tell."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message on its way to a provider: everything a provider may know, nothing more."""

    public_id: str  # signed; travels with the message so that a callback finds it
    channel: Channel
    to: str = field(repr=False)  # address, E.164 number; account key for a post
    sender: str  # From, number or signature shown
    sender_name: str = ""
    reply_to: str = ""
    content: Content = field(repr=False)
    mime: bytes = field(default=b"", repr=False)  # complete RFC 5322 message, e-mail only
    envelope_from: str = ""
    callback_url: str = ""  # where the provider reports, "" where it does not
    validity_s: int = 0  # seconds until the message expires, 0 = unbounded
    urgent: bool = False  # goes before what waits for a connection
    permit: Permit | None = field(default=None, repr=False, compare=False)  # None: nothing can forbid it any more

    def with_mime(self, mime: bytes) -> "Outgoing":
        """The same message with its bytes for the wire."""
        return replace(self, mime=mime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A message in doubt, as its provider may know it."""

    public_id: str
    to: str = field(repr=False)  # the address; the account key for a post
    text: str = field(repr=False)
    handed_at: datetime  # the earliest it can have arrived there
    known_refs: frozenset[str] = frozenset()  # the provider's ids of our other messages to the same recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The provider's word that it took the message."""

    provider_ref: str  # its id for the message, "" where it gives none
    detail: str = ""  # its reply, safe to show
    url: str = ""  # public address of a post
