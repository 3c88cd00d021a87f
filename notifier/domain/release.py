"""Release: whether a second person is needed, and the hash of all that a release binds."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from notifier.domain.audience import All, KindIs, Not, Rule
from notifier.domain.audience import Any as AnyOf
from notifier.domain.campaign import Campaign
from notifier.domain.contact import ContactKind

Facts = Mapping[str, Any]
_MAY_CHANGE_PCT = 10
_MAY_CHANGE_BY = 10


def needs_second_person(campaign: Campaign, *, drill: bool) -> bool:
    """Whether another than the author has to release it: whatever may reach a customer, and every post."""
    if drill:
        return False
    return any(step.is_post for step in campaign.steps) or may_reach_customers(campaign.audience)


def may_reach_customers(rule: Rule) -> bool:
    """False only where the rule by itself leaves out every customer; in doubt true."""
    match rule:
        case KindIs(kind):
            return kind is ContactKind.CUSTOMER
        case All(rules):
            return all(may_reach_customers(one) for one in rules)
        case Not(KindIs(kind)):
            return kind is not ContactKind.CUSTOMER
        case AnyOf(rules):
            return any(may_reach_customers(one) for one in rules)
        case _:
            return True


def facts_hash(facts: Facts) -> bytes:
    """SHA-256 of the facts as canonical JSON: sorted keys, no spaces."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).digest()


def audience_holds(released: int, now: int) -> bool:
    """Whether as many are meant as were released: within a tenth, or ten contacts."""
    return abs(now - released) <= max(_MAY_CHANGE_BY, released * _MAY_CHANGE_PCT // 100)
