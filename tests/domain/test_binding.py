"""A bound rule means the same people, in words that need no input."""

import pytest

from notifier.domain.audience import (
    EVERYBODY,
    NOBODY,
    All,
    Any,
    Attribute,
    History,
    InputIs,
    InputRef,
    KindIs,
    Not,
    Operator,
    Rule,
)
from notifier.domain.binding import bind_rule
from notifier.domain.contact import ContactKind

CUSTOMERS = KindIs(ContactKind.CUSTOMER)
BRANCH = Attribute("branch", Operator.IS, InputRef("branch"))
AT_BRANCH = Attribute("branch", Operator.IS, "静安支行")
ALERT = All((CUSTOMERS, Any((InputIs("branch", "all"), BRANCH))))


@pytest.mark.parametrize(
    ("rule", "inputs", "bound"),
    [
        (ALERT, {"branch": "all"}, CUSTOMERS),
        (ALERT, {"branch": "静安支行"}, All((CUSTOMERS, AT_BRANCH))),
        (ALERT, {}, ALERT),
        (Not(InputIs("branch", "all")), {"branch": "all"}, NOBODY),
        (Not(InputIs("branch", "all")), {"branch": "x"}, EVERYBODY),
        (All((CUSTOMERS, InputIs("vip", True))), {"vip": False}, NOBODY),
        (All((CUSTOMERS, InputIs("vip", True))), {"vip": True}, CUSTOMERS),
        (EVERYBODY, {"branch": "x"}, EVERYBODY),
        (BRANCH, {"branch": {"en": "x"}}, BRANCH),
        (History(what="received", run=InputRef("corrects")), {"corrects": 7}, History(what="received", run=7)),
        (CUSTOMERS, {"branch": "x"}, CUSTOMERS),
    ],
)
def test_inputs_take_the_place_of_their_names(rule: Rule, inputs: dict[str, object], bound: Rule) -> None:
    assert bind_rule(rule, inputs) == bound
