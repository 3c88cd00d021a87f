"""Pages of a list: a cursor is opaque to callers and names the last thing they saw."""

import base64
import binascii
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from notifier.domain.errors import InputError
from notifier.web.values import BIGGEST, Text

T = TypeVar("T")
Cursor = Annotated[Text, Query(max_length=40, description="`next_cursor` of the page before; none for the first page")]
Limit = Annotated[int, Query(ge=1, le=200, description="things on one page at most")]


class Shape(BaseModel):
    """A body in or out; a field nobody knows is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Listed(Shape, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page; null on the last")


def read_cursor(cursor: str) -> int | None:
    """The id a cursor names, None for the first page."""
    if not cursor:
        return None
    try:
        last = int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").removeprefix("id:"))
    except (ValueError, binascii.Error):
        last = -1
    if not 0 <= last <= BIGGEST:
        raise InputError("cursor", "is not one we gave", "Leave it out to begin with the first page")
    return last


def write_cursor(last_id: int) -> str:
    """The cursor that continues after this id."""
    return base64.urlsafe_b64encode(f"id:{last_id}".encode()).decode().rstrip("=")
