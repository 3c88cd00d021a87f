"""Which rules leave out every customer, and how far an audience may move."""

import pytest

from notifier.domain.audience import EVERYBODY, All, Any, InList, KindIs, Not, Rule
from notifier.domain.contact import ContactKind
from notifier.domain.release import audience_holds, facts_hash, may_reach_customers

CUSTOMERS, STAFF, GROUP = (
    KindIs(kind) for kind in (ContactKind.CUSTOMER, ContactKind.EMPLOYEE, ContactKind.WORKING_GROUP)
)


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        (EVERYBODY, True),
        (CUSTOMERS, True),
        (STAFF, False),
        (All((STAFF, InList("a"))), False),
        (All((InList("a"),)), True),
        (Any((STAFF, GROUP)), False),
        (Any((STAFF, CUSTOMERS)), True),
        (Any((STAFF, InList("a"))), True),
        (Not(CUSTOMERS), False),
        (Not(STAFF), True),
    ],
)
def test_in_doubt_a_rule_may_reach_customers(rule: Rule, may: bool) -> None:
    assert may_reach_customers(rule) is may


@pytest.mark.parametrize(
    ("released", "now", "holds"),
    [(0, 10, True), (0, 11, False), (1000, 1100, True), (1000, 1101, False), (1000, 900, True), (1000, 899, False)],
)
def test_an_audience_may_move_by_a_tenth(released: int, now: int, holds: bool) -> None:
    assert audience_holds(released, now) is holds


def test_the_hash_knows_no_order_of_keys_and_every_value() -> None:
    assert facts_hash({"a": 1, "b": {"c": "好"}}) == facts_hash({"b": {"c": "好"}, "a": 1})
    assert facts_hash({"a": 1}) != facts_hash({"a": 2})
