"""What goes into the API and comes out of it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from notifier.domain.contact import ConsentAct, ContactKind
from notifier.domain.doubt import Verdict
from notifier.web.api.paging import Shape
from notifier.web.values import Json, Moment, Text, check_json

Texts = dict[str, str]
Attribute = Annotated[str | int | float | bool | None, AfterValidator(check_json)]
_MANY = 100


class ConsentShape(Shape):
    """One act of a contact. An empty topic means the whole channel."""

    channel: Literal["email", "sms", "social"]
    topic: Text = Field("", max_length=60)
    act: ConsentAct
    source: Text = Field(
        min_length=1, max_length=100, description="where the contact did it, such as `branch` or `app`"
    )
    at: Moment = Field(description="when the contact did it; never in the future")
    proof: Text = Field("", max_length=500)


class ContactIn(Shape):
    """A contact as it shall be; what is left out becomes empty, consents are added to the ledger."""

    kind: ContactKind = ContactKind.CUSTOMER
    name: Text = Field("", max_length=200)
    locale: Text = Field("", max_length=35, description="BCP 47, empty = the bank's")
    zone: Text = Field("", max_length=60, description="IANA time zone, empty = the bank's")
    email: Text = Field("", max_length=254)
    phone: Text = Field("", max_length=40, description="E.164, or a number of the bank's region")
    attributes: dict[Text, Attribute] = Field(default_factory=dict, max_length=_MANY)
    consents: list[ConsentShape] = Field(default_factory=list, max_length=_MANY)


class ContactOut(Shape):
    """A contact as stored; addresses normalised."""

    external_id: str
    kind: ContactKind
    name: str
    locale: str
    zone: str
    email: str
    phone: str
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    consents: list[ConsentShape] | None = Field(None, description="the ledger, newest first; null in lists")


class InputOut(Shape):
    """A value a run is given."""

    name: str
    type: str
    label: Texts
    required: bool
    localized: bool = Field(description="the value is a mapping: one text per language of the bank")
    max_length: int | None
    not_before: str = Field(description="the input of the same type that this date must not precede; may be empty")
    choices: list[str]
    choice_labels: dict[str, Texts] = Field(description="choice → the words people read, where it has any")
    example: Any


class StepOut(Shape):
    """One named thing a run does."""

    name: str
    title: Texts = Field(description="what people read in place of the name; may be empty")
    template: str
    channels: list[str]
    by: list[str] = Field(description="the first of these the contact can get")
    accounts: list[str] = Field(description="the accounts it is posted on")
    survey: str


class CampaignOut(Shape):
    """A campaign in its newest version."""

    key: str
    version: int
    title: Texts
    description: Texts
    purpose: str | None = Field(description="null: that of the run it corrects")
    topic: str
    repeat: str = Field(description="RFC 5545 RRULE, empty = on demand or once")
    inputs: list[InputOut]
    steps: list[StepOut]


class LaunchIn(Shape):
    """A run to be launched."""

    campaign: Text = Field(min_length=1, max_length=100)
    inputs: dict[Text, Json] = Field(default_factory=dict, max_length=_MANY)
    at: Moment | None = Field(None, description="when it starts; null = as soon as it is released")
    audience_list: Text = Field("", max_length=100, description="only contacts of this imported list")
    segment: Text = Field("", max_length=100, description="only contacts of this segment")
    drill: bool = Field(False, description="an exercise: stamped as one, for staff alone, nothing is posted")


class RunOut(Shape):
    """A run; `counts` are its messages by state."""

    id: int
    campaign: str
    kind: str
    state: str
    purpose: str
    nominal_at: datetime
    launched_by: str
    recipients: int
    problem: str
    created_at: datetime
    ended_at: datetime | None
    drill: bool = Field(description="an exercise: stamped, for staff alone")
    counts: dict[str, int]
    planned: int = Field(description="messages made so far: sent + not sent + waiting")
    sent: int = Field(description="taken by a provider, or published by a person")
    not_sent: int = Field(description="refused, failed, expired or cancelled")
    waiting: int = Field(description="queued, on the wire, in doubt, or for a person to publish")


class TallyOut(Shape):
    """How many messages of a step and channel are in a state, and why."""

    step: str
    channel: str
    state: str
    reason: str
    count: int


class RunDetail(RunOut):
    """A run with its inputs and counts by step, channel, state and reason."""

    inputs: dict[str, Any]
    tallies: list[TallyOut]
    waits_until: datetime | None = Field(description="all that is queued waits until then; null where something is due")
    waits_for: str = Field(description="`quiet-hours`, or a provider's words; empty where it is simply not time yet")
    held_until: datetime | None = Field(description="until then its release can be undone")


class MessageIn(Shape):
    """One message of a campaign to one contact."""

    campaign: Text = Field(min_length=1, max_length=100)
    contact: Text = Field(min_length=1, max_length=200, description="the contact's external id")
    inputs: dict[Text, Json] = Field(default_factory=dict, max_length=_MANY)


class SettleIn(Shape):
    """What became of a message in doubt, as a person or another system found out."""

    outcome: Verdict = Field(
        description="`sent`: the provider took it; `not-sent`: it never had it; `send-again`: it never had it and it goes again"
    )


class MessageRef(Shape):
    """A message that was taken: it stands in the database and will go out, be refused, or expire."""

    id: str = Field(description="the message's public id")
    run_id: int
    state: str


class MessageOut(Shape):
    """A message."""

    id: str
    run_id: int
    contact: str = Field(description="external id, empty for a post")
    account: str
    step: str
    channel: str
    state: str
    reason: str
    locale: str
    due_at: datetime
    changed_at: datetime | None


class EventOut(Shape):
    """One thing that happened to a message."""

    kind: str
    at: datetime
    code: str
    reason: str
    source: str


class MessageDetail(MessageOut):
    """A message with its history, oldest first."""

    template: str
    template_version: int
    expires_at: datetime
    accepted_at: datetime | None
    attempts: int
    parts: int | None
    provider_ref: str
    post_url: str
    events: list[EventOut]


class SurveyOut(Shape):
    """A survey in its newest version."""

    key: str
    title: Texts
    questions: list[str]
    scored_question: str | None
    target_pct: float | None


class ScoreWindow(Shape):
    """Which responses count; null = no bound."""

    run_id: int | None
    received_from: datetime | None
    received_until: datetime | None


class InvitationsOut(Shape):
    """How far the invitations went."""

    invited: int
    delivered: int
    opened: int
    answered: int


class ScoreOut(Shape):
    """A score with all that is needed to judge it; percentages 0..100, unrounded."""

    survey: str
    definition: str
    method: str
    value_pct: float | None = Field(description="null without answers")
    low_pct: float = Field(description="two-sided 95 % Wilson interval, lower end")
    high_pct: float = Field(description="two-sided 95 % Wilson interval, upper end")
    verdict_bound_pct: float = Field(description="one-sided 95 % lower bound: `met` if it reaches the target")
    verdict_upper_pct: float = Field(description="one-sided 95 % upper bound: `not-met` if it stays below the target")
    target_pct: float
    n: int = Field(description="valid answers; skips are none")
    verdict: str = Field(description="`met`, `not-met` or `too-close-to-say`")
    simulated: bool = Field(description="whether anything in the numbers was played by the demo")
    responses: int
    invitations: InvitationsOut
    window: ScoreWindow


class MonthScoreOut(Shape):
    """The score of one month's answers; a month without any has n 0 and a value of null."""

    month: date = Field(description="its first day, in the bank's time zone")
    value_pct: float | None
    low_pct: float = Field(description="two-sided 95 % Wilson interval, lower end")
    high_pct: float = Field(description="two-sided 95 % Wilson interval, upper end")
    target_pct: float
    n: int
    verdict: str = Field(description="`met`, `not-met` or `too-close-to-say`")


class SandboxItemOut(Shape):
    """One thing a sandbox account was given instead of the network."""

    id: int
    account: str
    channel: str
    public_id: str
    recipient: str
    sender: str
    subject: str = Field(description="of an e-mail, else empty")
    text: str
    html: str = Field(description="of an e-mail, else empty")
    at: datetime


class ResponseOut(Shape):
    """What came back once."""

    id: int
    run_id: int | None
    contact: str
    source: str
    locale: str
    simulated: bool
    received_at: datetime
    answers: dict[str, int | str]
