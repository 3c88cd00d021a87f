"""An independent witness: a process that takes mail (SMTP) and SMS (Twilio's API) and notes what it took in its own file.

`python -m tests.peers.recorder FILE KEY=smtp KEY=twilio …` serves each account on a port of its own, named on standard
output; standard input may change its manners while it runs.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import uvloop

_MESSAGE_ID = re.compile(rb"^message-id:\s*<([^@>]+)@", re.IGNORECASE | re.MULTILINE)
_START_S = 60


@dataclass(frozen=True, slots=True)
class Taken:
    """One message accepted."""

    at: float  # seconds since the epoch
    account: str
    to: str
    public_id: str


@dataclass
class Manners:
    """How it behaves; every field can be changed while it runs."""

    dot_delay_s: float = 0.0  # before the reply to a message it took
    hold_after: int = (
        -1
    )  # take so many more, the last of them and all later ones without a word until `-1`; -1 = answer
    rcpt_reply: str = ""  # to every recipient, instead of 250
    refuse_pct: float = 0.0  # of the recipients get 451
    leave_after: int = 0  # messages on one connection, then 421 and the connection ends; 0 = never


class Recorder:
    """The handle on a recorder that runs."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path, ports: dict[str, int]) -> None:
        self._process, self.file, self.ports = process, file, ports

    def taken(self) -> list[Taken]:
        """All it took so far, in order."""
        return [Taken(*json.loads(line)) for line in self.file.read_text().splitlines()]

    def count(self) -> int:
        """How many it took so far."""
        return self.file.read_bytes().count(b"\n")

    def copies(self) -> Counter[str]:
        """Public id → how often it came."""
        return Counter(one.public_id for one in self.taken())

    async def tell(self, **manners: object) -> None:
        """Change its manners; returns when they hold."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(manners).encode() + b"\n")
        await asyncio.wait_for(self._process.stdout.readline(), _START_S)

    async def took(self, count: int, *, within_s: float = 90) -> None:
        """Wait until it took so many."""
        for _ in range(int(within_s / 0.02)):
            if self.count() >= count:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the recorder took {self.count()}, not {count}")


@asynccontextmanager
async def recorder(folder: Path, **accounts: str) -> AsyncIterator[Recorder]:
    """A recorder for accounts given as `key="smtp"` or `key="twilio"`; without any, one e-mail account `email`."""
    file = _new_book(folder)
    wanted = [f"{key}={kind}" for key, kind in (accounts or {"email": "smtp"}).items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.peers.recorder", str(file), *wanted),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        ports = json.loads(await asyncio.wait_for(process.stdout.readline(), _START_S))
        yield Recorder(process, file, ports)
    finally:
        process.kill()
        await process.wait()


def _new_book(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "taken.jsonl"
    file.touch()
    return file


# ── the process itself ────────────────────────────────────────────────────────────────────────────


@dataclass
class _Book:
    """What it took, on disk before any reply."""

    file: IO[bytes]
    manners: Manners = field(default_factory=Manners)
    waiting: list["_Peer"] = field(default_factory=list)

    def take(self, account: str, to: str, public_id: str) -> None:
        self.file.write(json.dumps([time.time(), account, to, public_id]).encode() + b"\n")
        if self.manners.hold_after > 0:
            self.manners.hold_after -= 1

    def change(self, manners: dict[str, Any]) -> None:
        for name, value in manners.items():
            setattr(self.manners, name, value)
        if self.manners.hold_after < 0:
            waiting, self.waiting = self.waiting, []
            for peer in waiting:
                peer.go_on()


class _Peer(asyncio.Protocol):
    """One connection: reads what it can, answers in order, and waits where its manners say so."""

    def __init__(self, book: _Book, account: str) -> None:
        self.book, self.account = book, account
        self.buffer = b""
        self.is_waiting = False
        self.later = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.read()

    def read(self) -> None:
        """Take all that is complete, one after another."""
        while not self.is_waiting and self.read_one():
            pass

    def read_one(self) -> bool:
        raise NotImplementedError

    def say(self, reply: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(reply)

    def say_taken(self, reply: bytes) -> None:
        """The answer to a message it took: now, later, or when it may speak again."""
        if not self.book.manners.hold_after:
            self.is_waiting, self.later = True, reply
            self.book.waiting.append(self)
        elif self.book.manners.dot_delay_s:
            self.is_waiting, self.later = True, reply
            asyncio.get_running_loop().call_later(self.book.manners.dot_delay_s, self.go_on)
        else:
            self.say(reply)

    def go_on(self) -> None:
        self.is_waiting = False
        self.say(self.later)
        self.read()


class _Smtp(_Peer):
    def __init__(self, book: _Book, account: str) -> None:
        super().__init__(book, account)
        self.recipients: list[str] = []
        self.in_data = False
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(b"220 recorder.example ESMTP\r\n")

    def read_one(self) -> bool:
        if self.in_data:
            return self._read_message()
        line, found, rest = self.buffer.partition(b"\r\n")
        if not found:
            return False
        self.buffer = rest
        verb, _, more = line.decode("latin-1").partition(" ")
        self._answer(verb.upper(), more)
        return True

    def _answer(self, verb: str, more: str) -> None:
        manners = self.book.manners
        if verb == "EHLO":
            self.say(b"250-recorder.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n")
        elif verb == "MAIL" and manners.leave_after and self.count >= manners.leave_after:
            self.say(b"421 4.3.2 going down\r\n")
            if self.transport is not None:
                self.transport.close()
            self.is_waiting = True
        elif verb == "RCPT":
            self.say(self._rcpt(more.partition("<")[2].partition(">")[0]))
        elif verb == "DATA":
            self.in_data = bool(self.recipients)
            self.say(b"354 go on\r\n" if self.recipients else b"503 5.5.1 no recipient\r\n")
        elif verb == "QUIT":
            self.say(b"221 bye\r\n")
            if self.transport is not None:
                self.transport.close()
        else:
            if verb in ("MAIL", "RSET"):
                self.recipients = []
            self.say(b"250 2.0.0 ok\r\n")

    def _rcpt(self, address: str) -> bytes:
        manners = self.book.manners
        if manners.rcpt_reply:
            return manners.rcpt_reply.encode() + b"\r\n"
        if manners.refuse_pct and random.uniform(0, 100) < manners.refuse_pct:
            return b"451 4.3.0 try again\r\n"
        self.recipients.append(address)
        return b"250 2.1.5 ok\r\n"

    def _read_message(self) -> bool:
        if self.buffer.startswith(b".\r\n"):  # nothing of it: the sender thought better of it
            self.buffer, self.in_data = self.buffer[3:], False
            self.say(b"554 5.6.0 empty\r\n")
            return True
        text, found, rest = self.buffer.partition(b"\r\n.\r\n")
        if not found:
            return False
        self.buffer, self.in_data = rest, False
        named = _MESSAGE_ID.search(text)
        public_id = named[1].decode() if named else ""
        for address in self.recipients:
            self.book.take(self.account, address, public_id)
        self.recipients = []
        self.count += 1
        self.say_taken(b"250 2.0.0 Ok: queued as R%d\r\n" % self.count)
        return True


class _Twilio(_Peer):
    def read_one(self) -> bool:
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        request, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return False
        body, self.buffer = rest[:size], rest[size:]
        method, path, _ = request.split(" ")
        form = dict(parse_qsl(body.decode()))
        if method != "POST" or not path.endswith("/Messages.json") or "To" not in form:
            self.say(_http(404, {"code": 20404, "message": "not found", "status": 404}))
            return True
        query = parse_qs(urlsplit(form.get("StatusCallback", "")).query)
        public_id = query.get("message", [""])[0]
        self.book.take(self.account, form["To"], public_id)
        sid = f"SM{random.getrandbits(128):032x}"
        self.say_taken(_http(201, {"sid": sid, "status": "queued", "to": form["To"], "body": form.get("Body", "")}))
        return True


def _http(status: int, answer: dict[str, object]) -> bytes:
    body = json.dumps(answer).encode()
    return (
        b"HTTP/1.1 %d Told\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % (
            status,
            len(body),
        )
        + body
    )


def _say(answer: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _serve(file: str, wanted: list[str]) -> None:
    loop = asyncio.get_running_loop()
    with open(file, "ab", buffering=0) as opened:  # noqa: ASYNC230, PTH123 - a process of its own, unbuffered on purpose
        book = _Book(opened)
        ports = {}
        for key, _, kind in (name.partition("=") for name in wanted):
            peer = _Smtp if kind == "smtp" else _Twilio

            def made(peer: type[_Smtp] | type[_Twilio] = peer, key: str = key) -> _Peer:
                return peer(book, key)

            server = await loop.create_server(made, "127.0.0.1", 0, backlog=1000)
            ports[key] = server.sockets[0].getsockname()[1]
        _say(ports)
        while line := await asyncio.to_thread(sys.stdin.readline):
            book.change(json.loads(line))
            _say({})


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2:]))
