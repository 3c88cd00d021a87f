"""What an import is told, what it answers, and its bounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from notifier.domain.contact import ContactKind

MAX_FILE_BYTES = 2 * 2**30
MAX_UNZIPPED_BYTES = 512 * 2**20  # of a spreadsheet; its shared texts stand in memory
MAX_COLUMNS = 200
MAX_FIELD_CHARS = 10_000
BATCH_ROWS = 10_000

Progress = Callable[[int, float], None]
"""Told after each batch: rows read so far, and the share of the file in 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How to read a file and what to do with its rows."""

    team_id: int = 1
    mapping: Mapping[str, str] = field(default_factory=dict)  # column → field, "attributes.x", or "-" to skip it
    list_key: str = ""  # all rows join this list; made where it is missing
    encoding: str = ""  # "" = found out; else "utf-8" or "gb18030"
    consent_source: str = "import"  # where the file has no column for it
    kind: ContactKind = ContactKind.CUSTOMER  # these three: where the file says nothing about a row
    locale: str = ""
    zone: str = ""
    makes_staff: bool = True  # whether who asked for it may turn customers into staff
    synthesize: bool = False  # fill what a row lacks with made-up values, for demonstrations
    errors_file: Path | None = None  # None: FILE.errors.csv beside the source
    max_bytes: int = MAX_FILE_BYTES
    max_unzipped_bytes: int = MAX_UNZIPPED_BYTES
    batch_rows: int = BATCH_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of a file. added + updated + unchanged + rejected + duplicates = read.

    Where `problem` is not empty the file broke at a row after `read`: the rows counted are in
    the database, no other row is.
    """

    import_id: int
    read: int
    added: int
    updated: int
    unchanged: int
    rejected: int
    duplicates: int  # an earlier row of the same batch with the same external id; the last one wins
    problem: str
    errors_file: Path | None  # None: nothing to complain about
    seconds: float

    @property
    def is_broken(self) -> bool:
        """Whether the file ended before its time; doors exit non-zero."""
        return bool(self.problem)

    @property
    def rows_per_s(self) -> float:
        """Speed from opening the file to the last commit."""
        return self.read / self.seconds if self.seconds else 0.0
