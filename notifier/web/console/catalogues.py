"""The catalogues of translations, read once: one file per room and language."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LOCALES: Mapping[str, str] = {"zh-CN": "zh_CN", "en": "en"}
FOLDER = Path(__file__).parent.parent / "locales"


@cache
def load_catalogue(locale: str) -> Mapping[str, str]:
    """English message → the language's, one file per room; messages without a translation are left out."""
    said: dict[str, str] = {}
    for path in sorted((FOLDER / LOCALES[locale]).glob("*.po")):
        with path.open("rb") as file:
            catalogue = read_po(file, locale=LOCALES[locale])
        said |= {str(message.id): str(message.string) for message in catalogue if message.id and message.string}
    return said
