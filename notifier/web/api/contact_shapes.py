"""Contacts, their stories, lists and imports as the API tells them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from notifier.domain.contact import ContactKind
from notifier.domain.contact_import import ImportState
from notifier.web.api.paging import Shape
from notifier.web.api.shapes import ConsentShape, ContactOut, EventOut
from notifier.web.values import Text


class ListOut(Shape):
    """A list of contacts."""

    key: str
    created_at: datetime
    members: int
    is_more: bool = Field(description="`members` is a lower bound")


class SuppressionOut(Shape):
    """A block on an address."""

    channel: str
    reason: str
    source: str
    at: datetime


class SentOut(Shape):
    """A message to the contact; `id` is null where the run left them out, then `reason` says why."""

    id: str | None
    run_id: int
    campaign: str
    step: str
    channel: str
    state: str
    reason: str
    at: datetime
    events: list[EventOut]


class AskedOut(Shape):
    """A survey the contact was asked, or answered without being asked."""

    survey: str
    run_id: int | None
    invited_at: datetime | None
    opened_at: datetime | None
    answered_at: datetime | None
    simulated: bool
    answers: dict[str, int | str]


class ActOut(Shape):
    """What somebody did to the contact."""

    at: datetime
    actor: str
    act: str
    detail: dict[str, Any]


class StoryOut(Shape):
    """Everything known about a contact. `next_cursor` continues the messages with older runs; null at the end."""

    contact: ContactOut
    consents: list[ConsentShape] = Field(description="the ledger, newest first")
    suppressions: list[SuppressionOut]
    lists: list[str]
    messages: list[SentOut]
    surveys: list[AskedOut]
    acts: list[ActOut]
    next_cursor: str | None


class OptOutIn(Shape):
    """The contact told somebody to stop."""

    channel: Literal["email", "sms"]
    topic: Text = Field("", max_length=60, description="empty = the whole channel")
    source: Literal["phone", "branch", "letter", "e-mail"] = Field(description="how the contact told it")
    note: Text = Field("", max_length=500)


class LiftIn(Shape):
    """Why an address may be written to again."""

    channel: Literal["email", "sms"]
    because: Text = Field(min_length=1, max_length=500)


class ImportOptionsIn(Shape):
    """How to read a file."""

    mapping: dict[Text, Text] = Field(
        default_factory=dict, max_length=200, description="column → field, `attributes.NAME`, or `-` to skip it"
    )
    list_key: Text = Field("", max_length=100, description="all rows join this list; made where missing")
    kind: ContactKind = Field(ContactKind.CUSTOMER, description="of rows that do not say")
    locale: Text = Field("", max_length=35, description="of rows that do not say")
    zone: Text = Field("", max_length=60, description="of rows that do not say")
    encoding: Literal["", "utf-8", "gb18030"] = Field("", description="empty = found out")
    consent_source: Text = Field("import", min_length=1, max_length=100)
    synthesize: bool = Field(False, description="make up what rows lack; demonstrations only")


class ImportOut(Shape):
    """An import and how far it is."""

    id: int
    file: str
    state: ImportState
    size_bytes: int
    done_bytes: int
    read_rows: int
    added: int
    updated: int
    unchanged: int = Field(description="rows that said what stood there, or were repeated later in the file")
    rejected: int
    problem: str
    has_errors: bool = Field(description="`/imports/{id}/errors.csv` explains the rows not taken")
    started_at: datetime
    ended_at: datetime | None


class ColumnOut(Shape):
    """A column of a file, and what it would become."""

    title: str
    samples: list[str]
    target: str


class RowProblemOut(Shape):
    """What is wrong with a row."""

    column: str
    problem: str
    remedy: str


class RowOut(Shape):
    """A row as it would be read; null fields where it would be rejected."""

    number: int
    external_id: str | None
    name: str | None
    email: str | None
    phone: str | None
    locale: str | None
    zone: str | None
    kind: str | None
    attributes: dict[str, Any] | None
    problems: list[RowProblemOut]


class PreviewOut(Shape):
    """A file as it would be read with these options."""

    columns: list[ColumnOut]
    rows: list[RowOut] = Field(description="the first of the file")
    counted: int
    is_exact: bool = Field(description="whether `counted` is the number of rows or an estimate")
    problem: str = Field(description="why nothing can be read with this mapping, else empty")
    breaks: str = Field(description="where the file cannot be read any further, else empty")
