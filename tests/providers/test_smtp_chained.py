"""SMTP, several messages on one connection: each has its own outcome, whatever becomes of those around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import postfix
from notifier.domain.channel import Acceptance, Outgoing
from notifier.domain.errors import NeverAgain, OutcomeUnknown, SendError, TryAgain, Withheld
from notifier.providers.base import Provider
from notifier.providers.registry import open_provider
from notifier.providers.smtp.provider import wire_form
from tests.peers.smtp_peer import CERTIFICATE, SmtpPeer, smtp_peer
from tests.providers import builders

EXTENSIONS = ("8BITMIME", "SIZE 20000000")
BODY = b"From: x\r\n\r\n.\r\n..two\r\nGr\xc3\xbc\xc3\x9fe\r\n.dot\r\n"


@dataclass(frozen=True)
class Way:
    """How the connection is made, and on which loop."""

    loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    pipelining: bool = True
    starttls: bool = False
    password: str = ""

    def peer(self, replies: dict[str, str]) -> SmtpPeer:
        extensions = ("PIPELINING", *EXTENSIONS) if self.pipelining else EXTENSIONS
        return SmtpPeer(replies=replies, extensions=extensions, starttls=self.starttls, password=self.password)

    def open(self, peer: SmtpPeer, **more: object) -> Provider:
        account = builders.smtp_account(peer.port, **more)
        tls = {"tls": "starttls", "ca_file": str(CERTIFICATE)} if self.starttls else {}
        login = {"username": "bank"} if self.password else {}
        secrets = builders.account("smtp", account.channel, secrets=("password",) if self.password else ()).secrets
        account = replace(account, settings={**account.settings, **tls, **login}, secrets=secrets)
        return open_provider(account, {"password": self.password})

    def run(self, story: Awaitable[None]) -> None:
        async def tell() -> None:
            async with asyncio.timeout(60):
                await story

        with asyncio.Runner(loop_factory=self.loop) as runner:
            runner.run(tell())


WAYS = {
    "pipelined": Way(),
    "pipelined, asyncio": Way(asyncio.new_event_loop),
    "one by one": Way(pipelining=False),
    "starttls": Way(starttls=True),
    "starttls, asyncio": Way(asyncio.new_event_loop, starttls=True),
    "log-in": Way(password="right"),
}


def sender(number: int) -> str:
    return f"bounce+{number}@example.com"


def mail(number: int, body: bytes = BODY) -> Outgoing:
    return replace(builders.email(f"m.1.{number}.tag", mime=body), envelope_from=sender(number))


def script(number: int, **replies: str) -> dict[str, str]:
    return {f"{'.' if verb == 'DOT' else verb} {sender(number)}": reply for verb, reply in replies.items()}


async def send_all(provider: Provider, messages: Sequence[Outgoing]) -> list[Acceptance | BaseException]:
    return await asyncio.gather(*(provider.send(message) for message in messages), return_exceptions=True)


async def until(is_so: Callable[[], object]) -> None:
    """Returns when it is so; the story's own time-out ends it else."""
    for _ in range(6_000):
        if is_so():
            return
        await asyncio.sleep(0.01)


