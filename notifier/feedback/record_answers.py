"""Keeps the answers of one response: from the page, or from a survey tool's webhook."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.answers import read_answers
from notifier.domain.errors import InputError, NotFound
from notifier.domain.survey import Survey
from notifier.store import surveys as store
from notifier.store.database import Database, Tx
from notifier.store.surveys import Invitation, NewResponse, Response

PAGE = "page"
"""The source of answers given on our own page."""

_TEAM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What came in, unchecked, and from where."""

    answers: Mapping[str, object]
    source: str = PAGE
    external_key: str | None = None  # the source's id of the response; the same one again adds to it
    contact: str | None = None  # the source's word for who answered: our `external_id`
    locale: str = ""
    simulated: bool = False
    received_at: datetime | None = None  # None = now


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The answers stand in the database."""

    response_id: int
    is_new: bool  # False: added to a response of the same source and key


@dataclass(frozen=True, slots=True)
class AlreadyAnswered:
    """The invitation was answered before; the first answers stand."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The invitation takes no answers any more."""


Outcome = Recorded | AlreadyAnswered | Closed


async def record_answers(
    database: Database,
    *,
    survey: Survey,
    survey_id: int,
    invitation_id: int | None,
    month: int,
    given: Given,
) -> Outcome:
    """One response per invitation, and per source and key.

    `survey_id` is the version answered; `month` (1..12) decides which questions were asked where there is no
    invitation to say so. Errors: `InputError` names the question whose answer is wrong; `NotFound` if the
    invitation is unknown or for another survey. Both leave nothing behind.
    """
    async with database.transaction() as tx:
        invitation = await _lock_invitation(tx, survey, invitation_id)
        earlier = await _find_earlier(tx, invitation, given)
        if earlier is not None:
            return await _add_to(tx, survey, earlier, given, invitation.month if invitation else month)
        if invitation is not None and invitation.is_answered:
            return AlreadyAnswered()
        if invitation is not None and invitation.is_closed:
            return Closed()
        answers = read_answers(survey, given.answers, month=invitation.month if invitation else month)
        new = await _new_response(tx, survey, survey_id, invitation, given)
        response_id = await store.add_response(tx, new)
        if response_id is None:  # a repetition of the same moment came first
            return AlreadyAnswered()
        await store.put_answers(tx, response_id, answers)
        if invitation is not None:
            await store.note_answered(tx, invitation, source=given.source)
        return Recorded(response_id=response_id, is_new=True)


async def _lock_invitation(tx: Tx, survey: Survey, invitation_id: int | None) -> Invitation | None:
    if invitation_id is None:
        return None
    invitation = await store.lock_invitation(tx, invitation_id)
    if invitation is None or invitation.survey_key != survey.key:
        raise NotFound("there is no such invitation to this survey")
    return invitation


async def _find_earlier(tx: Tx, invitation: Invitation | None, given: Given) -> Response | None:
    if given.external_key is not None:
        named = await store.find_response(tx, source=given.source, external_key=given.external_key)
        if named is not None:
            return named
    return await store.find_response(tx, invitation_id=invitation.id) if invitation else None


async def _add_to(tx: Tx, survey: Survey, earlier: Response, given: Given, month: int) -> Outcome:
    """A tool sends the score first and the comment later; a page sends all at once, so a second time changes nothing."""
    if earlier.external_key is None or (earlier.source, earlier.external_key) != (given.source, given.external_key):
        return AlreadyAnswered()
    stored = await store.get_answers(tx, earlier.id)
    await store.put_answers(tx, earlier.id, read_answers(survey, {**stored, **given.answers}, month=month))
    return Recorded(response_id=earlier.id, is_new=False)


async def _new_response(
    tx: Tx, survey: Survey, survey_id: int, invitation: Invitation | None, given: Given
) -> NewResponse:
    team_id = invitation.team_id if invitation else _TEAM
    contact_id = invitation.contact_id if invitation else None
    if contact_id is None and given.contact is not None:
        contact_id = await store.find_contact(tx, team_id, given.contact)
        if contact_id is None:
            raise InputError("contact", "there is no such contact", "Give its external id, or leave it out.")
    return NewResponse(
        team_id=team_id,
        survey_id=survey_id,
        survey_key=survey.key,
        invitation_id=invitation.id if invitation else None,
        run_id=invitation.run_id if invitation else None,
        contact_id=contact_id,
        source=given.source,
        external_key=given.external_key,
        locale=given.locale,
        simulated=given.simulated,
        received_at=given.received_at,
    )
