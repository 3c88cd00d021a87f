"""SMTP: what goes over the wire, what replies mean, and when a lost connection is in doubt."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtpd.smtp
import pytest
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from notifier.domain.channel import Acceptance, Outgoing
from notifier.domain.errors import Fault, InputError, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.retry import FAILS_OVER, trouble_of
from notifier.providers.base import Provider
from notifier.providers.registry import check_account, open_provider
from notifier.providers.smtp.provider import wire_form
from notifier.providers.smtp.replies import Stage, enhanced_code, queue_id, refusal
from notifier.providers.smtp.transport import Reply
from tests.peers.smtp_peer import CERTIFICATE, SmtpPeer, smtp_peer
from tests.providers import builders

QUICK: dict[str, object] = {"timeout_s": 1, "final_timeout_s": 1}
"""For servers that stall; all others may take their time, also on a busy machine."""


@asynccontextmanager
async def smtp(peer: SmtpPeer, **settings: object) -> AsyncIterator[Provider]:
    provider = open_provider(builders.smtp_account(peer.port, **settings), {})
    try:
        yield provider
    finally:
        await provider.aclose()


async def fails(peer: SmtpPeer, outgoing: Outgoing | None = None, **settings: object) -> SendError:
    async with smtp(peer, **settings) as provider:
        with pytest.raises(SendError) as caught:
            await provider.send(outgoing or builders.email())
    return caught.value


class Mailbox:
    """Handler of the aiosmtpd server."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_DATA(self, server: aiosmtpd.smtp.SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 2.0.0 Ok: queued as ABC123"


def let_in(server: object, session: object, envelope: object, mechanism: str, login: LoginPassword) -> AuthResult:
    return AuthResult(success=login == LoginPassword(b"bank", b"right"), handled=False)


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Mailbox, int]]:
    """A real aiosmtpd server with STARTTLS and AUTH required, and its port."""
    handler, context = Mailbox(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: aiosmtpd.smtp.SMTP(
            handler,
            hostname="peer.example",
            tls_context=context,
            require_starttls=True,
            authenticator=let_in,
            auth_required=True,
            enable_SMTPUTF8=True,
            loop=loop,
        ),
        "127.0.0.1",
    )
    try:
        yield handler, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def send_with_login(port: int, password: str, outgoing: Outgoing) -> Acceptance:
    settings: dict[str, object] = {"tls": "starttls", "ca_file": str(CERTIFICATE), "username": "bank"}
    account = builders.account(
        "smtp",
        builders.email().channel,
        settings={"host": "127.0.0.1", "port": port, **settings},
        secrets=("password",),
    )
    provider = open_provider(account, {"password": password})
    try:
        return await provider.send(outgoing)
    finally:
        await provider.aclose()


async def test_a_mail_arrives_whole_over_starttls_and_auth(mailbox: tuple[Mailbox, int]) -> None:
    handler, port = mailbox
    mime = builders.MIME + b".\r\n..two\r\nlast without an end"
    acceptance = await send_with_login(port, "right", builders.email(mime=mime))
    envelope = handler.envelopes[0]
    assert envelope.content == mime + b"\r\n"
    assert envelope.mail_from == "bounce+1@example.com"
    assert envelope.rcpt_tos == ["ann@example.com"]
    assert acceptance.provider_ref == "ABC123"


async def test_a_wrong_password_is_ours_to_mend_and_not_the_messages_end(mailbox: tuple[Mailbox, int]) -> None:
    with pytest.raises(TryAgain) as caught:
        await send_with_login(mailbox[1], "wrong", builders.email())
    assert caught.value.fault is Fault.SENDER
    assert caught.value.after_s >= 300


async def test_an_untrusted_certificate_stops_the_message() -> None:
    async with smtp_peer(SmtpPeer(starttls=True)) as peer:
        error = await fails(peer, tls="starttls")
        assert isinstance(error, TryAgain)
        assert error.fault is Fault.SENDER
        assert not peer.mails
        assert set(peer.in_clear) <= {"EHLO", "STARTTLS"}


@pytest.mark.parametrize("replies", [{}, {"STARTTLS": "454 4.7.0 not now"}])
async def test_a_server_without_starttls_gets_no_mail_in_clear(replies: dict[str, str]) -> None:
    async with smtp_peer(SmtpPeer(replies=replies)) as peer:
        error = await fails(peer, tls="starttls")
        assert isinstance(error, TryAgain)
        assert error.fault is Fault.SENDER
        assert "MAIL" not in peer.verbs


