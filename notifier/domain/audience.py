"""Audience rules: who is meant. A rule is a tree; `store` compiles it to SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ContactKind


class Operator(StrEnum):
    """How an attribute is compared."""

    IS = "is"
    IN = "in"
    CONTAINS = "contains"  # text, case-insensitive
    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    PRESENT = "present"  # true: has a value; false: has none


@dataclass(frozen=True, slots=True)
class InputRef:
    """Stands for the value of a run's input: `{input: branch}`."""

    name: str


Operand = AttributeValue | InputRef | tuple[AttributeValue, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every rule holds; the empty tuple means everybody."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one rule holds."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The rule does not hold."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class KindIs:
    """`{kind: customer}`."""

    kind: ContactKind


@dataclass(frozen=True, slots=True)
class Attribute:
    """`{attribute: city, in: [Shanghai, Suzhou]}`; `name`, `locale` and `zone` count as attributes."""

    name: str
    operator: Operator
    operand: Operand


@dataclass(frozen=True, slots=True)
class HasConsent:
    """`{consent: email}` or `{consent: email, topic: education}`: the latest act is an opt-in."""

    channel: Channel
    topic: str = ""


@dataclass(frozen=True, slots=True)
class InList:
    """`{list: branch-visitors}`: an imported list."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`{received|delivered|acknowledged: {campaign|run|survey: …, step: …, within: 6d}}`.

    received: a message to the contact was accepted (or later); delivered: reported delivered;
    acknowledged: a person followed a link or answered. `survey: any` matches every survey.
    """

    what: str  # "received" | "delivered" | "acknowledged"
    campaign: str = ""
    run: int | InputRef | None = None
    survey: str = ""
    step: str = ""
    within: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """`{answered: {survey: lecture-registration, question: attend, is: yes, same_run: true}}`.

    No question: any response. `same_run` limits it to answers given in the run being planned.
    """

    survey: str
    question: str = ""
    value: AttributeValue = None
    within: timedelta | None = None
    same_run: bool = False


@dataclass(frozen=True, slots=True)
class InputIs:
    """`{input: branch, is: all}`: depends on the run alone, the same for every contact."""

    name: str
    value: AttributeValue


Rule = All | Any | Not | KindIs | Attribute | HasConsent | InList | History | Answered | InputIs

EVERYBODY = All(())
NOBODY = Not(EVERYBODY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What a rule may refer to when a run is planned."""

    inputs: Mapping[str, object]
    run_id: int = 0  # 0 in a forecast
