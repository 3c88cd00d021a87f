"""One SMTP connection and one message on it, with an exact word on what a failure means at each point."""

import asyncio
from contextlib import suppress
from typing import cast

import aiosmtplib

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.providers.base import safe_reason
from notifier.providers.smtp.replies import RETRY_S, Stage, refusal
from notifier.providers.smtp.transport import Envelope, Reply

_LOST_RETRY_S = 60
_LOST = (aiosmtplib.SMTPException, OSError, TimeoutError)


class StaleConnection(Exception):
    """A kept connection had been closed by the server; nothing of the message was sent."""


class Connection:
    """An open, greeted connection. Not for concurrent use."""

    def __init__(self, client: aiosmtplib.SMTP, *, timeout_s: float, final_timeout_s: float) -> None:
        self._client = client
        self._timeout_s, self._final_timeout_s = timeout_s, final_timeout_s
        self._in_step = True  # False from the start of a message until its last reply is read
        self.sent = 0
        self.idle_since_s = 0.0

    @property
    def usable(self) -> bool:
        """Whether the next message may go over it."""
        return self._in_step and self._client.is_connected

    async def deliver(self, envelope: Envelope) -> Reply:
        """The reply to the final dot; errors as `Transport.deliver` promises, and `StaleConnection`."""
        if not self._client.is_connected:  # asked first: a closed client has forgotten what its server offers
            raise StaleConnection
        options = self._mail_options(envelope)
        self._in_step = False
        await self._begin(envelope.mail_from, options)
        await self._expect(Stage.RCPT, 250, b"RCPT", b"TO:<" + envelope.rcpt_to.encode() + b">")
        await self._expect(Stage.DATA, 354, b"DATA")
        reply = await self._send_data(envelope.data)
        self._in_step = reply.code != 421
        self.sent += 1
        if reply.code != 250:
            raise refusal(Stage.DOT, reply)
        return reply

    async def quit(self, timeout_s: float) -> None:
        """Say goodbye and close; never waits longer."""
        with suppress(*_LOST):
            async with asyncio.timeout(timeout_s):
                await self._client.quit()
        self.close()

    def close(self) -> None:
        """Close at once; a connection out of step is cut, so that no half message can be completed by it."""
        transport = self._client.transport
        if transport is not None and not self._in_step:
            cast(asyncio.WriteTransport, transport).abort()
        self._client.close()

    def _mail_options(self, envelope: Envelope) -> list[bytes]:
        options = [b"SIZE=%d" % len(envelope.data)] if self._client.supports_extension("size") else []
        if not envelope.is_ascii:
            options.append(self._needed("8bitmime", b"BODY=8BITMIME"))
        if not (envelope.mail_from + envelope.rcpt_to).isascii():
            options.append(self._needed("smtputf8", b"SMTPUTF8"))
        return options

    def _needed(self, extension: str, option: bytes) -> bytes:
        if not self._client.supports_extension(extension):
            raise NeverAgain(f"the mail server does not offer {extension.upper()}", code="5.6.7", fault=Fault.SENDER)
        return option

    async def _begin(self, mail_from: str, options: list[bytes]) -> None:
        kept = self.sent > 0
        try:
            reply = await self._command(b"MAIL", b"FROM:<" + mail_from.encode() + b">", *options)
        except _LOST as error:
            if kept and isinstance(error, aiosmtplib.SMTPServerDisconnected):
                raise StaleConnection from error
            raise _lost_at(Stage.MAIL) from error
        if kept and reply.code == 421:
            raise StaleConnection
        await self._check(Stage.MAIL, 250, reply)

    async def _expect(self, stage: Stage, code: int, *command: bytes) -> None:
        try:
            reply = await self._command(*command)
        except _LOST as error:
            raise _lost_at(stage) from error
        await self._check(stage, code, reply)

    async def _check(self, stage: Stage, code: int, reply: Reply) -> None:
        if reply.code == code or (stage is Stage.RCPT and reply.code == 251):
            return
        if reply.code != 421:
            await self._reset()
        raise refusal(stage, reply)

    async def _reset(self) -> None:
        """Make the connection fit for the next message; if that fails it stays out of step and is dropped."""
        with suppress(*_LOST):
            reply = await self._command(b"RSET")
            self._in_step = reply.code == 250

    async def _command(self, *command: bytes) -> Reply:
        response = await self._client.execute_command(*command, timeout=self._timeout_s)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # Python 3.11's wait_for swallows a cancellation that meets a reply; here it must not reach the text.
            raise asyncio.CancelledError
        return Reply(response.code, response.message)

    async def _send_data(self, data: bytes) -> Reply:
        """Send the body and wait for the reply to its final dot.

        The library's own `data` cannot say whether a lost connection fell before or after the dot, hence by hand.
        """
        protocol = self._client.protocol
        if protocol is None:
            raise _lost_at(Stage.DATA)
        try:
            protocol.write(data)
            response = await protocol.read_response(timeout=self._final_timeout_s)
        except aiosmtplib.SMTPResponseException as error:
            raise OutcomeUnknown(safe_reason(f"unreadable reply: {error.message}"), code="garbage") from error
        except _LOST as error:
            if self._unsent_bytes():
                raise TryAgain("the server stopped reading", after_s=RETRY_S, code="stalled") from error
            raise OutcomeUnknown("the reply to the final dot was lost", code="lost") from error
        return Reply(response.code, response.message)

    def _unsent_bytes(self) -> int:
        """Bytes still in our own buffer: while there are any, the final dot has not left this machine."""
        transport = self._client.transport
        if transport is None or transport.is_closing():
            return 0
        return cast(asyncio.WriteTransport, transport).get_write_buffer_size()


def _lost_at(stage: Stage) -> TryAgain:
    """The connection ended before the final dot: they surely do not have the message."""
    return TryAgain(f"connection lost at {stage}", after_s=_LOST_RETRY_S, code="lost", fault=Fault.PROVIDER)