async def test_starttls_is_the_default() -> None:
    async with smtp_peer() as peer:
        account = builders.account("smtp", builders.email().channel, settings={"host": "127.0.0.1", "port": peer.port})
        provider = open_provider(account, {})
        with pytest.raises(TryAgain):
            await provider.send(builders.email())
        assert "MAIL" not in peer.verbs


@pytest.mark.parametrize(
    ("replies", "kind", "fault", "code"),
    [
        ({"RCPT": "550 5.1.1 no such user"}, NeverAgain, Fault.RECIPIENT, "5.1.1"),
        ({"RCPT": "550 no such user"}, NeverAgain, Fault.RECIPIENT, "550"),
        ({"RCPT": "550 blocked by our policy"}, NeverAgain, Fault.SENDER, "550"),
        ({"RCPT": "552 5.2.2 mailbox full"}, NeverAgain, Fault.PROVIDER, "5.2.2"),
        ({"RCPT": "452 4.2.2 over quota"}, TryAgain, Fault.PROVIDER, "4.2.2"),
        ({"RCPT": "450 4.7.1 greylisted, try again later"}, TryAgain, Fault.SENDER, "4.7.1"),
        ({"RCPT": "421 4.3.2 shutting down"}, TryAgain, Fault.PROVIDER, "4.3.2"),
        ({"RCPT": "drop"}, TryAgain, Fault.PROVIDER, "lost"),
        ({"RCPT": "stall"}, TryAgain, Fault.PROVIDER, "lost"),
        ({"MAIL": "550 5.7.26 not authenticated"}, NeverAgain, Fault.SENDER, "5.7.26"),
        ({"MAIL": "550 5.1.8 bad sender domain"}, NeverAgain, Fault.SENDER, "5.1.8"),
        ({"MAIL": "nonsense"}, TryAgain, Fault.PROVIDER, "lost"),
        ({"DATA": "451 4.3.0 later"}, TryAgain, Fault.PROVIDER, "4.3.0"),
        ({"DATA": "554 5.5.1 no valid recipients"}, NeverAgain, Fault.SENDER, "5.5.1"),
        ({"DATA": "drop"}, TryAgain, Fault.PROVIDER, "lost"),
        ({"DATA": "stall"}, TryAgain, Fault.PROVIDER, "lost"),
        ({".": "554 5.6.0 bad text"}, NeverAgain, Fault.CONTENT, "5.6.0"),
        ({".": "550 5.7.1 looks like spam"}, NeverAgain, Fault.SENDER, "5.7.1"),
        ({".": "421 4.3.2 shutting down"}, TryAgain, Fault.PROVIDER, "4.3.2"),
        ({".": "452 4.3.1 disk full"}, TryAgain, Fault.PROVIDER, "4.3.1"),
        ({".": "drop"}, OutcomeUnknown, Fault.PROVIDER, "lost"),
        ({".": "stall"}, OutcomeUnknown, Fault.PROVIDER, "lost"),
        ({".": "wat?"}, OutcomeUnknown, Fault.PROVIDER, "garbage"),
        ({".": "354 again"}, OutcomeUnknown, Fault.PROVIDER, "354"),
        ({".": "250" + "x" * 70_000}, OutcomeUnknown, Fault.PROVIDER, "garbage"),
        ({"DATA": "cut"}, OutcomeUnknown, Fault.PROVIDER, "lost"),
        ({"HELLO": "421 4.3.2 busy"}, TryAgain, Fault.PROVIDER, "421"),
        ({"HELLO": "drop"}, TryAgain, Fault.PROVIDER, "connect"),
    ],
)
async def test_what_a_reply_means(replies: dict[str, str], kind: type[SendError], fault: Fault, code: str) -> None:
    async with smtp_peer(SmtpPeer(replies=replies)) as peer:
        error = await fails(peer, None, **(QUICK if "stall" in replies.values() else {}))
    assert (type(error), error.fault, error.code) == (kind, fault, code)
    assert not isinstance(error, TryAgain) or error.after_s >= (300 if code.startswith("4.") else 1)


