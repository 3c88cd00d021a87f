"""An e-mail's content as the bytes that go over the wire, from a skeleton prepared once per sender."""

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import cached_property, lru_cache
from typing import Protocol

from notifier.domain.channel import EmailContent
from notifier.domain.errors import RenderError
from notifier.rendering.cleaning import clean_line

_ONE_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_PLAIN_URL = re.compile(r"(?:https://|mailto:)[!#-;=?-~]{1,900}")
_PLAIN_ID = re.compile(r"[!-;=?-~]{1,200}@[!-;=?-~]{1,200}")
_LINE, _LINE_BYTES = 76, 57
_WORTH_KEEPING_BYTES = 400
_KEPT_STARTS = 16
_LONGEST = 900  # RFC 5321 ends at 998
_WORD_BYTES = 45  # 60 characters of base64 and the frame of an encoded word: 72 of the 75 allowed
_FIRST_WORD_BYTES = 36  # leaves room for the header's name
_PLAIN_CHARACTERS = 60

# Base64 and quoted-printable cannot produce "=_"; a plain ASCII body that holds it is encoded.
_BOUNDARY = "=_notifier_alternative"
_DELIMITER = f"--{_BOUNDARY}".encode()
_OPENING = f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n\r\n'.encode()
_CLOSING = f"--{_BOUNDARY}--\r\n".encode()
_7BIT, _QP, _BASE64 = "7bit", "quoted-printable", "base64"
_PART_HEADS = {
    (kind, encoding): (
        f"--{_BOUNDARY}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode()
    for kind in ("plain", "html")
    for encoding in (_7BIT, _QP, _BASE64)
}


class Bodied(Protocol):
    """An e-mail that makes its own MIME parts."""

    @property
    def subject(self) -> str:
        """Its subject."""
        ...

    def parts(self) -> Sequence[bytes]:
        """Head and body of the plain text, then of the HTML, in pieces."""
        ...


@dataclass(frozen=True, kw_only=True)
class MimeSkeleton:
    """The headers that are the same in every message; build it once per run, step and sender.

    `list_id`: a host-like name ("education.riverside-bank.example"). `feedback_id`: Gmail's four
    fields `campaign:customer:mailtype:sender`. Wrong addresses raise `RenderError`.
    """

    sender: str
    sender_name: str = ""
    reply_to: str = ""
    list_id: str = ""
    feedback_id: str = ""
    auto_submitted: str = "auto-generated"

    def build(
        self,
        content: "EmailContent | Bodied",
        *,
        to: str,
        message_id: str,
        date: datetime,
        to_name: str = "",
        unsubscribe_url: str = "",
        unsubscribe_mailto: str = "",
    ) -> bytes:
        """One complete RFC 5322 message in CRLF lines of at most 998 bytes; exactly one recipient.

        `message_id` is the caller's and stays the same when the message is sent again. The
        one-click headers (RFC 8058) stand where `unsubscribe_url` is given; it must be https.
        """
        head = (
            f"Date: {_date_text(date)}\r\n"
            f"To: {mailbox(to, to_name)}\r\n"
            f"Message-ID: {_message_id(message_id)}\r\n"
            f"Subject: {_subject(content.subject)}\r\n"
            f"{_unsubscribe(unsubscribe_url, unsubscribe_mailto)}"
        )
        parts: Sequence[bytes]
        if isinstance(content, EmailContent):
            parts = (*_part("plain", content.text), *_part("html", content.html))
        else:
            parts = content.parts()
        return b"".join((self._fixed, head.encode("ascii"), _OPENING, *parts, _CLOSING))

    @cached_property
    def _fixed(self) -> bytes:
        lines = [f"From: {mailbox(self.sender, self.sender_name)}"]
        if self.reply_to:
            lines.append(f"Reply-To: {mailbox(self.reply_to)}")
        if self.auto_submitted:
            lines.append(f"Auto-Submitted: {_token(self.auto_submitted)}")
        if self.list_id:
            lines.append(f"List-Id: <{_token(self.list_id.strip('<>'))}>")
        if self.feedback_id:
            lines.append(f"Feedback-ID: {_token(self.feedback_id)}")
        return ("\r\n".join(lines) + "\r\n").encode("ascii")


def build_mime(  # noqa: PLR0913 - one argument per header
    content: "EmailContent | Bodied",
    *,
    sender: str,
    to: str,
    message_id: str,
    date: datetime,
    sender_name: str = "",
    to_name: str = "",
    reply_to: str = "",
    list_id: str = "",
    unsubscribe_url: str = "",
    unsubscribe_mailto: str = "",
    feedback_id: str = "",
    auto_submitted: str = "auto-generated",
) -> bytes:
    """One message without keeping the skeleton; see `MimeSkeleton.build`."""
    skeleton = _skeleton(sender, sender_name, reply_to, list_id, feedback_id, auto_submitted)
    return skeleton.build(
        content,
        to=to,
        to_name=to_name,
        message_id=message_id,
        date=date,
        unsubscribe_url=unsubscribe_url,
        unsubscribe_mailto=unsubscribe_mailto,
    )


def mailbox(address: str, name: str = "") -> str:
    """`Name <address>` for a header; the name is encoded, the address must be exactly one addr-spec in ASCII."""
    if not _ONE_ADDRESS.fullmatch(address):
        raise RenderError("an e-mail address is not exactly one plain address")
    name = clean_line(name)
    if not name:
        return address
    if name.isascii() and len(name) <= _PLAIN_CHARACTERS and "=?" not in name:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}"\r\n <{address}>'
    return f"{_encoded(name)}\r\n <{address}>"


