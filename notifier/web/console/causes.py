"""Why messages were not sent, in words: each cause with what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifier.domain.causes import Cause, cause_of
from notifier.store.tallies import Tally
from notifier.web.console.words import Words

SAID: Mapping[Cause, tuple[str, str]] = {
    Cause.NO_ADDRESS: (
        "No address for this channel",
        "Add the address to these contacts, or reach them by another channel.",
    ),
    Cause.OPTED_OUT: ("They opted out", "Their choice. Do not look for a way around it; they can opt in again."),
    Cause.NO_CONSENT: ("They never opted in", "Marketing wants their consent first. Ask for it at the next occasion."),
    Cause.DUPLICATE: (
        "Same address as another contact",
        "The address got the message once. Merge these contacts if they are one person.",
    ),
    Cause.BLOCKED_BAD: (
        "The address is blocked because it came back before",
        "Ask for a new address; a new one is not blocked.",
    ),
    Cause.BLOCKED_COMPLAINT: (
        "They called an earlier message spam",
        "Do not write to this address again. Use another channel if you must reach them.",
    ),
    Cause.BLOCKED_BY_HAND: (
        "A colleague blocked the address, or it was erased",
        "The contact's page says why. Only who knows the reason should lift the block.",
    ),
    Cause.BAD_ADDRESS: (
        "There is no such address or number",
        "It is blocked from now on. Ask these contacts for a new one.",
    ),
    Cause.FULL: ("The mailbox is full", "It passes by itself. Write to them by another channel if it is urgent."),
    Cause.CAME_BACK: (
        "It was sent and came back",
        "Addresses that do not exist are blocked by themselves. Ask these contacts for a new one.",
    ),
    Cause.NOT_RENDERED: (
        "The text could not be made for them",
        "Correct the template or these contacts' values, then launch again for them.",
    ),
    Cause.TOO_LONG: ("The text is too long for the network", "Shorten it in the template, then launch again."),
    Cause.LOGIN: (
        "The provider does not accept our login",
        "Ask the operator to renew the account's secret; what waits goes on by itself.",
    ),
    Cause.UNWANTED: (
        "Filtered as unwanted",
        "Ask the operator to check the sender's registration and reputation before the next large run.",
    ),
    Cause.SENDER: (
        "This sender may not send there",
        "Ask the operator to register the sender for this region, or to use another account.",
    ),
    Cause.TOO_FAST: (
        "Over a limit of the provider",
        "Ask the operator to lower the account's rate or to raise the limit.",
    ),
    Cause.PROVIDER: (
        "Refused by the provider",
        "The provider's words stand below. Show them to the operator if many are concerned.",
    ),
    Cause.SET_ASIDE: (
        "Set aside: it ended three workers",
        "Show it to the operator: something in it cannot be handled. It can be sent again on the page of doubts.",
    ),
    Cause.SETTLED: ("A person found that it never left", "Launch again for these contacts if it still matters."),
    Cause.DRILL: ("Exercise: not published", "Nothing to do: an exercise posts nothing in public."),
    Cause.EXPIRED: (
        "Its time ran out before it could go",
        "It is never sent late. Launch again if it still matters, early enough before quiet hours.",
    ),
    Cause.CANCELLED: ("A person stopped it", "Launch again like this if it should go out after all."),
    Cause.IN_DOUBT: (
        "Nobody knows whether it was sent",
        "Look at the provider, or ask the contact, then settle each message.",
    ),
}
_WORDS_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseLine:
    """One cause of a run: how many, in whose words, and what to do."""

    cause: Cause
    title: str
    advice: str
    count: int
    channels: Sequence[str]
    words: Sequence[str]  # a provider's own, the most frequent first
    state: str  # of its messages, for the list of them


_WORDED = {
    Cause.PROVIDER,
    Cause.NOT_RENDERED,
    Cause.UNWANTED,
    Cause.SENDER,
    Cause.LOGIN,
    Cause.TOO_LONG,
    Cause.TOO_FAST,
}


def group_causes(tallies: Sequence[Tally], t: Words) -> list[CauseLine]:
    """Causes of what was not sent, came back or is in doubt, the most frequent first."""
    found: dict[Cause, list[Tally]] = {}
    for tally in sorted(tallies, key=lambda tally: -tally.count):
        if cause := cause_of(tally.state, tally.reason):
            found.setdefault(cause, []).append(tally)
    lines = [_line(cause, of_it, t) for cause, of_it in found.items()]
    return sorted(lines, key=lambda line: -line.count)


def _line(cause: Cause, tallies: Sequence[Tally], t: Words) -> CauseLine:
    title, advice = SAID[cause]
    words = list(dict.fromkeys(tally.reason for tally in tallies if tally.reason)) if cause in _WORDED else []
    return CauseLine(
        cause=cause,
        title=t(title),
        advice=t(advice),
        count=sum(tally.count for tally in tallies),
        channels=list(dict.fromkeys(tally.channel for tally in tallies)),
        words=words[:_WORDS_SHOWN],
        state=tallies[0].state,
    )
