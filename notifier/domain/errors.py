"""Every error the house raises on purpose.

NotifierError
├── DefinitionError      a YAML file or template is wrong: file, line, column, remedy
├── DefinitionErrors     several of them, as one
├── InputError           a value given by a person or a system is wrong: field, remedy
├── NotFound             no such thing, or not for you
├── Conflict             the request contradicts what already happened
│   └── NotReleased      a person has to release it first
├── Forbidden            somebody else may do it, not who asks
├── IllegalMove          a message may not go from this state to that
├── RenderError          a template could not be rendered for one contact
├── ServiceError         a server we need cannot be reached or started
├── Busy                 so much waits that more would be late
└── SendError            a provider did not accept a message
    ├── TryAgain         a definite "not now": safe to send again after a while
    ├── NeverAgain       a definite "no", with the reason
    ├── OutcomeUnknown   the provider may or may not have accepted: never resend blindly
    └── Withheld         it waited inside the provider until it might not leave any more: nothing was sent
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class NotifierError(Exception):
    """Base of all; `str()` is safe to show to a user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a file; lines and columns count from 1, 0 = unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class DefinitionError(NotifierError):
    """A definition is wrong; says where and what to write instead."""

    def __init__(self, place: Place, problem: str, remedy: str = "") -> None:
        super().__init__(f"{place}: {problem}" + (f". {remedy}" if remedy else ""))
        self.place, self.problem, self.remedy = place, problem, remedy


class DefinitionErrors(NotifierError):
    """Several definitions are wrong, or one in several places; in the order of files and lines."""

    def __init__(self, errors: Iterable[DefinitionError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda error: (error.place.file, error.place.line, error.place.column)))
        super().__init__("\n".join(str(error) for error in self.errors))


class InputError(NotifierError):
    """A given value is wrong; `field` names it."""

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{field}: {problem}" + (f". {remedy}" if remedy else ""))
        self.field, self.problem, self.remedy = field, problem, remedy


class NotFound(NotifierError):
    """There is no such thing, or it is not for the one who asks."""


class Conflict(NotifierError):
    """The request contradicts what already happened."""


class NotReleased(Conflict):
    """A person has to release it first."""


class Forbidden(NotifierError):
    """Somebody else may do it, not who asks; says who."""


class IllegalMove(NotifierError):
    """A message may not go from this state to that."""


class RenderError(NotifierError):
    """A template could not be rendered; the text names the variable, never its value."""


class ServiceError(NotifierError):
    """PostgreSQL, Redis or another server we need cannot be reached or started."""


class Busy(NotifierError):
    """So much waits that more would be late; come back after so many seconds."""

    def __init__(self, problem: str, *, after_s: int) -> None:
        super().__init__(problem)
        self.after_s = after_s


class Fault(StrEnum):
    """Whose fault a definite refusal is; decides who is punished for it."""

    RECIPIENT = "recipient"  # the address is bad: suppress it
    OPTED_OUT = "opted-out"  # the contact told the carrier to stop: an opt-out like any other
    CONTENT = "content"  # this message is bad: fail it, keep the address
    SENDER = "sender"  # our account, domain or configuration is bad: keep the address, tell the operator
    PROVIDER = "provider"  # they have trouble


class SendError(NotifierError):
    """A provider did not accept a message."""

    def __init__(self, reason: str, *, code: str = "", fault: Fault = Fault.PROVIDER) -> None:
        super().__init__(reason)
        self.reason, self.code, self.fault = reason, code, fault


class TryAgain(SendError):
    """A definite refusal for now; send again after `after_s` seconds.

    `retry_after_s`: the provider itself said how long the whole account is to stay away (Retry-After), 0 = it did not.
    """

    def __init__(
        self,
        reason: str,
        *,
        after_s: float = 60,
        code: str = "",
        fault: Fault = Fault.PROVIDER,
        retry_after_s: float = 0,
    ) -> None:
        super().__init__(reason, code=code, fault=fault)
        self.after_s, self.retry_after_s = after_s, retry_after_s


class NeverAgain(SendError):
    """A definite refusal for good; `reason` is safe to show."""


class OutcomeUnknown(SendError):
    """The provider may have accepted the message: a lost reply, a time-out after the last byte."""


class Withheld(SendError):
    """Its permit was not renewed; the provider does not have the message, and it was no try."""
