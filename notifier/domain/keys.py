"""The keys of an installation, each for one use, all derived from its one secret."""

from dataclasses import dataclass, field

from notifier.domain.links import derive_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The same on every machine with the same secret."""

    links: bytes = field(repr=False)  # signs public ids and links
    addresses: bytes = field(repr=False)  # hashes addresses
    sessions: bytes = field(repr=False)  # binds forms to a session


def derive_keys(secret: bytes) -> Keys:
    """The keys of an installation."""
    return Keys(
        links=derive_key(secret, "links"),
        addresses=derive_key(secret, "addresses"),
        sessions=derive_key(secret, "sessions"),
    )
