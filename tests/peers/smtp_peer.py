"""A small SMTP server that records what it takes and can break off, stall or refuse at any point."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Self-signed for localhost and 127.0.0.1, with its key; trusted by nobody."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message taken, its data as it came over the wire, dots still stuffed."""

    mail_from: str
    rcpt_to: str
    data: bytes


@dataclass
class SmtpPeer:
    """What it saw and what it should do. `replies` is by verb (`MAIL`, `RCPT`, `DATA`, `.`, `EHLO`, `HELLO`), by verb and

    sender (`DATA bounce+1@example.com`) or by recipient; the reply `drop` closes the connection, `stall` says nothing until the server stops, `cut` closes after 1 byte of text.
    """

    replies: dict[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SIZE 20000000", "ENHANCEDSTATUSCODES")
    starttls: bool = False
    password: str = ""
    dots_wait: asyncio.Event | None = None  # it keeps a message, and answers when this is set
    close_after: int = 0  # messages per connection, then it closes while idle; 0 = never
    host: str = "127.0.0.1"
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    connections: int = 0
    mail_options: list[str] = field(default_factory=list)
    open_now: int = 0
    open_most: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    in_clear: list[str] = field(default_factory=list)  # commands seen before TLS
    data_begun: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def smtp_peer(peer: SmtpPeer | None = None) -> AsyncIterator[SmtpPeer]:
    """The peer, listening on `host`:`port`."""
    peer = peer or SmtpPeer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        peer.open_now += 1
        peer.open_most = max(peer.open_most, peer.open_now)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await _Session(peer, reader, writer).run()
        peer.open_now -= 1
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, peer.host, 0, limit=2**22)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        peer.stopped.set()
        server.close()
        await server.wait_closed()
        for _ in range(200):
            if not peer.open_now:
                break
            await asyncio.sleep(0.01)


class _Session:
    def __init__(self, peer: SmtpPeer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer
        self.tls = False
        self.mail_from = self.rcpt_to = ""
        self.has_mail = self.has_recipient = False
        self.taken = 0

    async def run(self) -> None:
        if not await self.say(self.peer.replies.get("HELLO", "220 peer.example ESMTP")):
            return
        while line := await self.reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            self.peer.verbs[verb.upper()] += 1
            if not self.tls:
                self.peer.in_clear.append(verb.upper())
            if not await self.answer(verb.upper(), rest):
                return
            if self.taken and self.taken == self.peer.close_after and verb.upper() == "DATA":
                await asyncio.sleep(0.05)
                return

    async def answer(self, verb: str, rest: str) -> bool:
        if verb == "QUIT":
            await self.say("221 bye")
            return False
        if verb == "EHLO":
            return await self.say(self.peer.replies.get("EHLO") or self.ehlo())
        if verb == "STARTTLS" and self.peer.starttls:
            return await self.start_tls()
        if verb == "AUTH":
            good = self.peer.password and rest.startswith("PLAIN")
            return await self.say("235 2.7.0 in" if good else "535 5.7.8 wrong")
        if verb == "DATA":
            return await self.data()
        return await self.say(self.envelope(verb, rest))

    def ehlo(self) -> str:
        offered = [*self.peer.extensions]
        if self.peer.starttls and not self.tls:
            offered.append("STARTTLS")
        if self.peer.password or "AUTH" in self.peer.replies:
            offered.append("AUTH PLAIN")
        lines = ["peer.example", *offered]
        return "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    def envelope(self, verb: str, rest: str) -> str:
        address = rest.partition("<")[2].partition(">")[0]
        if verb == "MAIL":
            self.mail_from = address
        reply = self.told(verb, "250 2.0.0 ok")
        if verb == "MAIL":
            reply = "503 5.5.1 nested MAIL" if self.has_mail else reply
            self.has_mail, self.has_recipient = reply.startswith("250"), False
            self.peer.mail_options.append(rest.partition("> ")[2])
        if verb == "RCPT":
            reply = self.peer.replies.get(address) or self.told(verb, reply if self.has_mail else "503 5.5.1 no MAIL")
            self.rcpt_to, self.has_recipient = address, reply.startswith("25")
        if verb == "RSET":
            self.has_mail = self.has_recipient = False
        return reply

    async def data(self) -> bool:
        self.peer.data_begun.set()
        said = self.told("DATA", "354 go on" if self.has_recipient else "554 5.5.1 no valid recipients")
        if not await self.say("354 go on" if said == "cut" else said):
            return False
        if said == "cut":
            await self.reader.read(1)
            return False
        if not said.startswith("354"):
            return True
        text = b""
        while not (line := await self.reader.readline()).startswith(b".\r\n"):
            if not line.endswith(b"\n"):
                return False
            text += line
        reply = self.told(".", f"250 2.0.0 Ok: queued as Q{len(self.peer.mails) + 1}")
        self.has_mail = False
        if self.has_recipient and not reply.startswith(("4", "5")):
            self.peer.mails.append(Mail(self.mail_from, self.rcpt_to, text))
            self.taken += 1
        if self.peer.dots_wait is not None:
            await self.peer.dots_wait.wait()
        return await self.say(reply)

    def told(self, verb: str, default: str) -> str:
        return self.peer.replies.get(f"{verb} {self.mail_from}") or self.peer.replies.get(verb, default)

    async def start_tls(self) -> bool:
        await self.say("220 go ahead")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(CERTIFICATE)
        await self.writer.start_tls(context)
        self.tls = True
        return True

    async def say(self, reply: str) -> bool:
        """Send a reply; False when the connection is to be closed."""
        if reply == "drop":
            return False
        if reply == "stall":
            await self.peer.stopped.wait()
            return False
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()
        return not reply.startswith(("421", "221"))
