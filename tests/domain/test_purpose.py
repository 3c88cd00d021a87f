"""The purpose table is the one the bank was promised."""

from datetime import time, timedelta

import pytest

from notifier.domain.purpose import LANES, POST_EXPIRES, RULES, Consent, InDoubt, Purpose

PROMISED = [
    (Purpose.EMERGENCY, 1, Consent.OBEYS_CHANNEL_STOP, None, None, timedelta(hours=4), InDoubt.RESEND),
    (
        Purpose.TRANSACTIONAL,
        2,
        Consent.OBEYS_CHANNEL_STOP,
        None,
        None,
        timedelta(minutes=5),
        InDoubt.RECONCILE_THEN_ASK,
    ),
    (
        Purpose.SERVICE,
        3,
        Consent.OBEYS_OPT_OUT,
        time(8),
        time(21),
        timedelta(hours=24),
        InDoubt.RECONCILE_THEN_RESEND,
    ),
    (Purpose.MARKETING, 4, Consent.NEEDS_OPT_IN, time(9), time(20), timedelta(hours=72), InDoubt.ASK),
]


@pytest.mark.parametrize("row", PROMISED, ids=lambda row: str(row[0]))
def test_purpose_means_what_was_promised(
    row: tuple[Purpose, int, Consent, time | None, time | None, timedelta, InDoubt],
) -> None:
    rules = RULES[row[0]]
    assert (rules.lane, rules.consent, rules.open_from, rules.open_to, rules.expires, rules.in_doubt) == row[1:]


def test_every_purpose_has_rules_and_a_lane_of_its_own() -> None:
    assert set(RULES) == set(Purpose)
    assert LANES == (1, 2, 3, 4)


def test_the_more_urgent_leaves_first() -> None:
    assert sorted(RULES, key=lambda purpose: RULES[purpose].lane) == [row[0] for row in PROMISED]


def test_only_marketing_needs_an_opt_in() -> None:
    assert [purpose for purpose in Purpose if RULES[purpose].consent is Consent.NEEDS_OPT_IN] == [Purpose.MARKETING]


def test_a_person_settles_what_money_or_patience_would_pay_twice() -> None:
    asked = {InDoubt.ASK, InDoubt.RECONCILE_THEN_ASK}
    assert {purpose for purpose in Purpose if RULES[purpose].in_doubt in asked} == {
        Purpose.TRANSACTIONAL,
        Purpose.MARKETING,
    }


def test_quiet_hours_have_both_ends_or_none() -> None:
    for rules in RULES.values():
        assert (rules.open_from is None) == (rules.open_to is None)
        if rules.open_from and rules.open_to:
            assert rules.open_from < rules.open_to


def test_a_post_expires_after_a_day() -> None:
    assert timedelta(days=1) == POST_EXPIRES
