"""Invitations, responses and answers, and what can be counted over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """One contact asked one survey by one message."""

    id: int
    team_id: int
    run_id: int
    message_id: int
    contact_id: int
    survey_id: int
    survey_key: str
    month: int
    locale: str  # of the message, else of the contact, "" = neither says
    is_closed: bool
    is_answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back once; its answers may still grow."""

    id: int
    invitation_id: int | None
    source: str
    external_key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResponse:
    """A response about to be kept; `received_at` None = now."""

    team_id: int
    survey_id: int
    survey_key: str
    invitation_id: int | None
    run_id: int | None
    contact_id: int | None
    source: str
    external_key: str | None
    locale: str
    simulated: bool
    received_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which responses count: of one run, or received from..until (until excluded), or both, or all."""

    run_id: int | None = None
    received_from: datetime | None = None
    received_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationCounts:
    """How far the invitations went. *Response rate* = answered / delivered."""

    invited: int
    delivered: int  # the carrier or mailbox has it; where nobody reports that: handed over and not come back
    opened: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceCount:
    """How many chose it."""

    choice: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A free text with the rating its writer gave, None where they gave none."""

    response_id: int
    question: str
    text: str
    rating: int | None
    received_at: datetime
    simulated: bool


_INVITATION = """
SELECT i.id, i.team_id, i.run_id, i.message_id, i.contact_id, i.survey_id, i.survey_key, i.month,
       coalesce(nullif(m.locale, ''), c.locale, '') AS locale,
       i.closes_at <= (SELECT notifier.now()) AS is_closed, i.answered_at IS NOT NULL AS is_answered
FROM notifier.invitations i
LEFT JOIN notifier.messages m ON m.run_id = i.run_id AND m.id = i.message_id
LEFT JOIN notifier.contacts c ON c.id = i.contact_id
WHERE i.id = $1
"""


async def find_invitation(tx: Tx, invitation_id: int) -> Invitation | None:
    """The invitation, read without a lock."""
    row = await tx.fetchrow(_INVITATION, invitation_id)
    return Invitation(**dict(row)) if row else None


async def lock_invitation(tx: Tx, invitation_id: int) -> Invitation | None:
    """The invitation, locked: of two answers at the same time one waits for the other."""
    locked = await tx.fetchval("SELECT id FROM notifier.invitations WHERE id = $1 FOR UPDATE", invitation_id)
    return await find_invitation(tx, invitation_id) if locked is not None else None


async def note_opened(tx: Tx, invitation_id: int) -> None:
    """The page was shown; the first time counts."""
    await tx.execute(
        "UPDATE notifier.invitations SET opened_at = (SELECT notifier.now()) WHERE id = $1 AND opened_at IS NULL",
        invitation_id,
    )


async def note_answered(tx: Tx, invitation: Invitation, *, source: str) -> None:
    """The invitation is used up; its message gets the event."""
    await tx.execute(
        "UPDATE notifier.invitations SET answered_at = (SELECT notifier.now()) WHERE id = $1", invitation.id
    )
    await tx.execute(
        """
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, source)
        VALUES ($1, $2, 'answered', 'answered', $3) ON CONFLICT DO NOTHING
        """,
        invitation.run_id,
        invitation.message_id,
        source,
    )


async def find_response(
    tx: Tx, *, invitation_id: int | None = None, source: str = "", external_key: str | None = None, team_id: int = 1
) -> Response | None:
    """The response to an invitation, else the one a source named by this key before; locked."""
    row = await tx.fetchrow(
        """
        SELECT id, invitation_id, source, external_key FROM notifier.responses
        WHERE ($1::bigint IS NOT NULL AND invitation_id = $1)
           OR ($1::bigint IS NULL AND team_id = $4 AND source = $2 AND external_key = $3)
        FOR UPDATE
        """,
        invitation_id,
        source,
        external_key,
        team_id,
    )
    return Response(**dict(row)) if row else None


async def add_response(tx: Tx, new: NewResponse) -> int | None:
    """Keep it; None where the invitation or the source's key already has one."""
    identity: int | None = await tx.fetchval(
        """
        INSERT INTO notifier.responses (team_id, survey_id, survey_key, invitation_id, run_id, contact_id,
                                        source, external_key, locale, simulated, received_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, coalesce($11, (SELECT notifier.now())))
        ON CONFLICT DO NOTHING RETURNING id
        """,
        new.team_id,
        new.survey_id,
        new.survey_key,
        new.invitation_id,
        new.run_id,
        new.contact_id,
        new.source,
        new.external_key,
        new.locale,
        new.simulated,
        new.received_at,
    )
    return identity


async def get_answers(tx: Tx, response_id: int) -> dict[str, int | str]:
    """Question → rating, or text."""
    rows = await tx.fetch("SELECT question, number, text FROM notifier.answers WHERE response_id = $1", response_id)
    return {row["question"]: row["text"] if row["number"] is None else row["number"] for row in rows}


