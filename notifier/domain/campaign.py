"""A campaign: what is sent to whom, when, in which steps. Immutable once applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum

from notifier.domain.audience import EVERYBODY, Rule
from notifier.domain.channel import Channel
from notifier.domain.pause import Bounds
from notifier.domain.purpose import Purpose
from notifier.domain.text import Localized

FEEDBACK = "feedback"
"""The topic of survey invitations."""


class InputType(StrEnum):
    """What kind of value an input takes."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"  # local time of the bank
    URL = "url"
    CHOICE = "choice"
    RUN = "run"  # the id of an earlier run


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A value filled per run."""

    name: str
    type: InputType
    label: Localized
    required: bool = True
    localized: bool = False  # one text per locale; then the value is a mapping
    max_length: int = 500
    not_before: str = ""  # name of an input of the same type, a date or datetime, that this one does not precede
    choices: tuple[str, ...] = ()
    choice_labels: Mapping[str, Localized] = field(default_factory=dict)  # as people read them; may be none
    default: object = None
    example: object = None  # used by previews, checks and the demo
    suggestions: tuple[object, ...] = ()  # values a form offers at a click, each as the input takes it

    def choice_called(self, choice: str) -> Localized:
        """A choice as people read it; itself where it has no label."""
        return self.choice_labels.get(choice) or Localized({"": choice})


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs start. `start` None: on demand. `repeat`: an RFC 5545 RRULE counted from `start`."""

    start: datetime | None = None  # naive local time in `zone`
    zone: str = "bank"  # "bank", "contact" or an IANA name
    repeat: str = ""


class Condition(StrEnum):
    """Who a later step is for; only what is certain, never "not opened"."""

    NOT_DELIVERED = "not-delivered"  # every earlier message bounced, failed, expired, was refused
    NOT_ACKNOWLEDGED = "not-acknowledged"
    NOT_ANSWERED = "not-answered"  # got a survey invitation, has not answered


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAnchor:
    """A step counted from a date input: `when: {input: date, offset: -14d, at: "10:00"}`."""

    input: str
    offset: timedelta = timedelta()
    at: time | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One named thing a run does. Exactly one of channels, by, accounts says how it travels."""

    name: str
    template: str
    title: Localized = field(default_factory=lambda: Localized({}))
    channels: tuple[Channel, ...] = ()  # every one of these the contact can get
    by: tuple[Channel, ...] = ()  # the first of these the contact can get
    accounts: tuple[str, ...] = ()  # posts, one per account
    survey: str = ""  # key of the survey this step invites to
    topic: str = ""  # as written; see `Campaign.topic_of`
    purpose: Purpose | None = None  # as written; see `Campaign.purpose_of`
    after: timedelta = timedelta()  # from the run's start
    anchor: InputAnchor | None = None  # instead of `after`
    condition: Condition | None = None
    audience: Rule = EVERYBODY  # narrows the run's recipients
    sample_pct: float = 100.0
    closes: timedelta | None = None  # a survey's answers are taken until then
    values: Mapping[str, object] = field(default_factory=dict)  # `with:`; joins the inputs in templates

    @property
    def is_post(self) -> bool:
        """Whether it is published by an account instead of sent to contacts."""
        return bool(self.accounts)

    @property
    def called(self) -> Localized:
        """The step as people read it: its title, else its name."""
        return self.title if self.title.texts else Localized({"": self.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as defined; `purpose` None means the purpose of the run named by `inherits`."""

    key: str
    title: Localized
    description: Localized = field(default_factory=lambda: Localized({}))
    purpose: Purpose | None
    inherits: str = ""  # name of a run input: `purpose: {of: corrects}`
    topic: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    audience: Rule = EVERYBODY
    schedule: Schedule = field(default_factory=Schedule)
    steps: tuple[Step, ...]
    expires: timedelta | None = None  # shortens the purpose's
    undo: timedelta | None = None  # None: as the bank says, none for an emergency
    pause: Bounds = field(default_factory=Bounds)  # before the bank's

    def purpose_of(self, step: Step) -> Purpose | None:
        """Why a step's messages are sent: its own, service for a survey, else the campaign's; None: that of `inherits`."""
        return step.purpose or (Purpose.SERVICE if step.survey else self.purpose)

    def step_called(self, name: str) -> Localized:
        """A step of any version as people read it: its title here, else its name."""
        return next((step.called for step in self.steps if step.name == name), Localized({"": name}))

    def topic_of(self, step: Step) -> str:
        """What a contact may leave without leaving the channel: the step's, feedback for a survey, else the campaign's."""
        return step.topic or (FEEDBACK if step.survey else self.topic)
