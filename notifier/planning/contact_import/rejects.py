"""The file of what was wrong: one line per problem, made when the first one comes."""

import csv
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from notifier.planning.spreadsheet import safe_cell

_HEADER = ("row", "external_id", "column", "problem", "remedy")
_SHOWN_CHARS = 200


class RowProblem(NamedTuple):
    """Why a row was rejected, or what is remarkable about it; never repeats an address or a name."""

    row: int
    external_id: str
    column: str
    problem: str
    remedy: str


class ErrorsFile:
    """Writes problems as CSV for spreadsheets; keep it open as long as the import runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._writer: Any = None

    @property
    def path(self) -> Path | None:
        """Where it is; None while nothing was wrong."""
        return self._path if self._file else None

    def write(self, problems: list[RowProblem]) -> None:
        """Append the problems of one batch."""
        if not problems:
            return
        if self._file is None:
            # The mark at its start tells Excel that this is UTF-8.
            self._file = self._path.open("w", encoding="utf-8-sig", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(_HEADER)
        for problem in problems:
            self._writer.writerow([problem.row, *(safe_cell(text[:_SHOWN_CHARS]) for text in problem[1:])])
        self._file.flush()

    def close(self) -> None:
        """Close what was opened."""
        if self._file:
            self._file.close()
