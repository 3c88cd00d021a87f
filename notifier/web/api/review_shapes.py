"""What a review says over the API, and what goes in on the way to a release."""

from datetime import datetime
from typing import Any

from pydantic import Field

from notifier.web.api.paging import Shape
from notifier.web.values import Json, Moment, Text

_MANY = 100


class DraftChange(Shape):
    """What is to be different; what is left out stays as it is."""

    inputs: dict[Text, Json] | None = Field(
        None, max_length=_MANY, description="all of them, not only the changed ones"
    )
    at: Moment | None = Field(None, description="when it starts; null = as soon as it is released")
    audience_list: Text = Field("", max_length=100)
    segment: Text = Field("", max_length=100)
    drill: bool = False


class ReturnIn(Shape):
    """Why a run goes back to its author."""

    reason: Text = Field(min_length=1, max_length=1000)


class ReleaseIn(Shape):
    """A yes to exactly what a review showed."""

    hash: Text = Field(min_length=64, max_length=64, description="`hash` of the review that was looked at")
    break_glass: Text = Field(
        "", max_length=1000, description="why this emergency cannot wait for a second person; alarms every approver"
    )


class GlassReviewIn(Shape):
    """What another person found who looked at a release made alone."""

    note: Text = Field(min_length=1, max_length=2000)


class RemarkOut(Shape):
    """Something to notice."""

    weight: str = Field(description="`stop`, `warning` or `note`")
    text: str


class WaitOut(Shape):
    """Messages that wait until quiet hours end."""

    until: datetime
    messages: int


class WayOut(Shape):
    """One channel of a step."""

    channel: str
    account: str = Field(description="through which it goes, empty where none carries the channel")
    meant: int
    refused: dict[str, int] = Field(description="reason → contacts")
    messages: int
    per_second: float | None = Field(description="null: nobody knows yet")
    is_measured: bool = Field(description="as the last runs went; else the account says so")
    done_at: datetime | None
    waits: list[WaitOut]
    expired: int = Field(description="messages whose time would run out before they can leave")
    worst_parts: int | None
    total_parts: int | None = Field(description="at most: every message with the parts of its language's worst sample")
    cost_per_part: float | None
    total_cost: float | None
    currency: str


class SampleOut(Shape):
    """One message as a contact of the audience would get it; its links do nothing."""

    channel: str
    locale: str
    shown_in: str
    why: str = Field(description="`longest-name`, `lacks-most`, `ordinary`; empty: the template's example")
    contact: str = Field(description="external id")
    lacks: list[str]
    subject: str
    text: str
    html: str
    parts: int
    encoding: str
    problem: str = Field(description="why it cannot be made")


class LinkOut(Shape):
    """Where a message leads."""

    address: str
    domain: str
    to: str = Field(description="`bank`, `service` or `other`")


class ChanceOut(Shape):
    """How likely a verdict is, were this share of all satisfied."""

    share_pct: float
    met: float = Field(description="0..1")
    not_met: float = Field(description="0..1")


class OutlookOut(Shape):
    """What to expect of a survey's invitations."""

    survey: str
    invitations: int
    response_pct: float = Field(description="responses / delivered")
    is_assumed: bool
    expected_answers: int
    target_pct: float | None
    chances: list[ChanceOut]


class StepReviewOut(Shape):
    """One step of a review."""

    name: str
    title: dict[str, str]
    purpose: str
    due_at: datetime | None
    due_local: datetime | None = Field(description="instead: this wall time of each contact")
    accounts: list[str] = Field(description="a post: by which it is published")
    at_most: bool = Field(description="a condition will leave out some of these")
    sample_pct: float
    channels: list[WayOut]
    samples: list[SampleOut]
    links: list[LinkOut]
    survey: OutlookOut | None


class VersionOut(Shape):
    """A definition a run is made of."""

    kind: str
    key: str
    version: int
    newest: int


class ReviewOut(Shape):
    """All that a release of the run as it stands would do; counted and rendered now."""

    run_id: int
    campaign: str
    state: str
    purpose: str
    drill: bool
    inputs: dict[str, Any]
    audience_list: str
    segment: str
    starts_at: datetime | None = Field(description="null = as soon as it is released")
    done_at: datetime | None = Field(description="about; null = unknown")
    contacts: int | None = Field(description="meant by the audience; null while inputs are missing")
    messages: int
    refused: dict[str, int]
    sms_parts: int
    costs: dict[str, float] = Field(description="currency → what all SMS cost, at most")
    missing: list[str] = Field(description="inputs nobody filled in yet")
    problem: str
    remarks: list[RemarkOut]
    steps: list[StepReviewOut]
    versions: list[VersionOut]
    needs_second_person: bool | None
    hash: str = Field(description="what a release has to name; empty while it cannot be released")
