"""Accounts and messages for the tests of this room."""

from notifier.domain.account import Account, SecretRef
from notifier.domain.channel import Channel, Content, EmailContent, Outgoing, PostContent, SmsContent
from notifier.domain.text import Localized
from tests.peers.twilio_peer import ACCOUNT_SID

MIME = b"From: Bank <notices@example.com>\r\nTo: ann@example.com\r\nSubject: Hello\r\n\r\nHello Ann\r\n"


def account(
    provider: str,
    channel: Channel,
    *,
    sender: str = "",
    settings: dict[str, object] | None = None,
    secrets: tuple[str, ...] = (),
) -> Account:
    return Account(
        key=f"{provider}-{channel}",
        title=Localized({"en": provider}),
        channel=channel,
        provider=provider,
        sender=sender,
        settings=settings or {},
        secrets={name: SecretRef(name.upper()) for name in secrets},
    )


def smtp_account(port: int, **settings: object) -> Account:
    return account(
        "smtp", Channel.EMAIL, settings={"host": "127.0.0.1", "port": port, "tls": "none", "helo": "test", **settings}
    )


def twilio_account(address: str, **settings: object) -> Account:
    return account(
        "twilio",
        Channel.SMS,
        sender="+12125550100",
        settings={"account_sid": ACCOUNT_SID, "api_base": address, **settings},
        secrets=("auth_token",),
    )


def mastodon_account(address: str, **settings: object) -> Account:
    return account("mastodon", Channel.SOCIAL, settings={"instance": address, **settings}, secrets=("access_token",))


def email(public_id: str = "m.1.1.tag", *, to: str = "ann@example.com", mime: bytes = MIME) -> Outgoing:
    return Outgoing(
        public_id=public_id,
        channel=Channel.EMAIL,
        to=to,
        sender="Bank <notices@example.com>",
        content=EmailContent(subject="Hello", html="<p>Hello Ann</p>", text="Hello Ann"),
        mime=mime,
        envelope_from="bounce+1@example.com",
    )


def sms(public_id: str = "m.1.2.tag", *, to: str = "+12125550123", text: str = "Hello Ann", **more: object) -> Outgoing:
    return Outgoing(
        public_id=public_id,
        channel=Channel.SMS,
        to=to,
        sender="+12125550100",
        content=SmsContent(text=text, parts=1, encoding="GSM-7"),
        callback_url=str(more.get("callback_url", "https://bank.example/hooks/twilio/sms")),
        validity_s=int(str(more.get("validity_s", 14_400))),
    )


def post(public_id: str = "m.1.3.tag", *, text: str = "Our branches are open.") -> Outgoing:
    content: Content = PostContent(text=text)
    return Outgoing(public_id=public_id, channel=Channel.SOCIAL, to="wall", sender="", content=content)
