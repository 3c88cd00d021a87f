"""A survey's responses as a file for spreadsheets."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence

from starlette.responses import StreamingResponse

from notifier.domain.survey import Survey
from notifier.planning.spreadsheet import safe_cell
from notifier.store.database import Database
from notifier.store.views.surveys import ResponseLine, list_answered_questions, list_responses

_BATCH = 1_000
_FACTS = ("id", "received_at", "run_id", "contact", "source", "locale", "simulated")
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes Chinese for Latin


async def responses_csv(database: Database, team_id: int, survey: Survey) -> StreamingResponse:
    """One row per response, the newest first; a column per question, also of those no longer asked."""
    async with database.transaction() as tx:
        answered = await list_answered_questions(tx, team_id, survey.key)
    asked = [question.key for question in survey.questions]
    questions = [*asked, *(question for question in answered if question not in asked)]
    return StreamingResponse(
        _write(database, team_id, survey.key, questions),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{survey.key}.csv"'},
    )


async def _write(database: Database, team_id: int, survey_key: str, questions: Sequence[str]) -> AsyncIterator[str]:
    yield _BYTE_ORDER_MARK + _lines([[*_FACTS, *questions]])
    before: int | None = None
    while True:
        async with database.transaction() as tx:
            found = await list_responses(tx, team_id, survey_key, before=before, limit=_BATCH)
        yield _lines([_cells(one, questions) for one in found])
        if len(found) < _BATCH:
            return
        before = found[-1].id


def _cells(one: ResponseLine, questions: Sequence[str]) -> list[str]:
    facts: Mapping[str, object] = {
        "id": one.id,
        "received_at": one.received_at.isoformat(timespec="seconds"),
        "run_id": one.run_id or "",
        "contact": one.external_id,
        "source": one.source,
        "locale": one.locale,
        "simulated": "yes" if one.simulated else "no",
    }
    return [str(facts[name]) for name in _FACTS] + [str(one.answers.get(question, "")) for question in questions]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([safe_cell(cell) for cell in row] for row in rows)
    return written.getvalue()
