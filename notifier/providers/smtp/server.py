"""A mail server: where it is, how a connection is opened, what it means when none can be."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import aiosmtplib

from notifier.domain.errors import Fault, SendError, TryAgain
from notifier.providers.base import safe_reason

CONNECT_RETRY_S = 60
_ACCOUNT_TROUBLE_S = 900


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where to connect and how to be let in; times in seconds."""

    host: str
    port: int
    tls: str  # "starttls" | "tls" | "none"
    ca_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    helo: str = ""
    connections: int = 8
    messages_per_connection: int = 100
    idle_s: float = 60
    connect_timeout_s: float = 15
    timeout_s: float = 30
    final_timeout_s: float = 120

    async def connect(self) -> tuple[asyncio.Transport, Mapping[str, str]]:
        """A connection that is greeted and let in, and what the server offers, by extension in lower case.

        The library does what comes before the first message. Its own protocol answers one command at a time and drops
        replies nobody awaits, so the caller puts another one on the transport. Errors: see `connect_error`.
        """
        async with asyncio.timeout(self.connect_timeout_s):
            if self.tls != "none":
                await asyncio.to_thread(lambda: self._tls)  # reads the system's authorities once
            client = self._client()
            try:
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
            except BaseException:
                client.close()
                raise
        # Looked at together: a client that was closed has forgotten what its server offers.
        if not client.is_connected:
            raise aiosmtplib.SMTPServerDisconnected("closed after its greeting")
        return cast(asyncio.Transport, client.transport), dict(client.esmtp_extensions)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file or None)

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username or None,
            password=self.password if self.username else None,
            local_hostname=self.helo or None,
            timeout=self.connect_timeout_s,
            use_tls=self.tls == "tls",
            # None would mean "if offered": whoever strips the offer would read every message.
            start_tls=self.tls == "starttls",
            tls_context=None if self.tls == "none" else self._tls,
        )


def connect_error(error: BaseException) -> SendError:
    """Nothing was sent, so each is a definite "not now"; ours to mend if they do not let us in."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return _ours(f"log-in refused: {error.code} {error.message}", str(error.code))
    if isinstance(error, ssl.SSLCertVerificationError):
        return _ours(f"certificate not trusted: {error.verify_message}", "tls")
    if type(error) in (aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported):  # no STARTTLS or no AUTH on offer
        return _ours(str(error), "tls")
    if isinstance(error, ssl.SSLError | ValueError | FileNotFoundError):
        return _ours(f"no safe connection: {type(error).__name__}", "tls")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = safe_reason(f"{error.code} {error.message}")
        # 421 says "too much now"; anything else at the door is a server that is out of order for all messages.
        return TryAgain(reason, after_s=CONNECT_RETRY_S, code="421" if error.code == 421 else "connect")
    if isinstance(error.__cause__, ssl.SSLError):
        return _ours("no safe connection", "tls")
    if type(error) is aiosmtplib.SMTPServerDisconnected:
        return TryAgain("the mail server closed the connection at once", after_s=CONNECT_RETRY_S, code="lost")
    return TryAgain("cannot connect to the mail server", after_s=CONNECT_RETRY_S, code="connect")


def _ours(reason: str, code: str) -> TryAgain:
    return TryAgain(safe_reason(reason), after_s=_ACCOUNT_TROUBLE_S, code=code, fault=Fault.SENDER)
