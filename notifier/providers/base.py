"""What a provider is: what it can do, how it sends, what it reports."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.message import Message
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, EmailContent, Outgoing, Sought
from notifier.domain.errors import InputError
from notifier.domain.event import ProviderEvent

_MAX_PARAMS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the rest of the house may rely on."""

    channels: frozenset[Channel]
    reports_delivery: bool = False  # False: accepted is the last thing we hear
    idempotent: bool = False  # sending the same public id twice within the hour is harmless
    looks_up: bool = False  # it can be asked afterwards whether it took a message: `LooksUp`
    takes_mime: bool = False  # it wants an e-mail as the bytes for the wire
    slots: int = 0  # messages an opened account carries at once; 0 = as many as a worker likes
    by_hand: bool = False  # taken means "a task exists"; it is sent when a person says so


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRequest:
    """A callback as it came in, unparsed and not yet believed."""

    url: str  # the public address of the settings + path + query; never built from Host
    headers: Mapping[str, str]  # names in lower case
    body: bytes = field(repr=False)  # raw, capped by the door

    def query(self) -> dict[str, str]:
        """Parameters of the URL; of a name given twice the last one counts."""
        return dict(_pairs("query", urlsplit(self.url).query))

    def form(self) -> tuple[tuple[str, str], ...]:
        """Form fields in the order sent, empty for any other content type; `InputError` if malformed."""
        kind = Message()
        kind["content-type"] = self.headers.get("content-type", "")
        if kind.get_content_type() != "application/x-www-form-urlencoded":
            return ()
        try:
            return _pairs("body", self.body.decode("ascii"))
        except UnicodeDecodeError as error:
            raise InputError("body", "a form must be ASCII, percent-encoded") from error


class Provider(Protocol):
    """One opened account. Opening does no I/O; connections are made when needed and kept."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def send(self, outgoing: Outgoing) -> Acceptance:
        """Hand one message over.

        Errors: `TryAgain`, `NeverAgain`, `OutcomeUnknown`, and no other. The first two are definite: the provider does
        not have the message. Safe to call concurrently; on cancellation the outcome is unknown. Whoever lets a message
        wait renews its permit before it leaves, and raises `Withheld` where that fails.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections; within seconds, also when the other side hangs."""
        ...

    def verify_callback(self, request: CallbackRequest) -> bool:
        """Whether the callback is theirs; False for whatever is missing or garbage, never an exception."""
        ...

    def read_callback(self, request: CallbackRequest) -> tuple[ProviderEvent, ...]:
        """What a verified callback says; pure; `InputError` if malformed, empty if it means nothing to us."""
        ...


@runtime_checkable
class LooksUp(Protocol):
    """A provider that can be asked afterwards what became of a message."""

    async def look_up(self, sought: Sought) -> ProviderEvent | None:
        """What it knows of the message; None where it certainly does not have it.

        A `SendError` means that it cannot say, now or at all. Changes nothing there; bounded in requests.
        """
        ...


class WithoutCallbacks:
    """For providers that never call back."""

    def verify_callback(self, request: CallbackRequest) -> bool:
        del request
        return False

    def read_callback(self, request: CallbackRequest) -> tuple[ProviderEvent, ...]:
        del request
        return ()


class Settings(BaseModel):
    """Base of each provider's `settings:`; descriptions say what a setting wants."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxItem:
    """One message the sandbox took, with what its player should do next."""

    account: str
    outgoing: Outgoing
    fate: str = "delivered"  # the event its player reports: "delivered", "bounced" or "none"
    delay_s: float = 0  # after this long

    def headline(self) -> str:
        """One line to list it by: the subject, else the first line of the text; ≤ 200 characters."""
        content = self.outgoing.content
        text = content.subject if isinstance(content, EmailContent) else content.text
        return next(iter(text.splitlines()), "")[:200]

    def content(self) -> dict[str, object]:
        """The content by field name, as given."""
        return asdict(self.outgoing.content)


Keep = Callable[[Sequence[SandboxItem]], Awaitable[None]]
"""Stores what the sandbox took; one call may carry the items of many sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What providers need from the rest of the house."""

    keep: Keep | None = None  # the sandbox's store
    signing_key: bytes = field(default=b"", repr=False)  # of the house; keys of single uses derive from it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKind:
    """A provider as the registry knows it, before any account is opened."""

    name: str
    settings: type[Settings]
    capabilities: Capabilities
    opener: Callable[[Account, Mapping[str, str], Dependencies], Provider]
    required_secrets: Mapping[str, str] = field(default_factory=dict)  # name → what it is
    optional_secrets: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Account], None] | None = None  # what the settings model cannot see; raises InputError


_ADDRESS = re.compile(r"[^\s<>@\"',;:()]+@[^\s<>@\"',;:()]+")
_NUMBER = re.compile(r"\+?\d[\d ()-]{6,}\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_REASON_LENGTH = 200


def safe_reason(text: str) -> str:
    """A foreign text made fit to show and log: one line, ≤ 200 characters, addresses and numbers masked."""
    line = " ".join(_CONTROL.sub(" ", text[:2000]).split())
    masked = _NUMBER.sub("…", _ADDRESS.sub("…", line))
    return masked if len(masked) <= _REASON_LENGTH else masked[: _REASON_LENGTH - 1] + "…"


def _pairs(where: str, encoded: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMS))
    except ValueError as error:
        raise InputError(where, "not readable as form parameters in UTF-8") from error