NO, YES, GO = "550 5.1.1 no such user", "250 2.0.0 ok", "354 go on"
CASES: dict[str, tuple[dict[str, str], type[SendError] | type[Acceptance], str]] = {
    "MAIL refused": ({"MAIL": "550 5.1.8 bad sender"}, NeverAgain, "5.1.8"),
    "MAIL refused, RCPT refused, text wanted": ({"MAIL": NO, "RCPT": NO, "DATA": GO}, NeverAgain, "5.1.1"),
    "MAIL refused, RCPT taken, text wanted": ({"MAIL": NO, "RCPT": YES, "DATA": GO}, NeverAgain, "5.1.1"),
    "RCPT refused": ({"RCPT": NO}, NeverAgain, "5.1.1"),
    "RCPT refused for now": ({"RCPT": "450 4.2.0 greylisted"}, TryAgain, "4.2.0"),
    "RCPT refused, DATA 503": ({"RCPT": NO, "DATA": "503 5.5.1 no"}, NeverAgain, "5.1.1"),
    "RCPT refused, text wanted and taken": ({"RCPT": NO, "DATA": GO, "DOT": YES}, NeverAgain, "5.1.1"),
    "RCPT refused, text wanted and refused": ({"RCPT": NO, "DATA": GO, "DOT": "554 5.5.1 none"}, NeverAgain, "5.1.1"),
    "RCPT refused, text wanted, then lost": ({"RCPT": NO, "DATA": GO, "DOT": "drop"}, NeverAgain, "5.1.1"),
    "RCPT refused, RSET refused": ({"RCPT": NO, "RSET": "502 no"}, NeverAgain, "5.1.1"),
    "DATA refused": ({"DATA": "451 4.3.0 later"}, TryAgain, "4.3.0"),
    "text refused": ({"DOT": "554 5.6.0 bad text"}, NeverAgain, "5.6.0"),
    "text refused for now": ({"DOT": "452 4.3.1 full"}, TryAgain, "4.3.1"),
    "421 at MAIL": ({"MAIL": "421 4.3.2 bye"}, TryAgain, "4.3.2"),
    "421 at RCPT": ({"RCPT": "421 4.3.2 bye"}, TryAgain, "4.3.2"),
    "421 at DATA": ({"DATA": "421 4.3.2 bye"}, TryAgain, "4.3.2"),
    "421 at the dot": ({"DOT": "421 4.3.2 bye"}, TryAgain, "4.3.2"),
    "lost at MAIL": ({"MAIL": "drop"}, TryAgain, "lost"),
    "lost at RCPT": ({"RCPT": "drop"}, TryAgain, "lost"),
    "lost at DATA": ({"DATA": "drop"}, TryAgain, "lost"),
    "lost in the text": ({"DATA": "cut"}, OutcomeUnknown, "lost"),
    "lost after the dot": ({"DOT": "drop"}, OutcomeUnknown, "lost"),
    "nonsense at RCPT": ({"RCPT": "wat?"}, TryAgain, "lost"),
    "nonsense at the dot": ({"DOT": "wat?"}, OutcomeUnknown, "garbage"),
    "an endless line": ({"DOT": "250 " + "x" * 600_000}, OutcomeUnknown, "garbage"),
    "endless lines": ({"DOT": "\r\n".join(["250-" + "x" * 900] * 600)}, OutcomeUnknown, "garbage"),
    "354 at MAIL": ({"MAIL": GO}, TryAgain, "354"),
    "250 at DATA": ({"DATA": YES}, TryAgain, "250"),
    "354 at the dot": ({"DOT": GO}, OutcomeUnknown, "354"),
    "a reply too many": ({"RCPT": f"{YES}\r\n{YES}"}, TryAgain, "250|lost"),
    "a reply after 354": ({"DATA": f"{GO}\r\n{YES}"}, TryAgain, "lost"),
    "many lines": ({"MAIL": "250-a\r\n250 b", "RCPT": "250-\r\n250", "DOT": "250-2.0.0 a\r\n250 b"}, Acceptance, ""),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_message_in_trouble_leaves_those_around_it_alone(
    case: tuple[dict[str, str], type[SendError] | type[Acceptance], str], way: Way
) -> None:
    replies, kind, code = case

    async def story() -> None:
        async with smtp_peer(way.peer(script(1, **replies))) as peer:
            provider = way.open(peer, connections=1)
            first, second, *others = await send_all(provider, [mail(number) for number in range(5)])
            await provider.aclose()
        assert type(second) is kind
        assert getattr(second, "code", "") in code.split("|")
        assert [type(one) for one in (first, *others)] == [Acceptance] * 4
        taken = [one.mail_from for one in peer.mails if one.mail_from != sender(1)]
        assert taken == [sender(0), sender(2), sender(3), sender(4)]
        assert {one.data for one in peer.mails} == {wire_form(BODY)[:-3]}
        assert kind is not NeverAgain or len(peer.mails) == 4

    way.run(story())


@dataclass(frozen=True)
class Plan:
    """What a random server says to each message, and what is done to the senders."""

    replies: dict[str, str] = field(default_factory=dict)
    messages: int = 1
    connections: int = 1
    per_connection: int = 100
    pipelining: bool = True
    cancelled: frozenset[int] = frozenset()
    cancel_after_s: float = 0.0


TROUBLE = {
    "MAIL": ["drop", NO, "421 bye", "wat?", "451 later", GO],
    "RCPT": ["drop", NO, "421 bye", "wat?", "450 later", "stall", f"{YES}\r\n{YES}"],
    "DATA": ["drop", "554 no", "421 bye", "wat?", "451 later", GO, "cut", YES, f"{GO}\r\n{YES}"],
    ".": ["drop", "554 no", "421 bye", "wat?", "451 later", "stall", YES, f"{YES}\r\n{YES}"],
}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    number = draw(st.integers(1, 8))
    replies = {
        f"{verb} {sender(message)}": draw(st.sampled_from(TROUBLE[verb]))
        for message in range(number)
        for verb in draw(st.sets(st.sampled_from(sorted(TROUBLE)), max_size=2))
    }
    return Plan(
        replies=replies,
        messages=number,
        connections=draw(st.integers(1, 3)),
        per_connection=draw(st.sampled_from([1, 2, 3, 100])),
        pipelining=draw(st.booleans()),
        cancelled=draw(st.frozensets(st.integers(0, number - 1), max_size=2)),
        cancel_after_s=draw(st.sampled_from([0, 0.001, 0.003, 0.01])),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(plan=plans())
def test_what_we_say_of_a_message_is_what_the_server_has(plan: Plan) -> None:
    bodies = [BODY + b"%d\r\n" % number * (50_000 if number == 2 else 1) for number in range(plan.messages)]

    async def story() -> None:
        async with smtp_peer(Way(pipelining=plan.pipelining).peer(plan.replies)) as peer:
            provider = Way().open(
                peer,
                connections=plan.connections,
                messages_per_connection=plan.per_connection,
                timeout_s=0.2,
                final_timeout_s=0.2,
            )
            tasks = [asyncio.create_task(provider.send(mail(n, body))) for n, body in enumerate(bodies)]
            await asyncio.sleep(plan.cancel_after_s)
            for number in plan.cancelled:
                tasks[number].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await provider.aclose()
        taken = [one.mail_from for one in peer.mails]
        assert len(taken) == len(set(taken))
        for number, outcome in enumerate(outcomes):
            has_it = sender(number) in taken
            assert isinstance(outcome, Acceptance | SendError | asyncio.CancelledError)
            assert has_it or not isinstance(outcome, Acceptance)
            assert not has_it or not isinstance(outcome, TryAgain | NeverAgain)
        for one in peer.mails:
            number = int(one.mail_from.partition("+")[2].partition("@")[0])
            assert one.data == wire_form(bodies[number])[:-3]

    Way().run(story())


LOOPS = pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])


