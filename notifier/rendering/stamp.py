"""Stamp: what an exercise sends says first that it is one, in every channel and language."""

import re
from dataclasses import dataclass, replace
from html import escape

from notifier.domain.channel import Content, EmailContent, PostContent, SmsContent
from notifier.rendering.sms import count_parts


@dataclass(frozen=True, slots=True)
class _Words:
    mark: str
    sentence: str

    @property
    def opening(self) -> str:
        """The mark as it stands before other words."""
        return self.mark if self.mark.endswith("】") else f"{self.mark} "

    @property
    def first(self) -> str:
        """The line that stands before everything else."""
        return f"{self.opening}{self.sentence}"


_WORDS = {
    "zh": _Words("【演练】", "本消息仅为演练，请勿据此行动。"),
    "en": _Words("[EXERCISE]", "This is only an exercise. Please do not act on it."),
}
_BOTH = _Words(
    f"{_WORDS['zh'].mark}{_WORDS['en'].mark}",
    f"{_WORDS['zh'].sentence}{_WORDS['en'].sentence}",
)
"""For a language we have no words in: better two that are read than one that is not."""

_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
# Carriers of mainland China read the first 【…】 of an SMS as its registered signature: that one stays first.
_SIGNATURE = re.compile(r"【[^【】]{1,20}】")
# Its own colours on itself, so that neither a style sheet nor a dark mailbox can hide it.
_BANNER = (
    '<div role="note" style="margin:0;padding:14px 18px;background-color:#b3261e;color:#ffffff;'
    "font-family:Arial,'PingFang SC','Microsoft YaHei',sans-serif;font-size:17px;line-height:1.5;font-weight:700;"
    'text-align:center;">{}</div>'
)


def exercise_mark(locale: str) -> str:
    """What stands first in everything an exercise sends: `【演练】`, `[EXERCISE]`."""
    return _words(locale).mark


def stamp_exercise(content: Content, locale: str) -> Content:
    """The same content marked as an exercise: subject, banner and first line of an e-mail, start of an SMS or a post.

    The parts of an SMS are counted again. Stamp once, before the hash is taken: what is shown later is stamped too.
    """
    match content:
        case EmailContent():
            return stamp_email(content, locale)
        case SmsContent():
            return _stamp_sms(content, _words(locale).first)
        case PostContent():
            return replace(content, text=f"{_words(locale).first}\n\n{content.text}")


def _words(locale: str) -> _Words:
    return _WORDS.get(locale.partition("-")[0].lower(), _BOTH)


def stamp_email(content: EmailContent, locale: str) -> EmailContent:
    """An e-mail as `stamp_exercise` makes it."""
    words = _words(locale)
    banner = _BANNER.format(escape(words.first))
    body = _BODY.search(content.html)
    at = body.end() if body else 0
    return replace(
        content,
        subject=f"{words.opening}{content.subject}",
        html=f"{content.html[:at]}{banner}{content.html[at:]}",
        text=f"{words.first}\n\n{content.text}",
    )


def _stamp_sms(content: SmsContent, first: str) -> SmsContent:
    signature = _SIGNATURE.match(content.text)
    at = signature.end() if signature else 0
    blank = " " if first.isascii() else ""
    text = f"{content.text[:at]}{first}{blank}{content.text[at:]}"
    count = count_parts(text)
    return replace(content, text=text, parts=count.parts, encoding=count.encoding)
