"""The file of what was wrong: one line per problem, made when the first one comes."""

import csv
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from notifier.planning.spreadsheet import safe_cell

_HEADER = ("row", "external_id", "column", "problem", "remedy")
_SHOWN_CHARS = 200
_KEPT_BYTES = 8 * 2**20
_TOO_MANY = "0,,,the rows after this one were left out of this file,Correct these first and import the file again.\r\n"


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

    def read_kept(self) -> bytes | None:
        """What the database keeps of it: whole lines up to a bound; None where nothing was wrong."""
        if self._file is None:
            return None
        self._file.flush()
        with self._path.open("rb") as file:
            data = file.read(_KEPT_BYTES + 1)
        if len(data) <= _KEPT_BYTES:
            return data
        return data[: data.rfind(b"\r\n", 0, _KEPT_BYTES) + 2] + _TOO_MANY.encode()

    def close(self) -> None:
        """Close what was opened."""
        if self._file:
            self._file.close()
