"""How many parts a text message costs, and how to keep it cheap."""

from dataclasses import dataclass

GSM_7 = "GSM-7"
UCS_2 = "UCS-2"

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # an escape and a character: two septets that travel together
_ALPHABET = _BASIC | _EXTENDED

_SINGLE = {GSM_7: 160, UCS_2: 70}
_MULTI = {GSM_7: 153, UCS_2: 67}  # each part of several carries a header

_PLAINER = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'")
    | dict.fromkeys("“”„‟″«»", '"')
    | dict.fromkeys("‐‑‒–—―−", "-")
    | dict.fromkeys("\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " ")
    | dict.fromkeys("\u200b\u2060\ufeff\u00ad", "")
    | {"…": "...", "•": "-"}
)


@dataclass(frozen=True, slots=True)
class SmsCount:
    """What a text costs. `units_left`: septets (GSM-7) or 16-bit units (UCS-2) free in the last part."""

    encoding: str
    parts: int
    characters: int
    units_left: int


def count_parts(text: str) -> SmsCount:
    """Counts as the handset's standard (3GPP TS 23.038) packs: escapes and surrogate pairs are never split."""
    encoding = GSM_7 if _ALPHABET.issuperset(text) else UCS_2
    widths = _septets(text) if encoding == GSM_7 else _utf16_units(text)
    total = sum(widths)
    if total <= _SINGLE[encoding]:
        return SmsCount(encoding, 1, len(text), _SINGLE[encoding] - total)
    capacity = _MULTI[encoding]
    parts, used = 1, 0
    for width in widths:
        if used + width > capacity:
            parts, used = parts + 1, 0
        used += width
    return SmsCount(encoding, parts, len(text), capacity - used)


def to_gsm7(text: str) -> str:
    """The text with typographic quotes, dashes, dots and spaces made plain, if that keeps it GSM-7; else unchanged."""
    if _ALPHABET.issuperset(text):
        return text
    plainer = text.translate(_PLAINER)
    return plainer if _ALPHABET.issuperset(plainer) else text


def _septets(text: str) -> list[int]:
    return [2 if character in _EXTENDED else 1 for character in text]


def _utf16_units(text: str) -> list[int]:
    return [2 if character > "\uffff" else 1 for character in text]
