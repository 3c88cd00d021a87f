"""What a reason means for the one who has to do something about it."""

import pytest

from notifier.domain.causes import Cause, cause_of
from notifier.domain.message import OPEN, State
from notifier.providers.twilio.codes import CODES


@pytest.mark.parametrize(
    ("state", "reason", "cause"),
    [
        ("refused", "no-address", Cause.NO_ADDRESS),
        ("refused", "suppressed: hard-bounce", Cause.BLOCKED_BAD),
        ("refused", "suppressed: opt-out", Cause.OPTED_OUT),
        ("refused", "duplicate-address", Cause.DUPLICATE),
        ("failed", "not rendered: attributes.city is not known", Cause.NOT_RENDERED),
        ("failed", "550 5.1.1 <…>: Recipient address rejected: User unknown", Cause.BAD_ADDRESS),
        ("failed", "552 5.2.2 Mailbox full", Cause.FULL),
        ("failed", "554 5.7.1 Message blocked due to spam content", Cause.UNWANTED),
        ("failed", "535 5.7.8 Authentication credentials invalid", Cause.LOGIN),
        ("failed", "700 characters, the network takes 500", Cause.TOO_LONG),
        ("failed", "a person said it was not sent", Cause.SETTLED),
        ("failed", "something quite new", Cause.PROVIDER),
        ("refused", "drill", Cause.DRILL),
        ("expired", "", Cause.EXPIRED),
        ("bounced", "", Cause.CAME_BACK),
        ("uncertain", "the worker died", Cause.IN_DOUBT),
    ],
)
def test_a_reason_has_its_class(state: str, reason: str, cause: Cause) -> None:
    assert cause_of(state, reason) is cause


@pytest.mark.parametrize("state", [State.ACCEPTED, State.DELIVERED, *(OPEN - {State.UNCERTAIN})])
def test_what_is_sent_or_waits_has_no_cause(state: State) -> None:
    assert cause_of(state, "") is None


def test_the_sms_providers_codes_fall_into_classes() -> None:
    classes = {code: cause_of("failed", meaning.text) for code, meaning in CODES.items()}
    assert (classes["21211"], classes["21610"], classes["20003"], classes["30007"], classes["30034"]) == (
        Cause.BAD_ADDRESS,
        Cause.OPTED_OUT,
        Cause.LOGIN,
        Cause.UNWANTED,
        Cause.SENDER,
    )
    assert sum(cause is Cause.PROVIDER for cause in classes.values()) <= 6
