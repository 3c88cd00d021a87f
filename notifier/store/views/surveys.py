"""Responses as the API and the export list them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from notifier.store.database import Tx
from notifier.store.surveys import Window

EVER = Window()


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthCount:
    """How many gave one rating in one month, as the calendar of a zone divides them."""

    month: date
    rating: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLine:
    """One response with its answers: question → rating, choice or text."""

    id: int
    run_id: int | None
    external_id: str
    source: str
    locale: str
    simulated: bool
    received_at: datetime
    answers: Mapping[str, int | str] = field(repr=False)


async def list_responses(
    tx: Tx, team_id: int, survey_key: str, *, window: Window = EVER, before: int | None = None, limit: int = 50
) -> list[ResponseLine]:
    """Those of the window, newest first, continuing before `before`."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.run_id, coalesce(c.external_id, '') AS external_id, r.source, r.locale, r.simulated, r.received_at,
            coalesce((SELECT jsonb_object_agg(a.question, coalesce(to_jsonb(a.number), to_jsonb(a.text)))
                FROM notifier.answers a WHERE a.response_id = r.id), '{}') AS answers
        FROM notifier.responses r LEFT JOIN notifier.contacts c ON c.id = r.contact_id
        WHERE r.team_id = $1 AND r.survey_key = $2 AND ($3::bigint IS NULL OR r.id < $3)
            AND ($5::bigint IS NULL OR r.run_id = $5) AND ($6::timestamptz IS NULL OR r.received_at >= $6)
            AND ($7::timestamptz IS NULL OR r.received_at < $7)
        ORDER BY r.id DESC LIMIT $4
        """,
        team_id,
        survey_key,
        before,
        limit,
        window.run_id,
        window.received_from,
        window.received_until,
    )
    return [ResponseLine(**dict(row)) for row in rows]


async def count_months(tx: Tx, team_id: int, survey_key: str, question: str, *, zone: str) -> list[MonthCount]:
    """Ratings by month and value, oldest first; skips are not in it, nor what an exercise was answered."""
    rows = await tx.fetch(
        """
        SELECT date_trunc('month', r.received_at AT TIME ZONE $4)::date AS month, a.number AS rating, count(*) AS count
        FROM notifier.responses r JOIN notifier.answers a ON a.response_id = r.id
        WHERE r.team_id = $1 AND r.survey_key = $2 AND a.question = $3 AND a.number IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM notifier.runs d WHERE d.id = r.run_id AND d.drill)
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        team_id,
        survey_key,
        question,
        zone,
    )
    return [MonthCount(**dict(row)) for row in rows]


async def list_answered_questions(tx: Tx, team_id: int, survey_key: str) -> list[str]:
    """The questions anybody answered in any version of the survey, by key."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT a.question FROM notifier.responses r JOIN notifier.answers a ON a.response_id = r.id
        WHERE r.team_id = $1 AND r.survey_key = $2 ORDER BY 1
        """,
        team_id,
        survey_key,
    )
    return [row["question"] for row in rows]


async def newest_response_at(tx: Tx, team_id: int, survey_key: str) -> datetime | None:
    """When the last answer came."""
    moment: datetime | None = await tx.fetchval(
        "SELECT max(received_at) FROM notifier.responses WHERE team_id = $1 AND survey_key = $2", team_id, survey_key
    )
    return moment
