"""Notes: messages to the house, marked as such. Tests, proofs and alarms are no message of any run."""

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from html import escape

from notifier.domain.channel import Content, EmailContent, PostContent, SmsContent

ORIGIN = "\ue000origin\ue001"
"""Stands for this installation's public address until a note is sent; the one who writes it does not know it."""


class NoteKind(StrEnum):
    """Why the house writes to itself."""

    TEST = "test"  # somebody asked to see a message on their own device
    PROOF = "proof"  # a proof reader's copy of what a run says
    ALARM = "alarm"  # something happened that people answer for


class NoteState(StrEnum):
    """Where a note stands; after a lost answer it has failed, and is not tried again."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"


MARKS: Mapping[NoteKind, Mapping[str, str]] = {
    NoteKind.TEST: {"zh": "【测试】", "en": "[TEST] "},
    NoteKind.PROOF: {"zh": "【样稿】", "en": "[PROOF] "},
    NoteKind.ALARM: {"zh": "【提醒】", "en": "[ALERT] "},
}
_LINES: Mapping[NoteKind, Mapping[str, str]] = {
    NoteKind.TEST: {
        "zh": "测试消息，由{name}要求发送。客户没有收到，也不计入任何统计。",
        "en": "A test that {name} asked for. No customer got it, and nothing counts it.",
    },
    NoteKind.PROOF: {
        "zh": "样稿，供{name}核对。内容与客户收到的一致，不计入任何统计。",
        "en": "A proof for {name}: this is what customers get. Nothing counts it.",
    },
}
_SHORT: Mapping[NoteKind, Mapping[str, str]] = {
    NoteKind.TEST: {"zh": "（测试：{name}）", "en": " (test for {name})"},
    NoteKind.PROOF: {"zh": "（样稿：{name}）", "en": " (proof for {name})"},
}
_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ue000\ue001]+")
_LONGEST_NAME = 60
_BANNER = (
    '<div style="margin:0;padding:10px 16px;background:#fbf0d9;color:#5c3b00;font:600 14px/1.5 sans-serif">{line}</div>'
)


def mark_content(content: Content, kind: NoteKind, *, locale: str, name: str, signature: str = "") -> Content:
    """The content with its mark and a line that says whom it is for.

    The mark opens the subject or the text; an SMS keeps its signature before it, for carriers refuse one without.
    The parts of an SMS are left as they were: count them again.
    """
    language = "zh" if locale.startswith("zh") else "en"
    mark, who = MARKS[kind][language], one_line(name)[:_LONGEST_NAME]
    line = f"{mark}{_LINES[kind][language].format(name=who)}"
    match content:
        case EmailContent():
            html = _open_html(content.html, _BANNER.format(line=escape(line)))
            return EmailContent(subject=f"{mark}{content.subject}", html=html, text=f"{line}\n\n{content.text}")
        case SmsContent():
            start = signature if signature and content.text.startswith(signature) else ""
            text = f"{start}{mark}{content.text.removeprefix(start)}{_SHORT[kind][language].format(name=who)}"
            return replace(content, text=text)
        case PostContent():
            return PostContent(text=f"{line}\n\n{content.text}")


def one_line(text: str) -> str:
    """What a person typed, fit for a subject or a line: no line ends, no characters that turn the text around."""
    return " ".join(_CONTROL.sub(" ", text).split())


def _open_html(html: str, banner: str) -> str:
    """The banner as the first thing of the body."""
    found = _BODY.search(html)
    return f"{html[: found.end()]}{banner}{html[found.end() :]}" if found else f"{banner}{html}"