class Listener(asyncio.Protocol):
    """A server that answers each command at once and keeps what came in one read; the dot is answered when told."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.answers_dot, self.offer = True, b"PIPELINING"
        self.dots = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(b"220 listener\r\n")

    def data_received(self, data: bytes) -> None:
        self.reads.append(data)
        for line in data.split(b"\r\n"):
            if line.startswith(b"EHLO"):
                self.say(b"250-listener\r\n250 " + self.offer)
            elif line == b".":
                self.dots.set()
                if not self.answers_dot:
                    return
                self.say(b"250 ok")
            elif line == b"DATA":
                self.say(b"354 go")
            elif line.startswith((b"MAIL", b"RCPT", b"QUIT")):
                self.say(b"250 ok")

    def say(self, reply: bytes) -> None:
        assert self.transport is not None
        self.transport.write(reply + b"\r\n")


@asynccontextmanager
async def listening(listener: Listener, **more: object) -> AsyncIterator[Provider]:
    server = await asyncio.get_running_loop().create_server(lambda: listener, "127.0.0.1")
    provider = Way().open(SmtpPeer(port=server.sockets[0].getsockname()[1]), **{"connections": 1, **more})
    try:
        yield provider
    finally:
        if listener.transport is not None:
            listener.transport.abort()
        await provider.aclose()
        server.close()


@LOOPS
def test_the_next_message_leaves_in_the_same_write_as_this_ones_dot(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def story() -> None:
        listener = Listener()
        async with listening(listener) as provider:
            await send_all(provider, [mail(number, b"short\r\n") for number in range(3)])
        commands = [
            b"MAIL FROM:<%b>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n" % sender(number).encode() for number in range(3)
        ]
        text = b"short\r\n.\r\n"
        assert listener.reads[1:5] == [commands[0], text + commands[1], text + commands[2], text]

    Way(loop).run(story())


def test_without_the_offer_each_command_waits_for_its_answer() -> None:
    async def story() -> None:
        listener = Listener()
        listener.offer = b"HELP"
        async with listening(listener) as provider:
            await send_all(provider, [mail(number, b"short\r\n") for number in range(2)])
        assert all(read.count(b"\r\n") == 1 or read == b"short\r\n.\r\n" for read in listener.reads)

    Way().run(story())


@LOOPS
def test_a_reset_before_the_dot_has_left_is_a_definite_not_now(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    class Deaf(Listener):
        def say(self, reply: bytes) -> None:
            super().say(reply)
            if reply.startswith(b"354") and self.transport is not None:
                self.transport.pause_reading()
                asyncio.get_running_loop().call_later(0.3, self.transport.abort)

    async def story() -> None:
        async with listening(Deaf()) as provider:
            (outcome,) = await send_all(provider, [mail(0, b"x" * 30_000_000)])
        assert isinstance(outcome, TryAgain)

    Way(loop).run(story())


def test_a_message_cancelled_in_the_line_or_at_hand_leaves_the_one_on_the_wire_alone() -> None:
    async def story() -> None:
        listener = Listener()
        listener.answers_dot = False
        async with listening(listener) as provider:
            tasks = [asyncio.create_task(provider.send(mail(number, b"short\r\n"))) for number in range(3)]
            await listener.dots.wait()
            tasks[1].cancel()
            tasks[2].cancel()
            await asyncio.wait(tasks[1:])
            listener.say(b"250 queued as FIRST")
            assert (await tasks[0]).provider_ref == "FIRST"
            assert [task.cancelled() for task in tasks] == [False, True, True]
        assert b"".join(listener.reads).count(b"\r\n.\r\n") == 1

    Way().run(story())


@dataclass
class Permit:
    """What its sender says when asked; `fresh` until somebody waited too long."""

    says: bool | Exception = True
    is_fresh: bool = True
    asked: int = 0

    async def renew(self) -> bool:
        self.asked += 1
        await asyncio.sleep(0.01)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def behind_a_slow_dot(peer: SmtpPeer, provider: Provider, permit: Permit) -> list[Acceptance | BaseException]:
    """Three messages over one connection, the first one's reply late; `permit` is the second one's, at hand then."""
    peer.dots_wait = asyncio.Event()
    messages = [replace(mail(number), permit=one) for number, one in enumerate((Permit(), permit, None))]
    sending = asyncio.create_task(send_all(provider, messages))
    await until(lambda: peer.mails)
    permit.is_fresh = False
    peer.dots_wait.set()
    return await sending


@pytest.mark.parametrize("says", [False, OSError("no database")], ids=["no", "nobody can tell"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_may_not_leave_any_more_after_a_slow_reply_does_not(way: Way, says: bool | Exception) -> None:
    async def story() -> None:
        async with smtp_peer(way.peer({})) as peer:
            provider = way.open(peer, connections=1)
            first, second, third = await behind_a_slow_dot(peer, provider, Permit(says))
            await provider.aclose()
        assert isinstance(second, Withheld), "a definite answer: it has not left"
        assert isinstance(first, Acceptance)
        assert isinstance(third, Acceptance), "the line goes on"
        assert [one.mail_from for one in peer.mails] == [sender(0), sender(2)]

    way.run(story())


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_still_may_leave_after_a_slow_reply_does_so_over_the_same_connection(way: Way) -> None:
    async def story() -> None:
        permit = Permit()
        async with smtp_peer(way.peer({})) as peer:
            provider = way.open(peer, connections=1)
            outcomes = await behind_a_slow_dot(peer, provider, permit)
            await provider.aclose()
        assert all(isinstance(one, Acceptance) for one in outcomes)
        assert [one.mail_from for one in peer.mails] == [sender(number) for number in range(3)]
        assert (permit.asked, peer.connections) == (1, 1)

    way.run(story())


def test_a_connection_that_ends_while_a_permit_is_renewed_has_not_sent_it() -> None:
    class Slow(Permit):
        async def renew(self) -> bool:
            self.asked += 1
            await asyncio.Event().wait()
            return True

    async def story() -> None:
        permit = Slow(is_fresh=False)
        listener = Listener()
        async with listening(listener) as provider:
            sending = asyncio.create_task(provider.send(replace(mail(0, b"short\r\n"), permit=permit)))
            await until(lambda: permit.asked)
            assert listener.transport is not None
            listener.transport.abort()
            with pytest.raises(TryAgain):
                await sending
        assert not listener.dots.is_set()

    Way().run(story())


def test_an_urgent_message_goes_before_all_that_wait() -> None:
    async def story() -> None:
        async with smtp_peer() as peer:
            provider = Way().open(peer, connections=1)
            tasks = [asyncio.create_task(provider.send(mail(number))) for number in range(5)]
            tasks.append(asyncio.create_task(provider.send(replace(mail(9), urgent=True))))
            await asyncio.gather(*tasks)
            await provider.aclose()
        order = [one.mail_from for one in peer.mails]
        assert order.index(sender(9)) <= 1

    Way().run(story())


def test_ordinary_messages_leave_one_connection_to_urgent_ones() -> None:
    async def story() -> None:
        async with smtp_peer(SmtpPeer(replies={".": "stall"})) as peer:
            provider = Way().open(peer, connections=3)
            stuck = [asyncio.create_task(provider.send(mail(number))) for number in range(10)]
            # Two texts sent, and behind each the commands of another message.
            await until(lambda: len(peer.mails) == 2)
            assert peer.connections == 2
            peer.replies["."] = YES
            assert await provider.send(replace(mail(11), urgent=True))
            assert peer.connections == 3
            for task in stuck:
                task.cancel()
            await asyncio.wait(stuck)
            await provider.aclose()

    Way().run(story())


def test_a_server_that_takes_fewer_connections_gets_all_over_those() -> None:
    async def story() -> None:
        async with smtp_peer() as peer:
            provider = Way().open(peer, connections=4)
            await provider.send(mail(0))
            peer.replies["HELLO"] = "421 4.7.0 too many connections"
            outcomes = await send_all(provider, [mail(number) for number in range(1, 20)])
            await provider.aclose()
        assert {type(outcome) for outcome in outcomes} == {Acceptance}
        assert len(peer.mails) == 20

    Way().run(story())


@pytest.mark.skipif(not postfix.is_installed(), reason="needs Debian's postfix")
@pytest.mark.parametrize("options", [(), ("-p",)], ids=["pipelined", "one by one"])
def test_postfix_counts_what_we_say_it_took(options: tuple[str, ...], tmp_path: Path) -> None:
    async def story() -> None:
        port = postfix.free_port()
        async with postfix.sink(port, tmp_path, "-c", *options) as sink:
            provider = Way().open(SmtpPeer(port=port), connections=3, messages_per_connection=50)
            outcomes = await send_all(provider, [mail(number) for number in range(500)])
            await provider.aclose()
            await until(lambda: sink.messages() == 500)
        assert {type(outcome) for outcome in outcomes} == {Acceptance}
        assert sink.messages() == 500

    Way().run(story())