def encode_words(text: str) -> str:
    """Header text: as it is where short and ASCII, else RFC 2047 encoded words, folded; never cuts a character."""
    if text.isascii() and len(text) <= _PLAIN_CHARACTERS and "=?" not in text:
        return text
    return _encoded(text)


@lru_cache(maxsize=256)
def _subject(text: str) -> str:
    return encode_words(clean_line(text))


def _encoded(text: str) -> str:
    raw, words, start, room = text.encode(), [], 0, _FIRST_WORD_BYTES
    while start < len(raw):
        end = min(start + room, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b64encode(raw[start:end]).decode()}?=")
        start, room = end, _WORD_BYTES
    return "\r\n ".join(words)


def _part(kind: str, text: str) -> tuple[bytes, bytes]:
    """Head and body of one part. Base64 is three times as fast as quoted-printable here, which serves long ASCII lines."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    raw = text.replace("\n", "\r\n").encode("utf-8", "replace")
    if not raw.endswith(b"\r\n"):
        raw += b"\r\n"
    if not raw.isascii():
        return _PART_HEADS[kind, _BASE64], _base64_lines(raw)
    if _DELIMITER not in raw and max(map(len, raw.split(b"\r\n"))) <= _LONGEST:
        return _PART_HEADS[kind, _7BIT], raw + b"\r\n"
    return _PART_HEADS[kind, _QP], b2a_qp(raw, istext=True) + b"\r\n"


class PreparedPart:
    """A part cut at its slots: the odd pieces are filled. Its bytes are those of `_part` on the whole text.

    In base64 a long piece is encoded once for each place in a line it begins at, of which there are few.
    """

    def __init__(self, kind: str, pieces: Sequence[str], slots: Sequence[tuple[int, int]]) -> None:
        last = pieces[-1] if pieces[-1].endswith("\n") else pieces[-1] + "\n"
        self._kind, self._texts, self._slots = kind, pieces, slots
        self._pieces = [piece.replace("\n", "\r\n").encode() for piece in (*pieces[:-1], last)]
        fixed = "".join(pieces[::2])
        self._is_plain, self._is_odd = fixed.isascii(), "\r" in fixed
        self._longest = max(map(len, fixed.split("\n")))
        self._numbers: list[int | None] = [None] * len(pieces)
        for at, number in slots:
            self._numbers[at] = number
        self._ready: list[dict[int, bytes] | None] = [
            {} if len(piece) >= _WORTH_KEEPING_BYTES else None for piece in self._pieces
        ]

    def fill(self, values: Sequence[str]) -> list[bytes]:
        """Head and body in pieces; the values hold no line ends."""
        if self._is_odd:
            return list(_part(self._kind, self._whole(values)))
        return self._plain(values) if self._is_plain else self._base64(values)

    def _whole(self, values: Sequence[str]) -> str:
        pieces = zip(self._texts, self._numbers, strict=True)
        return "".join(piece if number is None else values[number] for piece, number in pieces)

    def _plain(self, values: Sequence[str]) -> list[bytes]:
        pieces, longest = self._pieces.copy(), self._longest
        for at, number in self._slots:
            pieces[at] = values[number].encode()
            longest += len(pieces[at])
        raw = b"".join(pieces)
        if longest > _LONGEST or not raw.isascii() or _DELIMITER in raw:
            return list(_part(self._kind, self._whole(values)))
        return [_PART_HEADS[self._kind, _7BIT], raw, b"\r\n"]

    def _base64(self, values: Sequence[str]) -> list[bytes]:
        lines, waiting = [_PART_HEADS[self._kind, _BASE64]], b""
        for piece, number, ready in zip(self._pieces, self._numbers, self._ready, strict=True):
            if number is not None:
                waiting += values[number].encode()
            elif ready is None:
                waiting += piece
            else:
                start = -len(waiting) % _LINE_BYTES
                end = len(piece) - (len(piece) - start) % _LINE_BYTES
                middle = ready.get(start) or _base64_lines(piece[start:end])
                if len(ready) < _KEPT_STARTS:
                    ready[start] = middle
                lines += (_base64_lines(waiting + piece[:start]), middle)
                waiting = piece[end:]
        lines.append(_base64_lines(waiting))
        return lines


def _base64_lines(raw: bytes) -> bytes:
    encoded = b64encode(raw)
    return b"".join([encoded[at : at + _LINE] + b"\r\n" for at in range(0, len(encoded), _LINE)])


def _unsubscribe(url: str, mailto: str) -> str:
    if not url and not mailto:
        return ""
    ways = [*([url] if url else []), *([f"mailto:{mailto.removeprefix('mailto:')}"] if mailto else [])]
    if not all(_PLAIN_URL.fullmatch(way) for way in ways) or (url and not url.startswith("https://")):
        raise RenderError("an unsubscribe address is not a plain https: or mailto: address")
    post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if url else ""
    return "List-Unsubscribe: " + ",\r\n ".join(f"<{way}>" for way in ways) + "\r\n" + post


def _message_id(text: str) -> str:
    inner = text.removeprefix("<").removesuffix(">")
    if not _PLAIN_ID.fullmatch(inner):
        raise RenderError("a Message-ID is not of the form id@host")
    return f"<{inner}>"


def _token(text: str) -> str:
    if not text.isascii() or not text.isprintable() or len(text) > 200 or "<" in text or ">" in text:
        raise RenderError("a header of the message holds characters it must not")
    return text


@lru_cache(maxsize=256)
def _skeleton(  # noqa: PLR0917 - the key of the cache
    sender: str, sender_name: str, reply_to: str, list_id: str, feedback_id: str, auto_submitted: str
) -> MimeSkeleton:
    return MimeSkeleton(
        sender=sender,
        sender_name=sender_name,
        reply_to=reply_to,
        list_id=list_id,
        feedback_id=feedback_id,
        auto_submitted=auto_submitted,
    )


def _date_text(date: datetime) -> str:
    return _date_of_second(date.replace(microsecond=0))


@lru_cache(maxsize=64)
def _date_of_second(date: datetime) -> str:
    return format_datetime(date)
