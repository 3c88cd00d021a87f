"""A pool of kept SMTP connections: each carries one message at a time, at most so many, and not when long idle."""

import asyncio
import ssl
from dataclasses import dataclass, field

import aiosmtplib

from notifier.domain.errors import Fault, SendError, TryAgain
from notifier.providers.base import safe_reason
from notifier.providers.smtp.connection import Connection, StaleConnection
from notifier.providers.smtp.transport import Envelope, Reply

_CONNECT_RETRY_S = 60
_ACCOUNT_TROUBLE_S = 900
_GOODBYE_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
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


class Pool:
    """The plain transport: MAIL, RCPT, DATA one after the other on each of its connections."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._slots = asyncio.Semaphore(server.connections)
        self._idle: list[Connection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    async def deliver(self, envelope: Envelope) -> Reply:
        async with self._slots:
            while self._idle:
                try:
                    return await self._use(self._idle.pop(), envelope)
                except StaleConnection:
                    continue  # closed by the server while idle, before our message began: nothing was sent
            try:
                return await self._use(await self._connect(), envelope)
            except StaleConnection as error:
                reason = "the mail server closed the connection at once"
                raise TryAgain(reason, after_s=_CONNECT_RETRY_S, code="lost") from error

    async def aclose(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        idle, self._idle = self._idle, []
        async with asyncio.TaskGroup() as group:
            for connection in idle:
                group.create_task(connection.quit(_GOODBYE_S))

    async def _use(self, connection: Connection, envelope: Envelope) -> Reply:
        try:
            return await connection.deliver(envelope)
        finally:
            # `usable` is False after a time-out, a lost reply, a 421 or a cancellation: such a connection is never reused.
            if connection.usable and connection.sent < self._server.messages_per_connection:
                self._keep(connection)
            else:
                connection.close()

    def _keep(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since_s = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._server.idle_s, self._close_idle)

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        limit_s = loop.time() - self._server.idle_s
        for connection in self._idle:
            if connection.idle_since_s <= limit_s:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.usable]
        self._sweep = loop.call_later(self._server.idle_s, self._close_idle) if self._idle else None

    async def _connect(self) -> Connection:
        server = self._server
        try:
            async with asyncio.timeout(server.connect_timeout_s):
                return Connection(
                    await self._open_client(), timeout_s=server.timeout_s, final_timeout_s=server.final_timeout_s
                )
        except (aiosmtplib.SMTPException, OSError, ValueError, TimeoutError) as error:
            raise _connect_error(error) from error

    async def _open_client(self) -> aiosmtplib.SMTP:
        client = await self._client()
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await client.ehlo()
        except BaseException:
            client.close()
            raise
        return client

    async def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        if self._tls is None and server.tls != "none":
            self._tls = await asyncio.to_thread(ssl.create_default_context, cafile=server.ca_file or None)
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username or None,
            password=server.password if server.username else None,
            local_hostname=server.helo or None,
            timeout=server.connect_timeout_s,
            use_tls=server.tls == "tls",
            # None would mean "if offered": whoever strips the offer would read every message.
            start_tls=server.tls == "starttls",
            tls_context=self._tls,
        )


def _connect_error(error: Exception) -> SendError:
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
        return TryAgain(reason, after_s=_CONNECT_RETRY_S, code=str(error.code))
    if isinstance(error.__cause__, ssl.SSLError):
        return _ours("no safe connection", "tls")
    return TryAgain("cannot connect to the mail server", after_s=_CONNECT_RETRY_S, code="connect")


def _ours(reason: str, code: str) -> TryAgain:
    return TryAgain(safe_reason(reason), after_s=_ACCOUNT_TROUBLE_S, code=code, fault=Fault.SENDER)
