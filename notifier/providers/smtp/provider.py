"""The SMTP provider: checks a message, builds its envelope, hands it to a transport."""

import re
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parseaddr
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from notifier.domain.account import Account
from notifier.domain.channel import Acceptance, Channel, Outgoing
from notifier.domain.errors import Fault, InputError, NeverAgain
from notifier.providers.base import (
    Capabilities,
    Dependencies,
    Provider,
    ProviderKind,
    Settings,
    WithoutCallbacks,
    safe_reason,
)
from notifier.providers.smtp.pool import Pool
from notifier.providers.smtp.replies import queue_id
from notifier.providers.smtp.server import Server
from notifier.providers.smtp.transport import Envelope, Transport

_CAPABILITIES = Capabilities(channels=frozenset({Channel.EMAIL}), takes_mime=True)
_PER_CONNECTION = 2  # one on the wire, one at hand
_DEFAULT_PORT = {"starttls": 587, "tls": 465, "none": 25}
# Deliberately narrower than RFC 5321: no quoted local parts, no literals, nothing that could start a second address.
_ADDR_SPEC = re.compile(r"[^\s@<>(),:;\[\]\\\"\x00-\x1f\x7f-\x9f]{1,64}@[^\s@<>(),:;\[\]\\\"\x00-\x1f\x7f-\x9f]{1,253}")
Seconds = Annotated[float, Field(gt=0, le=3600, description="seconds, more than 0")]


class SmtpSettings(Settings):
    """One mail server and one log-in."""

    host: Annotated[str, Field(pattern=r"^[^\s/@]+$", description="the mail server's name or address")]
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="a port, 1 to 65535; default 587, 465 with tls, 25 without")
    ] = None
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        Field(description='starttls (required, never optional), tls from the first byte, or "none"'),
    ] = "starttls"
    ca_file: Annotated[
        Path | None, Field(description="a PEM file with the authority to trust instead of the system's")
    ] = None
    username: Annotated[str, Field(description="the log-in name, or nothing")] = ""
    helo: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9.\[\]:-]*$", description="the name to greet with; default: this machine's")
    ] = ""
    envelope_from: Annotated[str, Field(description="the address bounces go to where a message names none")] = ""
    connections: Annotated[int, Field(ge=1, le=200, description="connections kept at most, 1 to 200")] = 8
    messages_per_connection: Annotated[
        int, Field(ge=1, le=100_000, description="messages before a connection is replaced, at least 1")
    ] = 100
    idle_s: Seconds = 60
    connect_timeout_s: Seconds = 15
    timeout_s: Seconds = 30
    final_timeout_s: Seconds = 120


class Smtp(WithoutCallbacks):
    """Sends over a transport; knows addresses and bytes, not connections."""

    name = "smtp"

    def __init__(self, transport: Transport, envelope_from: str = "", *, slots: int = 0) -> None:
        self._transport, self._envelope_from = transport, envelope_from
        self.capabilities = replace(_CAPABILITIES, slots=slots)

    async def send(self, outgoing: Outgoing) -> Acceptance:
        reply = await self._transport.deliver(self._envelope(outgoing))
        return Acceptance(provider_ref=queue_id(reply), detail=safe_reason(f"{reply.code} {reply.text}"))

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _envelope(self, outgoing: Outgoing) -> Envelope:
        sender = outgoing.envelope_from or self._envelope_from or _bare(outgoing.sender)
        if not outgoing.mime:
            raise NeverAgain("the message has no text", code="5.6.0", fault=Fault.CONTENT)
        return Envelope(
            mail_from=addr_spec(sender, Fault.SENDER),
            rcpt_to=addr_spec(outgoing.to, Fault.RECIPIENT),
            data=wire_form(outgoing.mime),
            is_ascii=outgoing.mime.isascii(),
            urgent=outgoing.urgent,
            permit=outgoing.permit,
        )


@lru_cache
def _bare(sender: str) -> str:
    """The address of a sender, who is the same for many messages."""
    return parseaddr(sender)[1]


def addr_spec(address: str, fault: Fault) -> str:
    """Exactly one address, its domain in ASCII; `NeverAgain` for anything that is none, or more than one."""
    if not _ADDR_SPEC.fullmatch(address):
        raise NeverAgain("not exactly one plain e-mail address", code="5.1.3", fault=fault)
    local, _, domain = address.rpartition("@")
    try:
        return address if domain.isascii() else f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise NeverAgain("the address has no valid domain", code="5.1.2", fault=fault) from error


def wire_form(mime: bytes) -> bytes:
    """The body as it travels: CRLF line ends only, leading dots doubled, closed by the lone dot (RFC 5321 §4.5.2)."""
    # One pass for every kind of line end: counting first which there are takes longer.
    stuffed = b"\r\n".join(mime.splitlines()).replace(b"\r\n.", b"\r\n..")
    return (b"." if stuffed.startswith(b".") else b"") + stuffed + b"\r\n.\r\n"


def _open(account: Account, secrets: Mapping[str, str], deps: Dependencies) -> Provider:
    del deps
    settings = SmtpSettings.model_validate(dict(account.settings))
    server = Server(
        **settings.model_dump(exclude={"port", "ca_file", "envelope_from"}),
        port=settings.port or _DEFAULT_PORT[settings.tls],
        ca_file=str(settings.ca_file or ""),
        password=secrets.get("password", ""),
    )
    return Smtp(Pool(server), settings.envelope_from, slots=settings.connections * _PER_CONNECTION)


def _check(account: Account) -> None:
    settings = SmtpSettings.model_validate(dict(account.settings))
    if bool(settings.username) != ("password" in account.secrets):
        raise InputError(
            "settings.username", "a log-in needs both", "Give settings.username and secrets.password, or neither"
        )
    if settings.username and settings.tls == "none" and settings.host not in ("localhost", "127.0.0.1", "::1"):
        raise InputError("settings.tls", "a password would travel unprotected", "It wants starttls or tls")


SMTP = ProviderKind(
    name="smtp",
    settings=SmtpSettings,
    capabilities=_CAPABILITIES,
    opener=_open,
    optional_secrets={"password": "the password of the log-in"},
    check=_check,
)