async def test_a_server_that_stops_reading_before_the_dot_does_not_have_it() -> None:
    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transport.write(b"220 deaf\r\n")

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"354 go on\r\n" if data.startswith(b"DATA") else b"250 ok\r\n")
            if data.startswith(b"DATA"):
                self.transport.pause_reading()

    deaf = Deaf()
    server = await asyncio.get_running_loop().create_server(lambda: deaf, "127.0.0.1")
    peer = SmtpPeer(port=server.sockets[0].getsockname()[1])
    error = await fails(peer, builders.email(mime=builders.MIME + b"x" * 30_000_000), **QUICK)
    deaf.transport.abort()
    server.close()
    assert (type(error), error.code) == (TryAgain, "stalled")


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ({"HELLO": "554 5.7.1 no service here"}, "connect"),
        ({"HELLO": "450 4.3.0 not now"}, "connect"),
        ({"EHLO": "550 5.5.0 not you", "HELO": "550 5.5.0 not you"}, "connect"),
        ({"HELLO": "421 4.7.0 too many connections"}, "421"),
    ],
)
async def test_a_server_that_lets_nobody_in_is_out_of_reach_for_all(replies: dict[str, str], code: str) -> None:
    async with smtp_peer(SmtpPeer(replies=replies)) as peer:
        error = await fails(peer)
    assert (type(error), error.code) == (TryAgain, code)
    assert trouble_of(error) in FAILS_OVER