async def put_answers(tx: Tx, response_id: int, answers: Mapping[str, int | str]) -> None:
    """Add the answers; of a question answered before, the later answer stands."""
    await tx.execute(
        """
        INSERT INTO notifier.answers AS a (response_id, question, number, text)
        SELECT $1, question, number, text
        FROM unnest($2::text[], $3::int[], $4::text[]) AS given (question, number, text)
        ON CONFLICT ON CONSTRAINT answers_pk DO UPDATE SET number = excluded.number, text = excluded.text
        """,
        response_id,
        list(answers),
        [value if isinstance(value, int) else None for value in answers.values()],
        [value if isinstance(value, str) else None for value in answers.values()],
    )


async def find_contact(tx: Tx, team_id: int, external_id: str) -> int | None:
    """The contact a survey's sender means."""
    identity: int | None = await tx.fetchval(
        "SELECT id FROM notifier.contacts WHERE team_id = $1 AND external_id = $2", team_id, external_id
    )
    return identity


_COUNTED = """
    r.team_id = $1 AND r.survey_key = $2 AND ($3::bigint IS NULL OR r.run_id = $3)
    AND ($4::timestamptz IS NULL OR r.received_at >= $4) AND ($5::timestamptz IS NULL OR r.received_at < $5)
    AND NOT EXISTS (SELECT 1 FROM notifier.runs d WHERE d.id = r.run_id AND d.drill)
"""
"""What counts; an exercise asks and is answered, and proves nothing."""


def _counted(team_id: int, survey_key: str, window: Window) -> tuple[object, ...]:
    return (team_id, survey_key, window.run_id, window.received_from, window.received_until)


async def count_answers(tx: Tx, team_id: int, survey_key: str, question: str, window: Window) -> dict[int, int]:
    """Rating → how many gave it, lowest first; skips are not in it."""
    rows = await tx.fetch(
        f"""
        SELECT a.number, count(*) AS n FROM notifier.responses r JOIN notifier.answers a ON a.response_id = r.id
        WHERE {_COUNTED} AND a.question = $6 AND a.number IS NOT NULL GROUP BY 1 ORDER BY 1
        """,
        *_counted(team_id, survey_key, window),
        question,
    )
    return {row["number"]: row["n"] for row in rows}


async def rank_choices(tx: Tx, team_id: int, survey_key: str, question: str, window: Window) -> list[ChoiceCount]:
    """The choices that were made, the most frequent first."""
    rows = await tx.fetch(
        f"""
        SELECT a.text AS choice, count(*) AS count
        FROM notifier.responses r JOIN notifier.answers a ON a.response_id = r.id
        WHERE {_COUNTED} AND a.question = $6 AND a.text IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
        """,
        *_counted(team_id, survey_key, window),
        question,
    )
    return [ChoiceCount(**dict(row)) for row in rows]


async def list_comments(
    tx: Tx, team_id: int, survey_key: str, questions: tuple[str, ...], window: Window, *, score: str, limit: int = 50
) -> list[Comment]:
    """The newest texts given to `questions`, each beside its writer's answer to the question `score`."""
    rows = await tx.fetch(
        f"""
        SELECT r.id AS response_id, a.question, a.text, s.number AS rating, r.received_at, r.simulated
        FROM notifier.responses r
        JOIN notifier.answers a ON a.response_id = r.id AND a.question = ANY ($6) AND a.text IS NOT NULL
        LEFT JOIN notifier.answers s ON s.response_id = r.id AND s.question = $7
        WHERE {_COUNTED} ORDER BY r.received_at DESC, r.id DESC, a.question LIMIT $8
        """,
        *_counted(team_id, survey_key, window),
        list(questions),
        score,
        limit,
    )
    return [Comment(**dict(row)) for row in rows]


async def count_responses(tx: Tx, team_id: int, survey_key: str, window: Window) -> tuple[int, int]:
    """All responses, and how many of them a simulation gave."""
    row = await tx.fetchrow(
        f"SELECT count(*) AS n, count(*) FILTER (WHERE r.simulated) AS s FROM notifier.responses r WHERE {_COUNTED}",
        *_counted(team_id, survey_key, window),
    )
    return row["n"], row["s"]


async def count_invitations(tx: Tx, team_id: int, survey_key: str, window: Window) -> InvitationCounts:
    """The invitations of the window, by the time their message was due."""
    row = await tx.fetchrow(
        """
        SELECT count(*) AS invited, count(*) FILTER (WHERE m.state IN ('accepted', 'delivered')) AS delivered,
               count(*) FILTER (WHERE i.opened_at IS NOT NULL OR i.answered_at IS NOT NULL) AS opened,
               count(*) FILTER (WHERE i.answered_at IS NOT NULL) AS answered
        FROM notifier.invitations i JOIN notifier.messages m ON m.run_id = i.run_id AND m.id = i.message_id
        WHERE i.team_id = $1 AND i.survey_key = $2 AND ($3::bigint IS NULL OR i.run_id = $3)
          AND ($4::timestamptz IS NULL OR m.due_at >= $4) AND ($5::timestamptz IS NULL OR m.due_at < $5)
          AND NOT EXISTS (SELECT 1 FROM notifier.runs d WHERE d.id = i.run_id AND d.drill)
        """,
        *_counted(team_id, survey_key, window),
    )
    return InvitationCounts(**dict(row))
