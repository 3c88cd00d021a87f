"""A person we may write to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from notifier.domain.channel import Channel

ContactId = NewType("ContactId", int)

AttributeValue = str | int | float | bool | None


class ContactKind(StrEnum):
    """Who a contact is to the bank."""

    CUSTOMER = "customer"
    EMPLOYEE = "employee"
    WORKING_GROUP = "working-group"


class ConsentAct(StrEnum):
    """What a contact did."""

    OPT_IN = "opt-in"
    OPT_OUT = "opt-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRecord:
    """One act of a contact; added to the ledger, never changed. An empty topic means the whole channel."""

    channel: Channel
    act: ConsentAct
    topic: str = ""
    source: str
    at: datetime
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact as imported: addresses normalised (e-mail lower-case domain, numbers E.164)."""

    external_id: str
    kind: ContactKind = ContactKind.CUSTOMER
    name: str = field(default="", repr=False)
    locale: str = ""  # "" = the bank's default
    zone: str = ""  # IANA; "" = the bank's
    email: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict, repr=False)
    consents: tuple[ConsentRecord, ...] = ()
