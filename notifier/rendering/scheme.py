"""A mail as a reader with a light or a dark screen sees it, whatever the screen it is looked at on."""

import re
from enum import StrEnum

_QUERY = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
_SUPPORTED = re.compile(r"<meta\b[^>]*\bname\s*=\s*[\"']?(?:supported-)?color-schemes?\b[^>]*>", re.IGNORECASE)
_TRUE, _FALSE = "(min-width: 0)", "(max-width: 0)"


class Scheme(StrEnum):
    """What the reader's mail program asks for."""

    LIGHT = "light"
    DARK = "dark"


def force_scheme(html: str, scheme: Scheme) -> str:
    """The mail with its own rules for this scheme always on and those for the other always off.

    Each `(prefers-color-scheme: …)` becomes a condition that every screen fulfils or none. Where the mail says
    that it knows dark, the page below it turns dark too; a mail that does not know stays as it is, as in mail
    programs that change no colours of their own.
    """
    knows = bool(_SUPPORTED.search(html)) or has_dark_rules(html)
    forced = _QUERY.sub(lambda found: _TRUE if found[1].lower() == scheme.value else _FALSE, _SUPPORTED.sub("", html))
    style = f"<style>:root {{ color-scheme: {scheme if knows else Scheme.LIGHT} }}</style>"
    return _HEAD.sub(lambda head: head[0] + style, forced, count=1) if _HEAD.search(forced) else style + forced


def has_dark_rules(html: str) -> bool:
    """Whether the mail has words of its own for dark screens."""
    return any(found.lower() == Scheme.DARK for found in _QUERY.findall(html))
