"""The audit trail as a file for spreadsheets."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.responses import StreamingResponse

from notifier.planning.spreadsheet import safe_cell
from notifier.store.database import Database
from notifier.store.views.audit import AuditFilter, AuditLine, list_audit

_BATCH = 1_000
_TITLES = ("id", "at", "actor", "act", "words", "subject", "detail")
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes Chinese for Latin
Tell = Callable[[AuditLine], str]


def audit_csv(database: Database, team_id: int, wanted: AuditFilter, *, tell: Tell) -> StreamingResponse:
    """One row per line, the newest first; `tell` says an act in words."""
    return StreamingResponse(
        _write(database, team_id, wanted, tell),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="audit.csv"'},
    )


async def _write(database: Database, team_id: int, wanted: AuditFilter, tell: Tell) -> AsyncIterator[str]:
    yield _BYTE_ORDER_MARK + _lines([_TITLES])
    before: int | None = None
    while True:
        async with database.transaction() as tx:
            found = await list_audit(tx, team_id, wanted, before=before, limit=_BATCH)
        yield _lines([_cells(line, tell) for line in found])
        if len(found) < _BATCH:
            return
        before = found[-1].id


def _cells(line: AuditLine, tell: Tell) -> list[str]:
    detail = json.dumps(line.detail, ensure_ascii=False, sort_keys=True) if line.detail else ""
    at = line.at.isoformat(timespec="seconds")
    return [str(line.id), at, line.actor, line.act, tell(line), line.subject, detail]


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows([safe_cell(cell) for cell in row] for row in rows)
    return written.getvalue()
