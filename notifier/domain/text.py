"""Text in more than one language."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Localized:
    """The same text per locale, e.g. `{"zh-CN": …, "en": …}`; locales are BCP 47 tags."""

    texts: Mapping[str, str]

    def get(self, locale: str, default_locale: str) -> str:
        """The text in `locale`, else in `default_locale`, else any."""
        return self.texts.get(locale) or self.texts.get(default_locale) or next(iter(self.texts.values()), "")
