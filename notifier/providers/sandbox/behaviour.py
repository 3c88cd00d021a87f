"""What the sandbox does with a message: by its address, by a seeded draw, always the same again."""

import hashlib
from enum import StrEnum

from notifier.domain.channel import Channel


class Behaviour(StrEnum):
    """One way to treat a message."""

    DELIVER = "deliver"
    BOUNCE = "bounce"  # take it, report a bounce later
    SILENT = "silent"  # take it, never report anything
    REFUSE = "refuse"  # say no for good
    TRY_AGAIN = "try-again"  # say "not now", once per message and process
    LOSE_REPLY = "lose-reply"  # take it, then lose the answer


BY_LOCAL_PART: dict[str, Behaviour] = {member.value: member for member in Behaviour}
"""E-mail: `bounce@…`, `refuse+anything@…` and so on."""

BY_NUMBER: dict[str, Behaviour] = {
    "+15005550001": Behaviour.REFUSE,
    "+15005550002": Behaviour.TRY_AGAIN,
    "+15005550003": Behaviour.LOSE_REPLY,
    "+15005550004": Behaviour.SILENT,
    "+15005550009": Behaviour.BOUNCE,
}
"""SMS: numbers of the area code 500, which belongs to no place."""


def by_address(channel: Channel, to: str) -> Behaviour | None:
    """The behaviour the address itself asks for, None = it asks for nothing."""
    if channel is Channel.EMAIL:
        return BY_LOCAL_PART.get(to.partition("@")[0].partition("+")[0].lower())
    return BY_NUMBER.get(to) if channel is Channel.SMS else None


def by_draw(seed: int, to: str, shares: tuple[tuple[Behaviour, float], ...]) -> Behaviour:
    """The same address with the same seed always draws the same; shares in percent, the rest is delivered."""
    drawn = share_of(seed, to) * 100
    for behaviour, share_pct in shares:
        if drawn < share_pct:
            return behaviour
        drawn -= share_pct
    return Behaviour.DELIVER


def share_of(seed: int, to: str) -> float:
    """0 ≤ x < 1, evenly spread over addresses."""
    digest = hashlib.blake2b(f"{seed}:{to}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53
