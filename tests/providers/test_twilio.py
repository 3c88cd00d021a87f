"""Twilio: the fields of the one POST, what refusals mean, whose callbacks count and what they say."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from notifier.domain.channel import Sought
from notifier.domain.errors import Fault, InputError, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.event import EventKind, ProviderEvent
from notifier.providers.base import CallbackRequest, LooksUp, Provider
from notifier.providers.registry import open_provider
from notifier.providers.twilio.codes import CODES
from tests.peers.http_peer import HttpPeer, Told
from tests.peers.twilio_peer import ACCOUNT_SID, AUTH_TOKEN, twilio_error, twilio_peer
from tests.providers import builders

HOOK = "https://bank.example/hooks/twilio/sms"


@asynccontextmanager
async def twilio(**settings: object) -> AsyncIterator[tuple[HttpPeer, Provider]]:
    async with twilio_peer() as peer:
        provider = open_provider(builders.twilio_account(peer.address, **settings), {"auth_token": AUTH_TOKEN})
        try:
            yield peer, provider
        finally:
            await provider.aclose()


def provider_with(token: str) -> Provider:
    return open_provider(builders.twilio_account("https://api.twilio.com"), {"auth_token": token})


def signed(token: str, url: str, params: dict[str, str], **headers: str) -> CallbackRequest:
    """A form callback signed as Twilio documents it, written here without its library."""
    text = url + "".join(name + params[name] for name in sorted(params))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    return CallbackRequest(
        url=url,
        headers={"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded", **headers},
        body=urlencode(params).encode(),
    )


async def test_one_post_carries_every_field() -> None:
    async with twilio() as (peer, provider):
        acceptance = await provider.send(builders.sms("m.k3.7.tag-_", text="【江畔银行】静安支行今日暂停营业"))
    assert acceptance.provider_ref.startswith("SM")
    assert len(peer.requests) == 1
    assert peer.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"
    assert peer.requests[0].form() == {
        "To": "+12125550123",
        "From": "+12125550100",
        "Body": "【江畔银行】静安支行今日暂停营业",
        "StatusCallback": f"{HOOK}?message=m.k3.7.tag-_",
        "ValidityPeriod": "14400",
    }


async def test_a_messaging_service_stands_in_for_the_sender() -> None:
    service = "MG" + "0" * 32
    async with twilio(messaging_service_sid=service) as (peer, provider):
        await provider.send(builders.sms(callback_url=f"{HOOK}?a=b", validity_s=100_000))
    form = peer.requests[0].form()
    assert "From" not in form
    assert form["MessagingServiceSid"] == service
    assert form["ValidityPeriod"] == "36000"
    assert parse_qs(urlsplit(form["StatusCallback"]).query) == {"a": ["b"], "message": ["m.1.2.tag"]}


async def test_without_a_callback_or_a_limit_none_is_sent() -> None:
    async with twilio() as (peer, provider):
        await provider.send(builders.sms(callback_url="", validity_s=0))
    assert set(peer.requests[0].form()) == {"To", "From", "Body"}


@pytest.mark.parametrize(
    "told", [Told(503, b"{}"), Told(500, b"<html>"), Told(502), Told(how="drop"), Told(how="stall")]
)
async def test_after_a_lost_answer_there_is_no_second_post(told: Told) -> None:
    async with twilio(timeout_s=1 if told.how == "stall" else 30) as (peer, provider):
        peer.answers.append(told)
        with pytest.raises(OutcomeUnknown):
            await provider.send(builders.sms())
        assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("told", "kind", "fault", "code"),
    [
        (twilio_error(400, 21211), NeverAgain, Fault.RECIPIENT, "21211"),
        (twilio_error(400, 21610), NeverAgain, Fault.OPTED_OUT, "21610"),
        (twilio_error(400, 21408), NeverAgain, Fault.SENDER, "21408"),
        (twilio_error(400, 21617), NeverAgain, Fault.CONTENT, "21617"),
        (twilio_error(400, 21611), TryAgain, Fault.PROVIDER, "21611"),
        (twilio_error(429, 20429), TryAgain, Fault.PROVIDER, "20429"),
        (twilio_error(401, 20003), TryAgain, Fault.SENDER, "20003"),
        (twilio_error(403, 30002), TryAgain, Fault.SENDER, "30002"),
        (twilio_error(400, 29999, "new, about +12125550123"), TryAgain, Fault.PROVIDER, "29999"),
        (Told(400, b"<html>no</html>"), TryAgain, Fault.PROVIDER, "400"),
        (Told(404, b"[]"), TryAgain, Fault.SENDER, "404"),
        (Told(302, b"", {"location": "http://127.0.0.1:1/"}), TryAgain, Fault.PROVIDER, "302"),
        (
            Told(400, b'{"type": "t", "title": "bad", "status": 400, "code": 21614}'),
            NeverAgain,
            Fault.RECIPIENT,
            "21614",
        ),
    ],
)
async def test_what_a_refusal_means(told: Told, kind: type[NeverAgain | TryAgain], fault: Fault, code: str) -> None:
    async with twilio() as (peer, provider):
        peer.answers.append(told)
        with pytest.raises(kind) as caught:
            await provider.send(builders.sms())
        assert len(peer.requests) == 1
    assert (caught.value.fault, caught.value.code) == (fault, code)
    assert "2125550123" not in caught.value.reason


async def test_a_rate_limit_waits_as_long_as_asked() -> None:
    async with twilio() as (peer, provider):
        peer.answers.extend([Told(429, b"{}", {"retry-after": "17"}), Told(429, b"{}", {"retry-after": "soon"})])
        waits = []
        for _ in range(2):
            with pytest.raises(TryAgain) as caught:
                await provider.send(builders.sms())
            waits.append(caught.value.after_s)
    assert waits == [17, 30]


async def test_a_wrong_token_is_ours_to_mend() -> None:
    async with twilio_peer() as peer:
        provider = open_provider(builders.twilio_account(peer.address), {"auth_token": "wrong"})
        with pytest.raises(TryAgain) as caught:
            await provider.send(builders.sms())
        await provider.aclose()
    assert caught.value.fault is Fault.SENDER


async def test_a_text_too_long_never_leaves() -> None:
    async with twilio() as (peer, provider):
        with pytest.raises(NeverAgain):
            await provider.send(builders.sms(text="x" * 1601))
        assert not peer.requests


PUBLISHED = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
SURVEY_REPLY = {
    "MessageSid": "SM00000000000000000000000000000001",
    "From": "+15005550006",
    "To": "+15005550001",
    "Body": "9 great",
    "NumSegments": "1",
}


@pytest.mark.parametrize(
    ("url", "params", "signature"),
    [
        ("https://mycompany.com/myapp.php?foo=1&bar=2", PUBLISHED, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("https://bank.example/webhooks/twilio/inbound", SURVEY_REPLY, "FTdaqKI4JKxVkGMdqDVgSi01Yn8="),
    ],
)
def test_published_signatures_are_theirs(url: str, params: dict[str, str], signature: str) -> None:
    request = signed("12345", url, params)
    assert request.headers["x-twilio-signature"] == signature
    assert provider_with("12345").verify_callback(request) is True
    assert provider_with("12346").verify_callback(request) is False


STATUS = {"MessageSid": "SM" + "0" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT_SID, "To": "+12125550123"}
URL = f"{HOOK}?message=m.1.2.tag"


def test_the_port_may_be_named_or_not() -> None:
    named = signed(AUTH_TOKEN, URL.replace("bank.example", "bank.example:443"), STATUS)
    arrived = CallbackRequest(url=URL, headers=named.headers, body=named.body)
    assert provider_with(AUTH_TOKEN).verify_callback(arrived) is True


def changed(**changes: object) -> CallbackRequest:
    good = signed(AUTH_TOKEN, URL, STATUS)
    headers = {
        **good.headers,
        **{"x-twilio-signature": str(changes.get("signature", good.headers["x-twilio-signature"]))},
    }
    body = changes.get("body", good.body)
    assert isinstance(body, bytes)
    return CallbackRequest(url=str(changes.get("url", good.url)), headers=headers, body=body)


TAMPERED = {
    "no signature": changed(signature=""),
    "garbage signature": changed(signature="%%%"),
    "not ASCII": changed(signature="ü" * 28),
    "another message": changed(url=f"{HOOK}?message=m.1.3.tag"),
    "http for https": changed(url=URL.replace("https", "http")),
    "another host": changed(url=URL.replace("bank.example", "evil.example")),
    "added query": changed(url=f"{URL}&x=1"),
    "bad port": changed(url=URL.replace("bank.example", "bank.example:x")),
    "other status": changed(body=urlencode({**STATUS, "MessageStatus": "failed"}).encode()),
    "moved boundary": changed(
        body=urlencode({**STATUS, "MessageStatus": "", "MessageStatu": "sdelivered"} | {"MessageStatus": ""}).encode()
    ),
    "doubled field": changed(body=urlencode([*STATUS.items(), ("MessageStatus", "delivered")]).encode()),
    "no body": changed(body=b""),
    "not UTF-8": changed(body=b"MessageStatus=%ff%fe"),
    "raw bytes": changed(body=b"\xff\xfe"),
    "a bomb of fields": changed(body=b"a=b&" * 100_000),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_callback_is_not_theirs(what: str) -> None:
    provider = provider_with(AUTH_TOKEN)
    assert provider.verify_callback(changed()) is True
    assert provider.verify_callback(TAMPERED[what]) is False


def json_callback(body: bytes, signed_body: bytes) -> CallbackRequest:
    url = f"{HOOK}?bodySHA256={hashlib.sha256(signed_body).hexdigest()}"
    signature = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), url.encode(), hashlib.sha1).digest()).decode()
    return CallbackRequest(
        url=url, headers={"x-twilio-signature": signature, "content-type": "application/json"}, body=body
    )


def test_a_body_hash_in_the_url_is_checked_against_the_body() -> None:
    body, other = json.dumps({"a": 1}).encode(), json.dumps({"a": 2}).encode()
    provider = provider_with(AUTH_TOKEN)
    assert provider.verify_callback(json_callback(body, body)) is True
    assert provider.verify_callback(json_callback(other, body)) is False
    assert provider.verify_callback(json_callback(b"", body)) is False
    assert provider.verify_callback(json_callback(b"\xff", body)) is False


def read(**params: str) -> tuple[ProviderEvent, ...]:
    return provider_with(AUTH_TOKEN).read_callback(signed(AUTH_TOKEN, URL, {**STATUS, **params}))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("queued", "", EventKind.ACCEPTED),
        ("sent", "", EventKind.SENT),
        ("delivered", "", EventKind.DELIVERED),
        ("read", "", EventKind.DELIVERED),
        ("undelivered", "30003", EventKind.BOUNCED_SOFT),
        ("undelivered", "30005", EventKind.BOUNCED_HARD),
        ("undelivered", "30007", EventKind.FAILED),
        ("undelivered", "39999", EventKind.BOUNCED_SOFT),
        ("failed", "30008", EventKind.BOUNCED_SOFT),
        ("failed", "", EventKind.FAILED),
        ("canceled", "", EventKind.FAILED),
    ],
)
def test_a_status_in_our_words(status: str, code: str, kind: EventKind) -> None:
    (event,) = read(MessageStatus=status, ErrorCode=code)
    assert (event.kind, event.code, event.public_id) == (kind, code, "m.1.2.tag")
    assert event.provider_ref == STATUS["MessageSid"]


def test_an_opt_out_at_the_carrier_is_an_event_of_its_own() -> None:
    failed, opted_out = read(MessageStatus="failed", ErrorCode="21610")
    assert (failed.kind, opted_out.kind) == (EventKind.FAILED, EventKind.OPTED_OUT)
    assert failed.event_key != opted_out.event_key


def test_the_same_event_has_the_same_key_in_any_order() -> None:
    body = urlencode(dict(reversed(STATUS.items()))).encode()
    (one,), (two,) = read(), provider_with(AUTH_TOKEN).read_callback(changed(body=body))
    (other,) = read(MessageStatus="sent")
    assert one.event_key == two.event_key != other.event_key
    assert len(one.event_key) == 64


def test_a_new_status_says_nothing_and_breaks_nothing() -> None:
    assert read(MessageStatus="teleported") == ()


@pytest.mark.parametrize(
    "body", [b"", b"x=1", b"MessageStatus=sent", b"MessageStatus=sent&MessageSid=a%0ab", b"MessageSid=%ff", b"\xff"]
)
def test_a_malformed_callback_is_an_input_error(body: bytes) -> None:
    with pytest.raises(InputError):
        provider_with(AUTH_TOKEN).read_callback(changed(body=body))


def test_every_code_has_a_meaning_fit_to_show() -> None:
    assert all(code.isdigit() and meaning.text for code, meaning in CODES.items())
    recipients = {code for code, meaning in CODES.items() if meaning.fault is Fault.RECIPIENT}
    assert all(CODES[code].retry_s == 0 for code in recipients)


def sought(text: str = "Hello Ann", **more: object) -> Sought:
    ago = timedelta(minutes=int(str(more.get("minutes", 2))))
    known = frozenset({str(more["known"])} if "known" in more else ())
    return Sought(
        public_id="m.1.2.tag", to="+12125550123", text=text, handed_at=datetime.now(UTC) - ago, known_refs=known
    )


def looking(provider: Provider) -> LooksUp:
    assert isinstance(provider, LooksUp)
    return provider


async def test_a_message_whose_answer_was_lost_is_found_by_its_text() -> None:
    async with twilio() as (peer, provider):
        taken = await provider.send(builders.sms())
        found = await looking(provider).look_up(sought())
    assert found is not None
    assert (found.provider_ref, found.kind, found.public_id) == (taken.provider_ref, EventKind.ACCEPTED, "m.1.2.tag")
    assert peer.requests[-1].method == "GET"


async def test_what_twilio_does_not_list_it_does_not_have() -> None:
    async with twilio() as (_, provider):
        await provider.send(builders.sms(to="+12125550124"))
        assert await looking(provider).look_up(sought()) is None


async def test_another_message_of_ours_is_not_taken_for_it() -> None:
    async with twilio() as (_, provider):
        other = await provider.send(builders.sms())
        assert await looking(provider).look_up(sought(known=other.provider_ref)) is None


async def test_older_messages_say_nothing() -> None:
    async with twilio() as (_, provider):
        await provider.send(builders.sms())
        assert await looking(provider).look_up(sought(minutes=-30)) is None


@pytest.mark.parametrize("count", [1, 101])
async def test_where_it_could_be_ours_or_not_the_look_up_cannot_say(count: int) -> None:
    async with twilio() as (peer, provider):
        for number in range(count):
            await provider.send(builders.sms(text=f"Another system's {number}"))
        with pytest.raises(OutcomeUnknown):
            await looking(provider).look_up(sought())
    assert len([seen for seen in peer.requests if seen.method == "GET"]) <= 5


@pytest.mark.parametrize(
    "told",
    [
        Told(body=b"{}"),
        Told(body=b'{"messages": [1]}'),
        Told(body=b'{"messages": [{"sid": "SM1", "date_created": "soon"}]}'),
        Told(body=b'{"messages": [], "next_page_uri": "https://elsewhere.example/"}'),
        Told(status=503),
        Told(how="drop"),
        twilio_error(429, 20429),
        twilio_error(401, 20003),
    ],
)
async def test_a_look_up_that_fails_says_so(told: Told) -> None:
    async with twilio() as (peer, provider):
        peer.answers.append(told)
        with pytest.raises(SendError):
            await looking(provider).look_up(sought())
