"""A file in a form, on disk as long as it is looked at; memory holds a piece of it at most."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.datastructures import FormData, UploadFile

from notifier.domain.errors import InputError
from notifier.planning.contact_import.uploads import file_name

_PIECE_BYTES = 2**20
FORM_BYTES = 2**20
"""What the other fields and the frame of a form may take besides its file."""


@asynccontextmanager
async def sent_file(form: FormData, *, most_mb: int) -> AsyncIterator[Path]:
    """The form's `file` under its own name; `InputError` where there is none or it is too large."""
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise InputError("file", "is missing", "Choose a CSV or XLSX file.")
    with tempfile.TemporaryDirectory(prefix="notifier-upload-") as folder:
        path = Path(folder) / file_name(upload.filename)
        await _write(upload, path, most_mb * 2**20)
        yield path


async def _write(upload: UploadFile, path: Path, most_bytes: int) -> None:
    written = 0
    with path.open("wb") as file:
        while piece := await upload.read(_PIECE_BYTES):
            written += len(piece)
            if written > most_bytes:
                remedy = "Split it, or import it on the server: notifier contacts import"
                raise InputError("file", f"is larger than {most_bytes // 2**20} MB", remedy)
            await asyncio.to_thread(file.write, piece)
