"""The web addresses that a rendered message leads to."""

import re
from html import unescape

from notifier.domain.channel import Content, EmailContent

_HREF = re.compile(r"""\bhref\s*=\s*["'](https?:[^"']+)["']""", re.IGNORECASE)
_TYPED = re.compile(r"https?://[^\s<>\"'（）【】，。；、：！？]+", re.IGNORECASE)
_AFTER = ".,;:!?)"  # what ends the sentence, not the address


def addresses_in(content: Content) -> tuple[str, ...]:
    """Each address once, in the order they are met: of an e-mail the links first, then those typed in the text."""
    found: dict[str, None] = {}
    if isinstance(content, EmailContent):
        found |= dict.fromkeys(unescape(address) for address in _HREF.findall(content.html))
    found |= dict.fromkeys(address.rstrip(_AFTER) for address in _TYPED.findall(content.text))
    return tuple(found)
