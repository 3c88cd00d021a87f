"""Numbers and texts of addresses, queries, forms and bodies: what the database can hold, and nothing else."""

import math
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field

BIGGEST = 2**63 - 1
_DEEPEST = 8


def check_text(text: str) -> str:
    """The text; `ValueError` where PostgreSQL could not keep it."""
    if "\x00" in text:
        raise ValueError("contains a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("contains half a character")
    return text


def check_json(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"is nested deeper than {_DEEPEST}")
    match value:
        case str():
            check_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("is no number JSON knows")
        case int() if not -BIGGEST <= value <= BIGGEST:
            raise ValueError("is too big a number")
        case list():
            for item in value:
                check_json(item, depth + 1)
        case dict():
            for name, item in value.items():
                check_json(name, depth + 1)
                check_json(item, depth + 1)
    return value


def _check_moment(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the calendar") from None


Id = Annotated[int, Field(ge=0, le=BIGGEST)]
"""A number of ours."""

Text = Annotated[str, AfterValidator(check_text)]
"""Characters PostgreSQL can keep."""

Json = Annotated[Any, AfterValidator(check_json)]
"""A value of somebody's JSON that can be stored and written again."""

Moment = Annotated[AwareDatetime, AfterValidator(_check_moment)]
"""A time with its zone, as UTC."""
