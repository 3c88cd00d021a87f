"""One contact's whole story: who they are, what they allowed, what went to them and what came back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from notifier.domain.contact import ConsentRecord
from notifier.domain.errors import NotFound
from notifier.store.contacts import StoredContact, get_contact, get_contact_by_id, list_consents
from notifier.store.database import Tx
from notifier.store.views import contact_story as view
from notifier.store.views.contact_story import Asked, Done, Happening, SentMessage, Suppressed
from notifier.store.views.contacts import list_memberships

TOLD_EVENTS = ("delivered", "bounced", "bounced-hard", "bounced-soft", "failed", "complained", "clicked", "opted-out")
"""What a message's own page does not have to say alone."""


class What(StrEnum):
    """What a line of the timeline tells."""

    ADDED = "added"
    CONSENT = "consent"
    MESSAGE = "message"
    LEFT_OUT = "left-out"
    EVENT = "event"
    OPENED = "opened"
    ANSWERED = "answered"
    SUPPRESSED = "suppressed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline: `facts` are the words to fill in, by name."""

    at: datetime
    what: What
    facts: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything known; `older` is the run to continue below, None where this is all."""

    stored: StoredContact
    consents: Sequence[ConsentRecord]
    suppressed: Sequence[Suppressed]
    lists: Sequence[str]
    messages: Sequence[SentMessage]
    happenings: Sequence[Happening]
    asked: Sequence[Asked]
    done: Sequence[Done]
    older: int | None
    is_first: bool = True  # the newest page, which also tells what has no page

    @property
    def timeline(self) -> list[Moment]:
        """Everything in one line, the newest first; of older messages only those of this page."""
        told = [*_messages(self), *_happenings(self)]
        if self.is_first:
            told += [*_person(self), *_answers(self)]
        return sorted(told, key=lambda moment: moment.at, reverse=True)


async def tell_story(tx: Tx, team_id: int, who: int | str, *, before_run: int | None = None) -> Story:
    """Of a contact by our id (a number) or the bank's (a text); `NotFound` where the team has none."""
    stored = await (get_contact_by_id(tx, team_id, who) if isinstance(who, int) else get_contact(tx, team_id, who))
    if stored is None:
        raise NotFound("there is no such contact")
    messages, older = await view.list_sent(tx, team_id, stored.id, before_run=before_run)
    sent = [(message.run_id, message.id) for message in messages if message.id]
    return Story(
        stored=stored,
        consents=await list_consents(tx, stored.id),
        suppressed=await view.list_suppressed(tx, team_id, stored.id),
        lists=await list_memberships(tx, team_id, stored.id),
        messages=messages,
        happenings=await view.list_happenings(tx, sent, TOLD_EVENTS),
        asked=await view.list_asked(tx, team_id, stored.id),
        done=await view.list_done(tx, team_id, stored.contact.external_id),
        older=older,
        is_first=before_run is None,
    )


def _person(story: Story) -> list[Moment]:
    added = Moment(at=story.stored.created_at, what=What.ADDED, facts={})
    consents = [Moment(at=one.at, what=What.CONSENT, facts={"consent": one}) for one in story.consents]
    blocks = [Moment(at=one.at, what=What.SUPPRESSED, facts={"block": one}) for one in story.suppressed]
    # What a person did for the contact stands in the ledger too, with more words.
    acts = [
        Moment(at=one.at, what=What.DONE, facts={"done": one}) for one in story.done if one.act != "contact.opted-out"
    ]
    return [added, *consents, *blocks, *acts]


def _messages(story: Story) -> list[Moment]:
    return [
        Moment(at=one.at, what=What.MESSAGE if one.id else What.LEFT_OUT, facts={"message": one})
        for one in story.messages
    ]


def _happenings(story: Story) -> list[Moment]:
    """What happened to messages, without what the message's own line says: the state it came to."""
    by_id = {(message.run_id, message.id): message for message in story.messages}
    return [
        Moment(at=one.at, what=What.EVENT, facts={"event": one, "message": by_id[one.run_id, one.message_id]})
        for one in story.happenings
        if one.kind.split("-")[0] != by_id[one.run_id, one.message_id].state
    ]


def _answers(story: Story) -> list[Moment]:
    opened = [Moment(at=one.opened_at, what=What.OPENED, facts={"asked": one}) for one in story.asked if one.opened_at]
    answered = [
        Moment(at=one.answered_at, what=What.ANSWERED, facts={"asked": one}) for one in story.asked if one.answered_at
    ]
    return [*opened, *answered]
