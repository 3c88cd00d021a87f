"""One SMTP connection: the next message's commands leave with this body's dot (RFC 2920), and each failure has its word.

Two messages at most are on it: one *on the wire*, its body written and the reply to the final dot awaited, and one *at
hand*, of which only commands have left. Whatever happens, the one at hand surely has not arrived.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, SendError, TryAgain, Withheld
from notifier.providers.smtp.replies import RETRY_S, Stage, refusal
from notifier.providers.smtp.server import Server
from notifier.providers.smtp.transport import Envelope, Reply

_LOST_RETRY_S = 60
_GOODBYE_S = 5
_LONGEST_LINE = 8192
_LONGEST_REPLY = 4 * _LONGEST_LINE
_ONE_WRITE = 65536  # what is longer is written piece by piece, so that we know whether its dot has left
_DOT = b".\r\n"
_GOOD = {
    Stage.MAIL: (250,),
    Stage.RCPT: (250, 251),
    Stage.DATA: (354,),
    Stage.DOT: (250,),
    Stage.RSET: (250,),
    Stage.QUIT: (221,),
}


@dataclass(slots=True, eq=False)
class HandOver:
    """One message on its way through the pool, and what is known of it."""

    envelope: Envelope
    reply: asyncio.Future[Reply]
    connection: "Connection | None" = None  # on which its commands were begun
    refused: SendError | None = None  # by a reply before its last one
    has_recipient: bool = False

    def fail(self, error: SendError) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)

    def succeed(self, reply: Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)


class Crew(Protocol):
    """Whoever keeps the messages that wait, and the connections."""

    def next_behind(self, in_front: HandOver | None) -> HandOver | None:
        """The message to go next, begun behind another one."""
        ...

    def take_back(self, message: HandOver) -> None:
        """Nothing of this message was read; it may go over another connection."""
        ...

    def freed(self, connection: "Connection") -> None: ...

    def ended(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """An open, greeted connection; takes its transport over."""

    def __init__(self, transport: asyncio.Transport, offers: Mapping[str, str], *, server: Server, crew: Crew) -> None:
        self._transport, self._offers, self._server, self._crew = transport, offers, server, crew
        self._pipelining = "pipelining" in offers
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._todo: deque[tuple[Stage, HandOver | None, bytes]] = deque()
        self._awaited: deque[tuple[Stage, HandOver | None]] = deque()
        self._on_wire: HandOver | None = None
        self._at_hand: HandOver | None = None
        self._begun = 0
        self._leaving = self._ended = False
        self._unread, self._lines = b"", b""
        self._unwritten: list[bytes] = []
        self._paused = self._dot_is_last = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s = 0.0
        self._renewal: asyncio.Task[bool] | None = None
        transport.set_protocol(self)
        # "Paused" then means exactly that bytes of ours have not left; TLS takes 0 for always.
        transport.set_write_buffer_limits(high=1, low=0)
        self._watch()

    @property
    def is_idle(self) -> bool:
        """Whether it carries nothing and may carry more."""
        return self._on_wire is None and self._has_place

    @property
    def has_room(self) -> bool:
        """Whether an ordinary message can follow the one on the wire."""
        on_wire = self._on_wire
        return on_wire is not None and self._pipelining and self._has_place and not on_wire.envelope.urgent

    @property
    def is_spent(self) -> bool:
        """Whether it has carried as many as it may."""
        return self._begun >= self._server.messages_per_connection

    @property
    def _has_place(self) -> bool:
        return self._at_hand is None and not (self._leaving or self._ended or self.is_spent)

    def take(self, message: HandOver) -> None:
        """Begin a message; only if idle or with room."""
        waits_for_none = not self._awaited
        self._begin(message)
        self._write(self._due())
        if waits_for_none:
            self._watch()

    def withdraw(self, message: HandOver) -> None:
        """Nobody waits for this message any more: cut it off, unless another one's reply is still to come before it."""
        if message is self._on_wire or (message is self._at_hand and self._on_wire is None):
            self._end()

    def quit(self) -> None:
        """Say goodbye where nothing is on it, else cut it; closed within seconds."""
        if self._on_wire is not None or self._at_hand is not None:
            self._end()
        elif not (self._leaving or self._ended):
            self._leaving = True
            self._todo.append((Stage.QUIT, None, b"QUIT\r\n"))
            self._write(self._due())
            self._watch()

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        data, start, answered = self._unread + data, 0, False
        while (end := data.find(b"\n", start)) >= 0 and not self._ended:
            answered |= self._read_line(data[start:end])
            start = end + 1
        self._unread = data[start:]
        if len(self._unread) > _LONGEST_LINE:
            self._end("garbage")
        if answered and not self._ended:
            self._go_on()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end()
        if self._timer is not None:
            self._timer.cancel()
        self.closed.set_result(None)
        self._crew.ended(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        pieces, self._unwritten = self._unwritten, []
        self._write(pieces)

    # Writing.

    def _begin(self, message: HandOver) -> None:
        envelope = message.envelope
        try:
            options = self._mail_options(envelope)
        except NeverAgain as error:
            message.fail(error)
            return
        self._begun += 1
        self._at_hand = message
        message.connection, message.has_recipient = self, False
        mail = b"MAIL FROM:<%b>%b\r\n" % (envelope.mail_from.encode(), options)
        self._todo.append((Stage.MAIL, message, mail))
        self._todo.append((Stage.RCPT, message, b"RCPT TO:<%b>\r\n" % envelope.rcpt_to.encode()))
        self._todo.append((Stage.DATA, message, b"DATA\r\n"))

    def _mail_options(self, envelope: Envelope) -> bytes:
        options = b" SIZE=%d" % len(envelope.data) if "size" in self._offers else b""
        if not envelope.is_ascii:
            options += self._needed("8bitmime", b" BODY=8BITMIME")
        if not (envelope.mail_from.isascii() and envelope.rcpt_to.isascii()):
            options += self._needed("smtputf8", b" SMTPUTF8")
        return options

    def _needed(self, extension: str, option: bytes) -> bytes:
        if extension not in self._offers:
            raise NeverAgain(f"the mail server does not offer {extension.upper()}", code="5.6.7", fault=Fault.SENDER)
        return option

    def _go_on(self) -> None:
        """All that may go now, in one write: this body and the commands of the message after it."""
        if self._on_wire is None and self._at_hand is None and not self._leaving:
            self._crew.freed(self)
        pieces = self._due()
        while self._on_wire is not None and self._pipelining and self._has_place:
            following = self._crew.next_behind(self._on_wire)
            if following is None:
                break
            self._begin(following)
        self._write(pieces + self._due())
        self._watch()

    def _due(self) -> list[bytes]:
        """What is to be written: with PIPELINING all there is, else one command when the last one is answered."""
        pieces = []
        while self._todo and (self._pipelining or not self._awaited):
            stage, message, piece = self._todo.popleft()
            self._awaited.append((stage, message))
            if stage is Stage.DOT:
                self._on_wire, self._at_hand = message, None
            pieces.append(piece)
        return pieces

    def _write(self, pieces: list[bytes]) -> None:
        if len(pieces) > 1 and sum(map(len, pieces)) <= _ONE_WRITE:
            pieces = [b"".join(pieces)]
        for number, piece in enumerate(pieces):
            if self._paused:
                self._unwritten += pieces[number:]
                return
            if not self._transport.is_closing():
                self._dot_is_last = piece.endswith(_DOT)  # no command ends so
                self._transport.write(piece)

    # Reading.

    def _read_line(self, line: bytes) -> bool:
        """True when it completes a reply."""
        code, mark, text = line[:3], line[3:4], self._lines + line[4:].strip()
        readable = len(code) == 3 and code.isdigit() and mark in (b" ", b"-", b"\r", b"")
        if not readable or len(text) > _LONGEST_REPLY:
            self._end("garbage")
        elif mark == b"-":
            self._lines = text + b"\n"
        else:
            self._lines = b""
            self._answer(int(code), text)
            return True
        return False

    def _answer(self, code: int, text: bytes) -> None:
        if not self._awaited:  # nobody asked
            self._end()
            return
        stage, message = self._awaited[0]
        good = code in _GOOD[stage]
        parting = code == 421 or not (good or 400 <= code < 600)
        if not good and message is not None and not (parting and self._is_untouched(message)):
            message.refused = message.refused or refusal(stage, _reply(code, text))
        if parting or stage is Stage.QUIT:
            self._end()
            return
        self._awaited.popleft()
        if stage is Stage.DOT and message is not None:
            self._on_wire = None
            if message.refused is None:
                message.succeed(_reply(code, text))
            else:
                message.fail(message.refused)
        elif message is not None:
            self._prepare(stage, message, good=good)

    def _prepare(self, stage: Stage, message: HandOver, *, good: bool) -> None:
        """What follows from an answer before the text."""
        if stage is Stage.RCPT and good:
            message.has_recipient = True
        elif stage is Stage.DATA and good:
            self._send_text_if_allowed(message)
        elif stage is Stage.DATA or not (good or self._pipelining):
            self._todo.clear()  # without PIPELINING what remains of its commands
            self._todo.append((Stage.RSET, None, b"RSET\r\n"))
            self._at_hand = None
            if message.refused is not None:
                message.fail(message.refused)

    def _send_text_if_allowed(self, message: HandOver) -> None:
        """It may have waited long, in line or behind a slow reply; while that is looked up nothing else is begun."""
        permit = message.envelope.permit
        if permit is None or permit.is_fresh or message.refused is not None or message.reply.done():
            self._send_text(message)
            return
        self._renewal = self._loop.create_task(permit.renew())
        self._renewal.add_done_callback(lambda renewal: self._renewed(message, renewal))

    def _renewed(self, message: HandOver, renewal: asyncio.Task[bool]) -> None:
        may_leave = not renewal.cancelled() and renewal.exception() is None and renewal.result()
        if self._ended:
            return
        if not may_leave:
            message.refused = Withheld("it might not leave any more", code="withheld")
        self._send_text(message)
        if not self._ended:
            self._go_on()

    def _send_text(self, message: HandOver) -> None:
        """They want the text; of a message refused before, they get none (RFC 2920 §3.1: a lone dot)."""
        if message.refused is None and not message.reply.done():
            self._todo.append((Stage.DOT, message, message.envelope.data))
        elif message.has_recipient:
            self._end()  # an empty mail would reach somebody
        else:
            self._todo.append((Stage.DOT, message, _DOT))

    # Time, and the end.

    def _watch(self) -> None:
        """Set the time by which the next reply must be here; the timer itself is seldom moved."""
        self._deadline_s = self._loop.time() + self._patience_s()
        if self._timer is None or self._deadline_s < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline_s, self._look_at_time)

    def _patience_s(self) -> float:
        if not self._awaited:
            return self._server.idle_s if self._at_hand is None else self._server.timeout_s
        stage = self._awaited[0][0]
        if stage is Stage.QUIT:
            return _GOODBYE_S
        return self._server.final_timeout_s if stage is Stage.DOT else self._server.timeout_s

    def _look_at_time(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline_s:
            self._timer = self._loop.call_at(self._deadline_s, self._look_at_time)
        elif self._awaited:
            self._end("stalled")
        else:
            self.quit()

    def _end(self, how: str = "lost") -> None:
        """Cut the connection, and say of each message on it what that means."""
        on_wire, at_hand = self._on_wire, self._at_hand
        verdict = self._verdict(how)
        self._on_wire = self._at_hand = None
        self._ended = True
        self._transport.abort()
        if self._renewal is not None:
            self._renewal.cancel()
        if on_wire is not None:
            on_wire.fail(on_wire.refused or verdict)
        if at_hand is None:
            return
        its_own_fault = how == "stalled" and on_wire is None
        if at_hand.refused is None and self._is_untouched(at_hand) and not its_own_fault:
            self._crew.take_back(at_hand)
        else:
            at_hand.fail(at_hand.refused or _lost_at(self._awaited[0][0] if self._awaited else Stage.DATA))

    def _is_untouched(self, message: HandOver) -> bool:
        """None of its commands has an answer, and the connection has carried another message: it may be just old."""
        commands = (*self._awaited, *(step[:2] for step in self._todo))
        return self._begun > 1 and (Stage.MAIL, message) in commands

    def _verdict(self, how: str) -> SendError:
        """On the message whose body was written."""
        if self._paused and self._dot_is_last:
            return TryAgain("the server stopped reading", after_s=RETRY_S, code="stalled")
        if how == "garbage":
            return OutcomeUnknown("the reply to the final dot was unreadable", code="garbage")
        return OutcomeUnknown("the reply to the final dot was lost", code="lost")


def _reply(code: int, text: bytes) -> Reply:
    return Reply(code, text.decode("utf-8", "surrogateescape"))


def _lost_at(stage: Stage) -> TryAgain:
    """The connection ended before the final dot: they surely do not have the message."""
    return TryAgain(f"connection lost at {stage}", after_s=_LOST_RETRY_S, code="lost", fault=Fault.PROVIDER)
