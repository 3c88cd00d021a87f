"""Breaker: what pauses an account, and what is too little to say so."""

from collections.abc import Sequence

from notifier.delivery.breaker import SLOW_S, Window
from notifier.domain.retry import Trouble


def _causes(window: Window, troubles: Sequence[tuple[Trouble | None, str]], *, took_s: float = 0.1) -> list[str]:
    return [
        window.add(trouble, took_s=took_s, now=float(at), to=to, has_others=False)
        for at, (trouble, to) in enumerate(troubles)
    ]


def test_a_log_in_that_is_refused_says_so_at_once() -> None:
    assert _causes(Window(), [(Trouble.SENDER, "a@example.com")]) == ["sender"]


def test_refusals_for_who_we_are_count_where_two_domains_agree() -> None:
    alone = [(Trouble.POLICY, f"{number}@example.com") for number in range(20)]
    assert set(_causes(Window(), alone)) == {""}
    both = [(Trouble.POLICY, f"{number}@example.{'net' if number % 2 else 'com'}") for number in range(5)]
    assert _causes(Window(), both) == ["", "", "", "", "sender"]
    taken = [*both[:4], (None, "b@example.com"), *both[4:], *both[:3]]
    assert set(_causes(Window(), taken)) == {""}


def test_numbers_have_no_domain_and_count_each_for_itself() -> None:
    one = [(Trouble.POLICY, "+12125550100")] * 10
    assert set(_causes(Window(), one)) == {""}
    some = [(Trouble.POLICY, f"+1212555010{number}") for number in range(5)]
    assert _causes(Window(), some)[-1] == "sender"


def test_what_is_taken_slowly_pauses_nothing_where_no_other_account_could_be_quicker() -> None:
    slow = [(None, "a@example.com")] * 10
    assert set(_causes(Window(), slow, took_s=2 * SLOW_S)) == {""}
    window = Window()
    told = [window.add(None, took_s=2 * SLOW_S, now=float(at), to="a@example.com", has_others=True) for at in range(5)]
    assert told == ["", "", "", "", "provider"]
