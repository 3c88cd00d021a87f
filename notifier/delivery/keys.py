"""The keys of this installation, each for one use."""

from dataclasses import dataclass, field

from notifier.domain.links import derive_key
from notifier.settings import Settings


@dataclass(frozen=True, slots=True)
class Keys:
    """Derived from the one secret."""

    links: bytes = field(repr=False)  # signs public ids and links
    addresses: bytes = field(repr=False)  # hashes addresses


def derive_keys(settings: Settings) -> Keys:
    """The same keys on every machine with the same secret."""
    return Keys(links=derive_key(settings.secret, "links"), addresses=derive_key(settings.secret, "addresses"))
