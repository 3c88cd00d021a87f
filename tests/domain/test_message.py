"""The life of a message: legal moves, and reports that may come late, twice and in any order."""

import itertools
from functools import reduce
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.errors import IllegalMove
from notifier.domain.event import STATE_AFTER, EventKind
from notifier.domain.message import MOVES, OPEN, RANK, SENT, State, add_up, after_event, move

REPORTED = sorted(set(STATE_AFTER.values()), key=RANK.__getitem__)
"""What providers can report, from the weakest to the strongest."""

AFTER_THE_CLAIM = (State.SENDING, State.UNCERTAIN, State.EXPIRED, *REPORTED)
"""Where a message may stand when a report comes."""

ENDS = (State.REFUSED, State.CANCELLED)

reports = st.lists(st.sampled_from([*REPORTED, State.UNCERTAIN]), max_size=12)


def fold(start: State, events: list[State]) -> State:
    return reduce(after_event, events, start)


@pytest.mark.parametrize(("current", "to"), list(itertools.product(State, State)))
def test_only_moves_in_the_table_are_legal(current: State, to: State) -> None:
    if (current, to) in MOVES:
        assert move(current, to) is to
        return
    with pytest.raises(IllegalMove, match=f"{current} to {to}"):
        move(current, to)


def test_every_state_has_a_rank_and_every_move_a_meaning() -> None:
    assert set(RANK) == set(State)
    assert all(meaning for meaning in MOVES.values())
    assert all(current is not to for current, to in MOVES)


def test_every_state_can_be_reached_from_the_queue() -> None:
    reached = {State.QUEUED}
    for _ in State:
        reached |= {to for current, to in MOVES if current in reached}
    assert reached == set(State)


def test_every_open_state_can_end() -> None:
    for state in OPEN:
        assert any(current is state and to not in OPEN for current, to in MOVES)


@pytest.mark.parametrize("end", ENDS)
def test_what_was_never_sent_stays_so(end: State) -> None:
    assert not [move_ for move_ in MOVES if move_[0] is end]
    assert fold(end, [*REPORTED, State.UNCERTAIN]) is end


@pytest.mark.parametrize("late", [State.DELIVERED, State.BOUNCED])
def test_a_late_report_of_what_expired_in_doubt_wins(late: State) -> None:
    assert after_event(State.EXPIRED, late) is late
    assert after_event(State.EXPIRED, State.FAILED) is State.EXPIRED


def test_only_a_claim_puts_a_message_on_the_wire() -> None:
    assert [current for current, to in MOVES if to is State.SENDING] == [State.QUEUED]


def test_what_left_never_returns_to_the_queue_unless_it_was_refused_in_doubt_or_set_aside() -> None:
    assert {current for current, to in MOVES if to is State.QUEUED} == {
        State.SENDING,
        State.UNCERTAIN,
        State.FAILED,
    }


def test_states_a_provider_took_are_closed() -> None:
    assert not SENT & OPEN


def test_no_two_reports_share_a_rank() -> None:
    ranks = [RANK[state] for state in REPORTED]
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize(
    ("earlier", "later", "kept"),
    [
        (EventKind.DELIVERED, EventKind.BOUNCED_SOFT, State.DELIVERED),  # out of office after delivery
        (EventKind.BOUNCED_SOFT, EventKind.DELIVERED, State.DELIVERED),  # a retry got through
        (EventKind.DELIVERED, EventKind.SENT, State.DELIVERED),  # the callback overtook
        (EventKind.FAILED, EventKind.BOUNCED_HARD, State.BOUNCED),
        (EventKind.BOUNCED_HARD, EventKind.FAILED, State.BOUNCED),
        (EventKind.FAILED, EventKind.ACCEPTED, State.FAILED),
    ],
)
def test_the_stronger_report_is_kept(earlier: EventKind, later: EventKind, kept: State) -> None:
    assert fold(State.SENDING, [STATE_AFTER[earlier], STATE_AFTER[later]]) is kept


@given(st.sampled_from(State), reports, st.randoms(use_true_random=False))
def test_order_of_reports_does_not_matter(start: State, events: list[State], random: Random) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)
    assert fold(start, shuffled) is fold(start, events)


@given(st.sampled_from(State), reports, reports)
def test_doubled_reports_do_not_matter(start: State, events: list[State], more: list[State]) -> None:
    again = [event for event in more if event in events]
    assert fold(start, events + again) is fold(start, events)


@given(st.sampled_from(AFTER_THE_CLAIM), reports)
def test_the_strongest_report_wins(start: State, events: list[State]) -> None:
    assert fold(start, events) is max([start, *events], key=RANK.__getitem__)


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_report_moves_only_up_and_only_legally(current: State, reported: State) -> None:
    after = after_event(current, reported)
    assert after is current or ((current, after) in MOVES and RANK[after] > RANK[current])


@given(st.dictionaries(st.sampled_from(State), st.integers(min_value=0, max_value=10**6)))
def test_planned_is_sent_and_not_sent_and_waiting(counts: dict[State, int]) -> None:
    sums = add_up({state.value: count for state, count in counts.items()})
    assert sums.planned == sum(counts.values())
    assert (sums.sent, sums.waiting) == (
        sum(counts.get(state, 0) for state in SENT),
        sum(counts.get(state, 0) for state in OPEN),
    )


def test_a_post_nobody_published_waits_and_is_not_sent() -> None:
    sums = add_up({State.TO_POST: 2, State.ACCEPTED: 1, State.EXPIRED: 3})
    assert (sums.sent, sums.not_sent, sums.waiting) == (1, 3, 2)
