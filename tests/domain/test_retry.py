"""Retry: what a refusal means, and when the message goes again."""

import pytest

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.domain.purpose import RULES, Purpose
from notifier.domain.retry import FAILS_OVER, SPARED, WAITS, Trouble, next_wait_s, trouble_of

_SENDER = Fault.SENDER


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (TryAgain("too many requests at once", code="20429"), Trouble.TOO_FAST),
        (TryAgain("slow down", code="429"), Trouble.TOO_FAST),
        (TryAgain("421 4.7.28 unusual rate", code="4.7.28", fault=_SENDER), Trouble.TOO_FAST),
        (TryAgain("451 4.7.0 [TSS04] deferred", code="4.7.0", fault=_SENDER), Trouble.TOO_FAST),
        (TryAgain("450 too many connections", code="450"), Trouble.TOO_FAST),
        (TryAgain("450 4.7.1 Greylisted", code="4.7.1", fault=_SENDER), Trouble.GREYLISTED),
        (TryAgain("450 4.2.1 receiving mail at a rate that", code="4.2.1"), Trouble.TEMPORARY),
        (TryAgain("452 4.2.2 over quota", code="4.2.2"), Trouble.TEMPORARY),
        (TryAgain("cannot connect to the mail server", code="connect"), Trouble.UNREACHABLE),
        (TryAgain("connection lost at MAIL", code="lost"), Trouble.UNREACHABLE),
        (TryAgain("log-in refused: 535", code="535", fault=_SENDER), Trouble.SENDER),
        (TryAgain("log-in refused", code="20003", fault=_SENDER), Trouble.SENDER),
        (TryAgain("whatever", code="", fault=_SENDER), Trouble.SENDER),
        (TryAgain("account suspended", code="30002", fault=_SENDER), Trouble.SENDER),
        (NeverAgain("550 5.7.57 not authenticated", code="5.7.57", fault=_SENDER), Trouble.SENDER),
        (TryAgain("450 4.1.8 sender domain not found", code="4.1.8", fault=_SENDER), Trouble.POLICY),
        (TryAgain("451 4.5.0 protocol hiccup", code="4.5.0", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("550 5.7.509 access denied, DMARC", code="5.7.509", fault=_SENDER), Trouble.POLICY),
        (TryAgain("the handset cannot be reached now", code="30003"), Trouble.HANDSET),
        (NeverAgain("550 5.7.26 unauthenticated", code="5.7.26", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("550 5.7.515 access denied", code="5.7.515", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("filtered as unwanted", code="30007", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("550 5.7.1 not wanted here", code="5.7.1", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("sending to this region is not enabled", code="21408", fault=_SENDER), Trouble.POLICY),
        (NeverAgain("no such user", code="5.1.1", fault=Fault.RECIPIENT), Trouble.PERMANENT),
        (OutcomeUnknown("503", code="503"), Trouble.UNKNOWN),
    ],
)
def test_what_a_refusal_means(error: SendError, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble


def test_only_a_definite_refusal_of_the_accounts_making_fails_over() -> None:
    assert {Trouble.TOO_FAST, Trouble.UNREACHABLE, Trouble.SENDER} == FAILS_OVER
    assert FAILS_OVER == SPARED


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("trouble", list(WAITS))
def test_waits_grow_to_their_bound_and_leave_time_for_a_second_try(trouble: Trouble, purpose: Purpose) -> None:
    waits = WAITS[trouble][purpose]
    assert 0 < waits.first_s <= waits.most_s
    assert waits.first_s * 1.2 < RULES[purpose].expires.total_seconds()


def test_mail_waits_for_minutes_and_what_a_contact_just_did_for_seconds() -> None:
    busy = TryAgain("mailbox busy", code="4.2.1", after_s=300)
    service = [next_wait_s(busy, Purpose.SERVICE, tries=tries, draw=0.5) for tries in range(1, 7)]
    assert service == [330, 600, 1200, 2400, 3600, 3600]
    transactional = [next_wait_s(busy, Purpose.TRANSACTIONAL, tries=tries, draw=0.5) for tries in (1, 2, 3, 9)]
    assert transactional == [20, 40, 60, 60]


def test_retry_after_is_the_least_whatever_the_purpose() -> None:
    told = TryAgain("slow down", code="429", retry_after_s=90)
    for purpose in Purpose:
        wait = next_wait_s(told, purpose, tries=1, draw=0.0)
        assert wait is not None
        assert wait >= 90


def test_a_crowd_does_not_come_back_at_once() -> None:
    busy = TryAgain("mailbox busy", code="4.2.1", after_s=0)
    spread = {next_wait_s(busy, Purpose.SERVICE, tries=1, draw=draw / 10) for draw in range(10)}
    assert len(spread) == 10
    assert min(filter(None, spread)) >= 240


def test_what_is_refused_for_what_it_says_fails_after_some_tries() -> None:
    unwanted = NeverAgain("550 5.7.1", code="5.7.1", fault=_SENDER)
    waits = [next_wait_s(unwanted, Purpose.SERVICE, tries=tries, draw=0.5) for tries in (1, 2, 3)]
    assert waits == [900, 1800, None]
    assert next_wait_s(NeverAgain("no", fault=Fault.RECIPIENT), Purpose.SERVICE, tries=1, draw=0.5) is None


def test_what_is_refused_for_now_alone_goes_again_until_it_expires() -> None:
    later = TryAgain("450 4.1.8", code="4.1.8", fault=_SENDER)
    assert next_wait_s(later, Purpose.SERVICE, tries=30, draw=0.5) == 3_600
