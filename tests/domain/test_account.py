"""Accounts: their limits as written, and what follows from them."""

import pytest

from notifier.domain.account import Account, Group
from notifier.domain.channel import Channel
from notifier.domain.spec import account_from_spec, to_spec
from notifier.domain.text import Localized

GROUPS = {"google": Group(domains=("gmail.com", "googlemail.com"), per_second=20)}


def _account(**more: object) -> Account:
    values = {"key": "mail", "title": Localized({"en": "Mail"}), "channel": Channel.EMAIL, "provider": "smtp", **more}
    return Account(**values)  # type: ignore[arg-type]


def test_limits_are_written_as_they_are_read() -> None:
    account = _account(per_second=50.0, sender_per_second=30.0, groups=GROUPS)
    assert account_from_spec(to_spec(account)) == account
    assert "groups" not in to_spec(_account())


@pytest.mark.parametrize(
    ("address", "group"),
    [("a@gmail.com", "google"), ("a@GoogleMail.com", "google"), ("a@mail.gmail.com", ""), ("", "")],
)
def test_a_group_is_found_by_the_domain(address: str, group: str) -> None:
    assert _account(groups=GROUPS).group_of(address) == group


def test_the_slower_limit_counts_and_ordinary_messages_have_their_share() -> None:
    account = _account(per_second=50.0, sender_per_second=30.0)
    assert (account.speed(urgent=True), account.speed(urgent=False)) == (30, 24)
    assert _account().speed(urgent=True) is None
