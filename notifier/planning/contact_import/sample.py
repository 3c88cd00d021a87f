"""The beginning of a file, kept for the preview: its header, its first rows, and how many there are."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from notifier.domain.errors import InputError
from notifier.planning.contact_import.columns import read_titles
from notifier.planning.contact_import.files import FileBroken, Row, open_sheet
from notifier.planning.contact_import.options import ImportOptions

SAMPLE_ROWS = 20
_SAMPLE_CHARS = 500_000
_COUNT_S = 2.0  # somebody waits for the page
_LOOK_AT_CLOCK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a preview needs; `counted` rows are in the file, or about so many where `is_exact` is false."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...] = field(repr=False)
    counted: int
    is_exact: bool
    breaks: str = ""  # where and why the file cannot be read to its end, as far as it was looked at


def take_sample(source: Path, options: ImportOptions) -> Sample:
    """Blocks while it reads; `InputError` where nothing of the file can be read, or two columns have one name."""
    with open_sheet(source, options) as sheet:
        titles = read_titles(sheet.header)
        first: list[Row] = []
        sample = Sample(titles=titles, rows=(), counted=0, is_exact=True)
        try:
            first.extend(_first_rows(sheet.rows))
            counted, is_exact = _count(sheet.rows, len(first))
            if not is_exact and (share := sheet.share_read()):
                counted = round(counted / share)
            sample = replace(sample, counted=counted, is_exact=is_exact)
        except FileBroken as error:
            sample = replace(sample, counted=len(first), is_exact=False, breaks=str(error))
    return replace(sample, rows=tuple(first))


def _first_rows(rows: Iterator[Row]) -> Iterator[Row]:
    chars = 0
    for number, cells in islice(rows, SAMPLE_ROWS):
        chars += sum(map(len, cells)) if isinstance(cells, list) else 0
        yield number, cells
        if chars > _SAMPLE_CHARS:
            return


def _count(rows: Iterator[Row], so_far: int) -> tuple[int, bool]:
    until, counted = time.monotonic() + _COUNT_S, so_far
    for counted, _ in enumerate(rows, so_far + 1):
        if counted % _LOOK_AT_CLOCK == 0 and time.monotonic() > until:
            return counted, False
    return counted, True


def pack_sample(sample: Sample) -> dict[str, Any]:
    """As JSON."""
    return {
        "titles": list(sample.titles),
        "rows": [[number, _pack(cells)] for number, cells in sample.rows],
        "counted": sample.counted,
        "is_exact": sample.is_exact,
        "breaks": sample.breaks,
    }


def _pack(cells: list[str] | InputError) -> list[str] | dict[str, str]:
    if isinstance(cells, InputError):
        return {"field": cells.field, "problem": cells.problem, "remedy": cells.remedy}
    return [cell.replace("\0", "\ufffd") for cell in cells]


def unpack_sample(packed: Mapping[str, Any]) -> Sample:
    """What `pack_sample` was given."""
    return Sample(
        titles=tuple(packed["titles"]),
        rows=tuple(
            (
                number,
                InputError(cells["field"], cells["problem"], cells["remedy"]) if isinstance(cells, dict) else cells,
            )
            for number, cells in packed["rows"]
        ),
        counted=packed["counted"],
        is_exact=packed["is_exact"],
        breaks=packed["breaks"],
    )
