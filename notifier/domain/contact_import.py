"""An import of contacts, and where it stands."""

from enum import StrEnum


class ImportState(StrEnum):
    """Where an import is."""

    UPLOADED = "uploaded"  # the file is here; a person looks at the preview
    QUEUED = "queued"  # waits for a worker
    READING = "reading"  # somebody reads it
    DONE = "done"  # read to its end
    BROKEN = "broken"  # ended before its time; `problem` says why
    CANCELLED = "cancelled"  # a person stopped it; what was written stays


OPEN = frozenset({ImportState.UPLOADED, ImportState.QUEUED, ImportState.READING})
