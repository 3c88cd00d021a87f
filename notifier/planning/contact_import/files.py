"""A CSV or XLSX file becomes rows of text, streamed and bounded; says when it is broken."""

import codecs
import csv
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from notifier.domain.errors import InputError
from notifier.planning.contact_import.options import MAX_FIELD_CHARS, ImportOptions

_HEAD_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 18
_LINE_BYTES = 1 << 20  # a longer line is no line: wrong file, or ends of lines of another system
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ZIP_ENTRIES = 10_000
_SAVE_AS = "Save the file as “CSV UTF-8”."


class FileBroken(InputError):
    """The file cannot be read any further; no row after this place is known."""


Row = tuple[int, list[str] | InputError]
"""Its number as a spreadsheet shows it (the header is 1), and its cells or what is wrong with the whole row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """An open file. `rows` raises `FileBroken` where it ends before its time."""

    header: list[str]
    rows: Iterator[Row]
    share_read: Callable[[], float]


@contextmanager
def open_sheet(source: Path, options: ImportOptions) -> Iterator[Sheet]:
    """The rows of a file; `InputError` where it cannot be read at all."""
    size = _size(source)
    if size > options.max_bytes:
        raise InputError(source.name, f"{size} bytes", f"At most {options.max_bytes} are read; split the file.")
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if head.startswith(b"PK\x03\x04"):
            with _open_xlsx(source, file, options) as sheet:
                yield sheet
        else:
            yield _open_csv(source, file, head, options.encoding, size)


def _size(source: Path) -> int:
    try:
        size = source.stat().st_size
    except OSError as error:
        raise InputError(source.name, "cannot be opened", "Check the path and its permissions.") from error
    if not source.is_file():
        raise InputError(source.name, "is not a file", "Name a CSV or XLSX file.")
    return size


# ── CSV ───────────────────────────────────────────────────────────────────────────────────────────────


def _open_csv(source: Path, file: BinaryIO, head: bytes, encoding: str, size: int) -> Sheet:
    codec = _find_encoding(source, head, encoding)
    if head.startswith(codecs.BOM_UTF8):
        file.seek(len(codecs.BOM_UTF8))
    lines = _lines(file, codec)
    first = next(lines, "")
    if not first.strip():
        raise InputError(source.name, "is empty", "The first line must name the columns.")
    reader = csv.reader(itertools.chain([first], lines), delimiter=_find_delimiter(first), strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise InputError(source.name, f"the first line is no header: {error}", _SAVE_AS) from error
    rows = _csv_rows(reader, len(header))
    return Sheet(header=header, rows=rows, share_read=lambda: min(1.0, file.tell() / size) if size else 1.0)


def _find_encoding(source: Path, head: bytes, wanted: str) -> str:
    if head.startswith(_UTF16) or head[:200].count(0) > len(head[:200]) // 4:
        raise InputError(source.name, "is UTF-16 (“Unicode text”)", _SAVE_AS)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(source.name, "is a spreadsheet of the old .xls kind", "Save it as .xlsx or CSV UTF-8.")
    if wanted not in {"", "utf-8", "gb18030"}:
        raise InputError("encoding", f"`{wanted}` is not read", "Use utf-8 or gb18030.")
    if wanted or head.startswith(codecs.BOM_UTF8):
        return wanted or "utf-8"
    for codec in ("utf-8", "gb18030"):
        try:
            codecs.getincrementaldecoder(codec)().decode(head)
        except UnicodeDecodeError:
            continue
        return codec
    raise InputError(source.name, "is neither UTF-8 nor GB18030", _SAVE_AS)


def _find_delimiter(first: str) -> str:
    return max(",;\t", key=first.count)


def _lines(file: BinaryIO, codec: str) -> Iterator[str]:
    """Text decoded block by block, cut at line feeds alone.

    Neither UTF-8 nor GB18030 uses the byte of a line feed for anything else.
    """
    rest = b""
    while block := file.read(_BLOCK_BYTES):
        block = rest + block
        end = block.rfind(b"\n") + 1
        rest = block[end:]
        yield from _decode(block[:end], codec)
        _check_length(rest)
    yield from _decode(rest, codec)


def _decode(block: bytes, codec: str) -> Iterator[str]:
    if len(block) >= _LINE_BYTES or b"\0" in block:
        return _decode_lines(block, codec)
    try:
        return io.StringIO(block.decode(codec))
    except UnicodeDecodeError:
        return _decode_lines(block, codec)


def _decode_lines(block: bytes, codec: str) -> Iterator[str]:
    """One by one, so that what is wrong is found in its own row and not a block before it."""
    for line in io.BytesIO(block):
        _check_length(line)
        if b"\0" in line:
            raise FileBroken("file", "holds NUL bytes: it is damaged or no text", _SAVE_AS)
        try:
            yield line.decode(codec)
        except UnicodeDecodeError as error:
            remedy = f"{_SAVE_AS[:-1]}, or say which encoding it has (utf-8, gb18030)."
            raise FileBroken("file", f"a byte is no {codec.upper()}", remedy) from error


def _check_length(line: bytes) -> None:
    if len(line) >= _LINE_BYTES:
        raise FileBroken("file", f"a line is longer than {_LINE_BYTES} bytes", _SAVE_AS)


def _csv_rows(reader: Any, width: int) -> Iterator[Row]:
    number = 1
    while True:
        try:
            for cells in reader:
                number += 1
                if len(cells) > 1 or (cells and cells[0]):
                    yield number, cells if len(cells) == width else _wrong_width(len(cells), width)
        except FileBroken as error:
            raise FileBroken(f"row {number + 1}", error.problem, error.remedy) from error
        except csv.Error as error:
            number += 1
            if "expected after" not in str(error):
                problem = "a quotation mark is opened and never closed" if "end of data" in str(error) else str(error)
                raise FileBroken(f"row {number}", problem, "Check this row and those before it.") from error
            yield number, InputError("row", "text after a closing quotation mark", 'Write " inside a cell as "".')
        else:
            return


def _wrong_width(found: int, width: int) -> InputError:
    remedy = "Put cells that hold the separator or a line break in quotation marks."
    return InputError("row", f"{found} cells where the header has {width}", remedy)


# ── XLSX ──────────────────────────────────────────────────────────────────────────────────────────────

_XLSX_ERRORS = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    KeyError,
    ValueError,
    OSError,
    EOFError,
    TypeError,
)


@contextmanager
def _open_xlsx(source: Path, file: BinaryIO, options: ImportOptions) -> Iterator[Sheet]:
    try:
        _check_zip(source, file, options.max_unzipped_bytes)
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except _XLSX_ERRORS as error:
        remedy = "It may be cut off: fetch it again, or save it anew."
        raise InputError(source.name, "is no readable spreadsheet", remedy) from error
    try:
        sheet = book.worksheets[0] if book.worksheets else None
        if sheet is None:
            raise InputError(source.name, "has no sheet", "The first sheet is read.")
        sheet.reset_dimensions()  # what the file claims may be wrong; what it holds counts
        raw = sheet.iter_rows(values_only=True)
        try:
            header = _trim([_text(cell) for cell in next(raw, ())])
        except _XLSX_ERRORS as error:
            raise InputError(source.name, "is no readable spreadsheet", "Save it anew.") from error
        if not header:
            raise InputError(source.name, "is empty", "The first row must name the columns.")
        yield Sheet(header=header, rows=_xlsx_rows(raw, len(header)), share_read=lambda: 0.0)
    finally:
        book.close()


def _check_zip(source: Path, file: BinaryIO, limit: int) -> None:
    """The sizes in the directory are binding: `zipfile` reads no entry past its own."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
    if size > limit or len(entries) > _ZIP_ENTRIES:
        remedy = f"At most {limit} bytes are read; split it, or save it as CSV UTF-8."
        raise InputError(source.name, f"unpacks to {size} bytes in {len(entries)} parts", remedy)
    file.seek(0)


def _xlsx_rows(raw: Iterator[tuple[object, ...]], width: int) -> Iterator[Row]:
    number = 1
    while True:
        number += 1
        try:
            cells = [_text(cell) for cell in next(raw)]
        except StopIteration:
            return
        except _XLSX_ERRORS as error:
            raise FileBroken(f"row {number}", "the spreadsheet is damaged here", "Save it anew.") from error
        cells = _trim(cells)
        if cells:
            cells += [""] * (width - len(cells))
            yield number, cells if len(cells) == width else _wrong_width(len(cells), width)


def _trim(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _text(cell: object) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer() and abs(cell) < 1e15:
            return str(int(cell))
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case datetime() | date() | time():
            return cell.isoformat()
        case str() if len(cell) > MAX_FIELD_CHARS:
            return cell[: MAX_FIELD_CHARS + 1]
    return str(cell)
