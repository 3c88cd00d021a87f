"""Characters that must not travel: controls, direction overrides, broken surrogates."""

import re

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BROKEN = re.compile("[\ud800-\udfff\ue000\ue001]")  # U+E000 and U+E001 are the renderer's own marks
_BLANKS = re.compile(r"[ \t\n]+")
_TRAILING = re.compile(r"[ \t]+\n")
_GAPS = re.compile(r"\n{3,}")


def clean_text(text: str) -> str:
    """The text with line ends as `\\n`, without C0 and C1 controls (tab stays) and direction controls."""
    if text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", text)
    return _BROKEN.sub("\ufffd", _HARMFUL.sub("", text))


def clean_line(text: str) -> str:
    """The same on one line, outer blanks removed; safe inside a header."""
    return one_line(clean_text(text))


def one_line(text: str) -> str:
    """Each run of blanks one space, none at the ends."""
    return _BLANKS.sub(" ", text).strip()


def tidy(text: str) -> str:
    """No blanks at line ends, at most one empty line in a row, none at either end."""
    return _GAPS.sub("\n\n", _TRAILING.sub("\n", text)).strip()