async def test_a_server_that_closes_after_its_greeting_is_a_definite_not_now() -> None:
    class Curt(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            transport.write(b"220 curt\r\n")

        def data_received(self, data: bytes) -> None:
            self.transport.write(b"250 ok\r\n")
            self.transport.close()

    server = await asyncio.get_running_loop().create_server(Curt, "127.0.0.1")
    error = await fails(SmtpPeer(port=server.sockets[0].getsockname()[1]))
    server.close()
    assert (type(error), error.code) == (TryAgain, "lost")


async def test_connections_are_kept_and_bounded() -> None:
    async with smtp_peer() as peer, smtp(peer, connections=3) as provider:
        await asyncio.gather(*(provider.send(builders.email(f"m.{number}")) for number in range(30)))
        assert len(peer.mails) == 30
        assert peer.connections <= 3
        assert provider.capabilities.slots == 6
        assert peer.open_most <= 3


async def test_a_connection_carries_no_more_than_its_messages() -> None:
    async with smtp_peer() as peer, smtp(peer, connections=1, messages_per_connection=4) as provider:
        for _ in range(10):
            await provider.send(builders.email())
        assert peer.connections == 3
        assert peer.verbs["MAIL"] == 10


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with smtp_peer() as peer, smtp(peer, idle_s=0.1) as provider:
        await provider.send(builders.email())
        for _ in range(100):
            if not peer.open_now:
                break
            await asyncio.sleep(0.05)
        assert peer.open_now == 0
        await provider.send(builders.email())
        assert peer.connections == 2


async def test_a_connection_the_server_closed_while_idle_costs_no_message() -> None:
    async with smtp_peer(SmtpPeer(close_after=1)) as peer, smtp(peer, connections=1) as provider:
        for _ in range(3):
            await provider.send(builders.email(mime="Grüße\r\n".encode()))
            await asyncio.sleep(0.15)
        assert len(peer.mails) == 3


@pytest.mark.parametrize("last_words", ["421 4.3.2 too long idle", "drop", "stall"])
async def test_a_kept_connection_that_ends_at_our_first_word_is_never_in_doubt(last_words: str) -> None:
    async with smtp_peer() as peer, smtp(peer, connections=1, **QUICK) as provider:
        await provider.send(builders.email())
        peer.replies["MAIL"] = last_words
        with pytest.raises(TryAgain):
            await provider.send(builders.email())
        assert peer.connections == (1 if last_words == "stall" else 2)
        peer.replies.clear()
        await provider.send(builders.email())
        assert len(peer.mails) == 2


async def test_eight_bit_and_international_mail_says_so() -> None:
    async with smtp_peer(SmtpPeer(extensions=("8BITMIME", "SMTPUTF8"))) as peer, smtp(peer) as provider:
        await provider.send(builders.email(to="änn@example.com", mime="Grüße".encode()))
        assert peer.mails[0].rcpt_to == "änn@example.com"
        assert peer.mail_options == ["BODY=8BITMIME SMTPUTF8"]


async def test_after_a_refused_recipient_the_connection_goes_on() -> None:
    async with smtp_peer(SmtpPeer(replies={"bad@example.com": "550 5.1.1 no"})) as peer, smtp(peer) as provider:
        for to in ("ann@example.com", "bad@example.com", "bob@example.com"):
            outcome = provider.send(builders.email(to=to))
            if to.startswith("bad"):
                with pytest.raises(NeverAgain):
                    await outcome
            else:
                await outcome
        assert [mail.rcpt_to for mail in peer.mails] == ["ann@example.com", "bob@example.com"]
        assert peer.connections == 1


async def test_after_a_lost_reply_the_connection_is_not_used_again() -> None:
    async with smtp_peer(SmtpPeer(replies={".": "stall"})) as peer, smtp(peer, connections=1, **QUICK) as provider:
        with pytest.raises(OutcomeUnknown):
            await provider.send(builders.email())
        peer.replies.clear()
        await provider.send(builders.email())
        assert peer.connections == 2


async def test_a_cancelled_send_cuts_its_connection_and_frees_its_place() -> None:
    async with smtp_peer(SmtpPeer(replies={".": "stall"})) as peer:
        async with smtp(peer, connections=1, final_timeout_s=30) as provider:
            sending = asyncio.create_task(provider.send(builders.email()))
            await peer.data_begun.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            peer.replies.clear()
            await provider.send(builders.email())
        assert peer.connections == 2


async def test_a_hanging_server_cannot_hold_up_closing() -> None:
    async with smtp_peer(SmtpPeer(replies={"RSET": "stall"})) as peer:
        provider = open_provider(builders.smtp_account(peer.port), {})
        await provider.send(builders.email())
        async with asyncio.timeout(10):
            await provider.aclose()


@pytest.mark.parametrize(
    "to",
    [
        "ann@example.com, bob@example.com",
        "ann@example.com,bob@example.com",
        "ann@example.com>\r\nRCPT TO:<bob@example.com",
        "<ann@example.com>",
        "Ann <ann@example.com>",
        "ann",
        "",
        "ann@@example.com",
        "ann bob@example.com",
        "ann@exam\x00ple.com",
        '"ann"@example.com',
        "ann@[127.0.0.1]",
        "ann@" + "ü" * 200 + ".example",
    ],
)
async def test_anything_but_one_address_is_refused_before_the_wire(to: str) -> None:
    async with smtp_peer() as peer:
        error = await fails(peer, builders.email(to=to))
        assert (type(error), error.fault) == (NeverAgain, Fault.RECIPIENT)
        assert peer.connections == 0


async def test_an_international_domain_travels_in_ascii() -> None:
    async with smtp_peer() as peer, smtp(peer) as provider:
        await provider.send(builders.email(to="ann@bücher.example"))
        assert peer.mails[0].rcpt_to == "ann@xn--bcher-kva.example"


async def test_what_the_server_cannot_carry_is_refused_before_it_is_sent() -> None:
    async with smtp_peer(SmtpPeer(extensions=())) as peer:
        assert (await fails(peer, builders.email(to="änn@example.com"))).fault is Fault.SENDER
        assert (await fails(peer, builders.email(mime="Grüße".encode()))).fault is Fault.SENDER
        assert not peer.mails


async def test_a_message_without_text_is_a_fault_of_content() -> None:
    assert (await fails(SmtpPeer(port=1), builders.email(mime=b""))).fault is Fault.CONTENT


@pytest.mark.parametrize(
    ("mime", "wire"),
    [
        (b"a", b"a\r\n.\r\n"),
        (b".a\r\n", b"..a\r\n.\r\n"),
        (b"a\n.\nb\r", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"a\r\n.\r\nMAIL FROM:<x>\r\n", b"a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"),
        (b"a\r.\n", b"a\r\n..\r\n.\r\n"),
    ],
)
def test_no_text_can_end_itself(mime: bytes, wire: bytes) -> None:
    assert wire_form(mime) == wire


def test_an_enhanced_code_that_contradicts_its_reply_is_ignored() -> None:
    assert enhanced_code(Reply(450, "5.1.1 no such user")) == ""
    assert isinstance(refusal(Stage.RCPT, Reply(450, "5.1.1 no such user")), TryAgain)


def test_queue_ids_are_read_from_common_replies() -> None:
    assert queue_id(Reply(250, "2.0.0 Ok: queued as 4F1B2C3D")) == "4F1B2C3D"
    assert queue_id(Reply(250, "ok")) == ""


def test_a_password_is_never_sent_in_clear_to_another_machine() -> None:
    account = builders.account(
        "smtp",
        builders.email().channel,
        settings={"host": "mail.example", "tls": "none", "username": "bank"},
        secrets=("password",),
    )
    with pytest.raises(InputError, match=r"settings\.tls"):
        check_account(account)


def test_a_log_in_needs_name_and_password() -> None:
    with pytest.raises(InputError, match=r"settings\.username"):
        check_account(builders.smtp_account(25, username="bank"))
