"""A message read back by another parser is the message we meant."""

import re
from base64 import b64decode
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.channel import EmailContent
from notifier.domain.errors import RenderError
from notifier.rendering.mime import MimeSkeleton, build_mime, encode_words, mailbox

DATE = datetime(2026, 3, 12, 9, 0, tzinfo=UTC)
CONTENT = EmailContent(subject="Branches", html="<p>Closed</p>", text="Closed\n")


def build(content: EmailContent = CONTENT, /, **changes: str) -> bytes:
    fields = {"sender": "notices@example.com", "to": "alex@example.com", "message_id": "<1.a@example.com>"} | changes
    return build_mime(content, date=DATE, **fields)


def parse(raw: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(raw)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    assert not part.defects
    return str(part.get_content()).replace("\r\n", "\n")


def test_every_header_a_bulk_sender_needs_is_there_once() -> None:
    message = parse(
        build(
            sender_name="江畔银行",
            to_name="王小明",
            reply_to="care@example.com",
            list_id="education.example.com",
            unsubscribe_url="https://example.com/u/abc",
            unsubscribe_mailto="unsubscribe@example.com",
            feedback_id="tips:customer:marketing:bank",
        )
    )
    assert message["From"] == "江畔银行 <notices@example.com>"
    assert message["To"] == "王小明 <alex@example.com>"
    assert message["Reply-To"] == "care@example.com"
    assert message["Message-ID"] == "<1.a@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Id"] == "<education.example.com>"
    assert message["List-Unsubscribe"] == "<https://example.com/u/abc>, <mailto:unsubscribe@example.com>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Feedback-ID"] == "tips:customer:marketing:bank"
    assert message["Date"].datetime == DATE
    assert len(set(message.keys())) == len(message.keys())


def test_a_service_mail_carries_no_unsubscribe_headers() -> None:
    message = parse(build())
    assert "List-Unsubscribe" not in message
    assert "List-Unsubscribe-Post" not in message
    assert "List-Id" not in message


def test_the_text_comes_before_the_html() -> None:
    message = parse(build())
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert body(message, "plain") == "Closed\n"


TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\r\n\0\u2028\u202e\u2066\x85\x7f\t=?_.-,;<>@\"'\\汉字😀 "),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(subject=TEXTS, name=TEXTS, sender_name=TEXTS)
def test_no_text_can_add_a_header_or_a_recipient(subject: str, name: str, sender_name: str) -> None:
    content = EmailContent(subject=subject, html="<p>x</p>", text="x\n")
    raw = build(content, to_name=name, sender_name=sender_name)
    message = BytesParser(policy=policy.default).parsebytes(raw)
    plain = parse(build())
    assert set(message.keys()) == set(plain.keys())
    assert len(message.get_all("To", [])) == 1
    assert [address.addr_spec for address in message["To"].addresses] == ["alex@example.com"]
    assert [address.addr_spec for address in message["From"].addresses] == ["notices@example.com"]
    head = raw.partition(b"\r\n\r\n")[0]
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\xff]", head)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["汉字", "😀", "word", "long" * 9, '"quoted"', "=?utf-8?q?x?=", "a, b", "été"]), min_size=1
    )
)
def test_a_subject_and_a_name_are_read_back_exactly(words: list[str]) -> None:
    text = " ".join(words)
    raw = build(EmailContent(subject=text, html="x", text="x\n"), to_name=text)
    assert str(parse(raw)["Subject"]) == text
    # The newer parser keeps the blank between two encoded words of a name, which RFC 2047 §6.2 drops.
    field = message_from_bytes(raw)["To"]
    decoded = str(make_header(decode_header(field))).removesuffix(" <alex@example.com>")
    name, address = parseaddr(field) if field.startswith('"') else (decoded, "alex@example.com")
    assert (name.replace("\r\n", ""), address) == (text, "alex@example.com")


@settings(deadline=None)
@given(st.text(st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from("\n\n汉. ")), max_size=3000))
def test_bodies_are_read_back_exactly_in_short_lines(text: str) -> None:
    text = text + "\n"
    content = EmailContent(subject="s", html=f"<p>{text}</p>\n", text=text)
    raw = build(content)
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    for part, expected in zip(parse(raw).iter_parts(), (text, f"<p>{text}</p>\n"), strict=True):
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode() == expected.replace("\n", "\r\n")


@pytest.mark.parametrize("html", ["<p>" + "x" * 5000 + "</p>", "<p>" + "汉" * 5000 + "</p>"])
def test_html_in_one_long_line_is_folded_with_crlf(html: str) -> None:
    raw = build(EmailContent(subject="s", html=html, text="x\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    assert body(parse(raw), "html").rstrip("\n") == html


def test_a_body_that_holds_the_boundary_stays_one_body() -> None:
    boundary = b'boundary="(.+?)"'
    found = re.search(boundary, build())
    assert found
    text = f"a\n--{found[1].decode()}--\nb\n"
    message = parse(build(EmailContent(subject="s", html="<p>x</p>\n", text=text)))
    assert body(message, "plain") == text
    assert body(message, "html") == "<p>x</p>\n"


def test_lone_carriage_returns_do_not_reach_the_wire() -> None:
    raw = build(EmailContent(subject="s", html="<p>a\rb</p>\n", text="a\rb\r\nc\n"))
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert body(parse(raw), "plain") == "a\nb\nc\n"


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\0",
        "<a@example.com>",
        "a b@example.com",
        "@example.com",
        "a@",
        "a",
        "",
        "ä@example.com",
        "a@@example.com",
    ],
)
def test_anything_but_one_plain_address_is_refused(address: str) -> None:
    with pytest.raises(RenderError):
        mailbox(address)
    with pytest.raises(RenderError):
        build(to=address)


@pytest.mark.parametrize(
    "change",
    [
        {"unsubscribe_url": "http://example.com/u"},
        {"unsubscribe_url": "https://example.com/u\r\nX: y"},
        {"unsubscribe_url": "https://example.com/u>, <https://evil.example"},
        {"unsubscribe_mailto": "a@example.com\nX: y"},
        {"message_id": "x"},
        {"message_id": "<a@b>\r\nX: y"},
        {"list_id": "a\r\nX: y"},
        {"list_id": "a> <b"},
        {"feedback_id": "a\nb"},
        {"auto_submitted": "no\r\nX: y"},
        {"reply_to": "a@example.com,b@example.com"},
    ],
)
def test_a_header_value_that_could_break_the_head_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(RenderError):
        build(**change)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400))
def test_encoded_words_keep_the_limits_of_rfc_2047(text: str) -> None:
    lines = encode_words(text).split("\r\n ")
    if len(lines) > 1 or lines[0].startswith("=?"):
        assert all(len(word) <= 75 for word in lines)
        for word in lines:  # each is complete in itself
            assert word.isascii()
            b64decode(word.removeprefix("=?utf-8?b?").removesuffix("?=")).decode()


def test_a_skeleton_gives_the_same_bytes_as_building_at_once() -> None:
    skeleton = MimeSkeleton(sender="notices@example.com", sender_name="Riverside Bank")
    built = skeleton.build(CONTENT, to="alex@example.com", message_id="1.a@example.com", date=DATE)
    assert built == build(sender_name="Riverside Bank")


def test_the_same_message_sent_again_is_the_same_to_the_byte() -> None:
    assert build() == build()
