"""Cells that no spreadsheet takes for a formula."""

import re

# Also the full-width signs that a Chinese Excel reads as the plain ones.
_FORMULA = re.compile(r"[\s]*[=+\-@＝＋－＠|%]|[\t\r\n]")
_HARMLESS = re.compile(
    r"\+[0-9]{5,15}|-?[0-9]+(\.[0-9]+)?"
)  # numbers, also those of phones, must come back as they were


def safe_cell(text: str) -> str:
    """`text`, with an apostrophe before it where a spreadsheet would run it (OWASP ASVS 5.0, 1.2.10)."""
    return f"'{text}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else text


def plain_cell(text: str) -> str:
    """What `safe_cell` was given."""
    return text[1:] if text.startswith("'") and safe_cell(text[1:]) == text else text
