"""Segments over the API: list, get, put, remove, and count whom a rule means."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from notifier.domain.errors import NotFound
from notifier.domain.notation.segment import write_segment
from notifier.domain.segment import Segment
from notifier.domain.text import Localized
from notifier.planning.segments import (
    Kept,
    count_segment,
    find_segment,
    list_segments,
    read_rule,
    retire_segment,
    save_segment,
)
from notifier.store.database import Database
from notifier.web.api.keyed import Reader, Writer, person
from notifier.web.api.paging import Listed, Shape
from notifier.web.api.shapes import Texts
from notifier.web.values import Json, Text

router = APIRouter(prefix="/segments", tags=["segments"])
_RULE = "an audience rule as definition files have it: `{all: [{kind: customer}, …]}`; `{}` = everybody"


class SegmentIn(Shape):
    """A segment as it shall be."""

    title: dict[Text, Text] = Field(min_length=1, max_length=20, description="in each of the bank's languages")
    audience: dict[Text, Json] = Field(description=_RULE, max_length=20)


class SegmentOut(Shape):
    """A segment in its newest version."""

    key: str
    version: int
    title: Texts
    audience: dict[str, Any]
    file: str = Field(description="the file that manages it; empty = the console or this API")


class CountIn(Shape):
    """A rule to be counted."""

    audience: dict[Text, Json] = Field(description=_RULE, max_length=20)


class CountOut(Shape):
    """Whom a rule means right now, before consent, suppression and missing addresses."""

    count: int | None = Field(description="null: it took too long to count")
    samples: list[str] = Field(description="your ids of the first five")


@router.get("", summary="List segments")
async def list_all(request: Request, key: Reader) -> Listed[SegmentOut]:
    """All of them, by key."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        found = await list_segments(tx, key.team_id)
    return Listed(items=[_tell(one) for one in found], next_cursor=None)


@router.post("/count", summary="Count whom a rule means")
async def count(request: Request, key: Reader, body: CountIn) -> CountOut:
    """Stores nothing. 422 names what is wrong with the rule."""
    rule = read_rule(body.audience)
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        counted = await count_segment(tx, key.team_id, rule)
    return CountOut(count=counted.count, samples=[one.external_id for one in counted.samples])


@router.get("/{segment}", summary="Get a segment")
async def get_one(request: Request, key: Reader, segment: Text) -> SegmentOut:
    """404 where there is none with this key."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        return _tell(await find_segment(tx, key.team_id, segment))


@router.put("/{segment}", summary="Add a segment, or make it exactly this")
async def put(request: Request, response: Response, key: Writer, segment: Text, body: SegmentIn) -> SegmentOut:
    """201 where it is new, else 200; the same request twice makes one version. 409 where a file manages it."""
    wanted = Segment(key=segment, title=Localized(dict(body.title)), audience=read_rule(body.audience))
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        is_new = await _is_new(tx, key.team_id, segment)
        await save_segment(tx, key.team_id, wanted, by=person(key), base=None)
        response.status_code = 201 if is_new else 200
        return _tell(await find_segment(tx, key.team_id, segment))


@router.delete("/{segment}", status_code=204, summary="Take a segment out of use")
async def remove(request: Request, key: Writer, segment: Text) -> None:
    """Runs that have it keep their version. 409 where a file manages it."""
    database: Database = request.app.state.database
    async with database.transaction() as tx:
        await retire_segment(tx, key.team_id, segment, by=person(key))


async def _is_new(tx: Any, team_id: int, key: str) -> bool:
    try:
        await find_segment(tx, team_id, key)
    except NotFound:
        return True
    return False


def _tell(kept: Kept) -> SegmentOut:
    audience = write_segment(kept.segment)["audience"]
    return SegmentOut(
        key=kept.segment.key,
        version=kept.definition.version,
        title=dict(kept.segment.title.texts),
        audience=audience if isinstance(audience, dict) else {},
        file=kept.file,
    )
