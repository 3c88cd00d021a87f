"""Callbacks applied: any order, any number of times, the same states and tallies."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.delivery.callbacks import BACKOFF_S, apply_callbacks, keep_callback
from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.event import STATE_AFTER, EventKind
from notifier.domain.message import State, after_event
from notifier.domain.text import Localized
from notifier.providers.base import CallbackRequest, Dependencies, Provider
from notifier.providers.registry import open_provider
from notifier.store.database import Database
from tests.feedback.rows import LINKS, Scene, Sent, add_message, add_messages, add_scene, fetch


def _providers() -> Mapping[str, Provider]:
    return {
        key: open_provider(
            Account(key=key, title=Localized({}), channel=Channel.EMAIL, provider="sandbox"),
            {},
            deps=Dependencies(signing_key=b"k" * 32),
        )
        for key in ("email", "email-2")
    }


async def _keep(database: Database, events: Sequence[Mapping[str, object]], account: str = "email") -> None:
    request = CallbackRequest(
        url=f"https://notify.example/hooks/sandbox/{account}",
        headers={"content-type": "application/json"},
        body=orjson.dumps(events),
    )
    await keep_callback(database, provider="sandbox", account=account, request=request)


async def _apply(database: Database) -> int:
    return await apply_callbacks(database, providers=_providers(), key=LINKS)


def _event(sent: Sent, kind: str, key: str = "", **more: object) -> dict[str, object]:
    return {"type": kind, "message": sent.public_id, "id": key or kind, **more}


async def _tell(database: Database, sent: Sent, *kinds: str) -> None:
    """Each event in a callback of its own, applied at once."""
    for kind in kinds:
        await _keep(database, [_event(sent, kind)])
        await _apply(database)


async def _state(database: Database, sent: Sent) -> str:
    rows = await fetch(database, "SELECT state FROM notifier.messages WHERE id = $1", sent.id)
    return str(rows[0][0])


async def _tallies(database: Database) -> dict[str, int]:
    rows = await fetch(
        database, "SELECT state, sum(delta)::int FROM notifier.tallies GROUP BY 1 HAVING sum(delta) <> 0"
    )
    return {str(state): int(str(n)) for state, n in rows}


async def test_a_delivery_moves_the_message_and_its_tally(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_message(database, scene, state="accepted")
    await _tell(database, sent, "delivered")
    assert await _state(database, sent) == "delivered"
    assert await _tallies(database) == {"delivered": 1}
    rows = await fetch(database, "SELECT event_key, kind, source FROM notifier.events")
    assert rows == [("email:delivered", "delivered", "email")]
    assert await fetch(database, "SELECT applied_at IS NOT NULL FROM notifier.callbacks") == [(True,)]
    assert await _apply(database) == 0


async def test_a_callback_that_overtakes_the_answer_settles_the_message(database: Database) -> None:
    scene = await add_scene(database)
    for state in ("sending", "uncertain"):
        sent = await add_message(database, scene, state=state)
        await _tell(database, sent, "accepted")
        rows = await fetch(
            database, "SELECT state, accepted_at IS NOT NULL FROM notifier.messages WHERE id = $1", sent.id
        )
        assert rows == [("accepted", True)]


async def test_the_time_of_acceptance_is_the_providers(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), state="sending")
    await _keep(database, [_event(sent, "accepted", at="2026-02-02T09:00:00+08:00")])
    await _apply(database)
    assert await fetch(database, "SELECT accepted_at = '2026-02-02T01:00Z' FROM notifier.messages") == [(True,)]


async def test_late_and_doubled_events_change_nothing(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), state="sending")
    await _tell(database, sent, "delivered", "sent", "accepted", "bounced-soft", "failed", "delivered")
    assert await _state(database, sent) == "delivered"
    assert await _tallies(database) == {"delivered": 1}


@pytest.mark.parametrize("state", ["refused", "cancelled"])
async def test_what_ended_here_stays_ended(database: Database, state: str) -> None:
    sent = await add_message(database, await add_scene(database), state=state)
    await _tell(database, sent, "delivered")
    assert await _state(database, sent) == state
    assert await _tallies(database) == {state: 1}
    assert await fetch(database, "SELECT kind FROM notifier.events") == [("delivered",)]


async def test_a_late_report_of_what_expired_in_doubt_wins(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), state="expired")
    await _tell(database, sent, "failed", "delivered")
    assert await _state(database, sent) == "delivered"
    assert await _tallies(database) == {"delivered": 1}


async def test_a_failure_is_tallied_by_its_reason_and_taken_back_by_it(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), state="accepted")
    await _keep(database, [_event(sent, "failed", reason="carrier trouble")])
    await _apply(database)
    by_reason = "SELECT state, reason FROM notifier.tallies GROUP BY 1, 2 HAVING sum(delta) <> 0"
    assert await fetch(database, by_reason) == [("failed", "carrier trouble")]
    await _tell(database, sent, "delivered")
    assert await fetch(database, by_reason) == [("delivered", "")]


async def test_a_hard_bounce_suppresses_the_address_once(database: Database) -> None:
    sent = await add_message(database, await add_scene(database))
    await _keep(database, [_event(sent, "bounced-hard", reason="no such user")])
    await _apply(database)
    assert await _state(database, sent) == "bounced"
    rows = await fetch(
        database,
        """
        SELECT s.reason, s.channel, s.source FROM notifier.suppressions s
        JOIN notifier.addresses a USING (address_key)
        """,
    )
    assert rows == [("hard-bounce", "email", "callback of email")]
    await fetch(database, "DELETE FROM notifier.suppressions")
    await _keep(database, [_event(sent, "bounced-hard", reason="no such user"), _event(sent, "opened")])
    await _apply(database)
    assert await fetch(database, "SELECT count(*) FROM notifier.suppressions") == [(0,)]


async def test_a_soft_bounce_keeps_the_address(database: Database) -> None:
    sent = await add_message(database, await add_scene(database))
    await _tell(database, sent, "bounced-soft")
    assert await _state(database, sent) == "bounced"
    assert await fetch(database, "SELECT count(*) FROM notifier.suppressions") == [(0,)]


async def test_a_complaint_suppresses_and_leaves_the_state(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), state="delivered")
    await _tell(database, sent, "complained")
    assert await _state(database, sent) == "delivered"
    assert await fetch(database, "SELECT reason FROM notifier.suppressions") == [("complaint",)]


async def test_a_stop_told_to_the_carrier_is_an_opt_out(database: Database) -> None:
    sent = await add_message(database, await add_scene(database), channel="sms")
    await _tell(database, sent, "opted-out", "opted-out")
    rows = await fetch(database, "SELECT contact_id, channel, topic, act, source FROM notifier.consents")
    assert rows == [(sent.contact_id, "sms", "", "opt-out", "callback of email")]


async def test_the_same_key_of_two_accounts_is_two_events(database: Database) -> None:
    sent = await add_message(database, await add_scene(database))
    for account in ("email", "email-2"):
        await _keep(database, [_event(sent, "delivered", "1")], account)
    await _apply(database)
    assert await fetch(database, "SELECT count(*) FROM notifier.events") == [(2,)]


async def test_an_unknown_message_is_tried_again_and_then_kept(database: Database) -> None:
    scene = await add_scene(database)
    known, gone = await add_messages(database, scene, ["accepted", "accepted"])
    await fetch(database, "DELETE FROM notifier.messages WHERE id = $1", gone.id)
    await _keep(database, [_event(known, "delivered"), _event(gone, "delivered")])
    for tries in range(1, len(BACKOFF_S) + 2):
        assert await _apply(database) == 1
        rows = await fetch(
            database, "SELECT tries, applied_at, try_at > now() + interval '4 s' FROM notifier.callbacks"
        )
        assert rows == [(tries, None, True)]
        assert await _apply(database) == 0
        await fetch(database, "UPDATE notifier.callbacks SET try_at = now() WHERE try_at < 'infinity'")
    assert await _apply(database) == 0
    assert await _state(database, known) == "delivered"
    rows = await fetch(database, "SELECT try_at = 'infinity', problem FROM notifier.callbacks")
    assert rows == [(True, "an event names a message that is not there")]


@pytest.mark.parametrize("body", [b"not json", b'[{"type": "delivered", "id": "1", "message": "m.1.forged"}]', b"[7]"])
async def test_what_cannot_be_read_is_kept_with_its_problem(database: Database, body: bytes) -> None:
    request = CallbackRequest(url="https://notify.example/hooks/sandbox/email", headers={}, body=body)
    await keep_callback(database, provider="sandbox", account="email", request=request)
    assert await _apply(database) == 1
    assert await _apply(database) == 0
    assert await fetch(database, "SELECT applied_at, problem <> '' FROM notifier.callbacks") == [(None, True)]


async def test_one_broken_callback_does_not_hold_the_others_up(database: Database) -> None:
    sent = await add_message(database, await add_scene(database))
    await _keep(database, [{"type": "nonsense"}])
    await _keep(database, [_event(sent, "delivered")])
    assert await _apply(database) == 2
    assert await _state(database, sent) == "delivered"


async def test_two_workers_share_the_callbacks(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_messages(database, scene, ["accepted"] * 40)
    for kind in ("accepted", "delivered"):
        for one in sent:
            await _keep(database, [_event(one, kind)])

    async def _drain() -> int:
        done = 0
        while took := await apply_callbacks(database, providers=_providers(), key=LINKS, limit=7):
            done += took
        return done

    assert sum(await asyncio.gather(*(_drain() for _ in range(4)))) == 80
    assert await _tallies(database) == {"delivered": 40}


async def test_a_thousand_events_are_applied_fast(database: Database) -> None:
    scene = await add_scene(database)
    sent = await add_messages(database, scene, ["accepted"] * 1000)
    await _keep(database, [_event(one, "delivered") for one in sent])
    started = time.perf_counter()
    assert await _apply(database) == 1
    took_ms = 1000 * (time.perf_counter() - started)
    assert await _tallies(database) == {"delivered": 1000}
    assert took_ms < 1500  # 150 on a quiet machine; this one is shared


_KINDS = [
    "accepted",
    "sent",
    "delivered",
    "bounced-hard",
    "bounced-soft",
    "failed",
    "complained",
    "opened",
]
_STORIES = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(_KINDS)), min_size=1, max_size=12)


async def _play(database: Database, scene: Scene, starts: Sequence[str], story: Sequence[tuple[int, str]]) -> list[str]:
    """Tell the story in callbacks of three events, each applied before the next; returns the final states."""
    sent = await add_messages(database, scene, list(starts))
    events = [_event(sent[who], kind) for who, kind in story]
    for start in range(0, len(events), 3):
        await _keep(database, events[start : start + 3])
        await _apply(database)
    return [await _state(database, one) for one in sent]


@given(
    starts=st.lists(st.sampled_from(["queued", "sending", "uncertain", "accepted", "failed"]), min_size=3, max_size=3),
    story=_STORIES,
    data=st.data(),
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_order_and_repetition_ends_the_same(
    database: Database, starts: list[str], story: list[tuple[int, str]], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(story + data.draw(st.lists(st.sampled_from(story), max_size=4))))
    scene, other = await add_scene(database), await add_scene(database)
    expected = [State(start) for start in starts]
    for who, kind in story:
        reported = STATE_AFTER.get(EventKind(kind))
        expected[who] = after_event(expected[who], reported) if reported else expected[who]
    assert await _play(database, scene, starts, story) == expected
    assert await _play(database, other, starts, again) == expected
    for run_id in (scene.run_id, other.run_id):
        rows = await fetch(
            database,
            """
            SELECT state, reason, sum(delta)::int FROM notifier.tallies WHERE run_id = $1
            GROUP BY 1, 2 HAVING sum(delta) <> 0
            """,
            run_id,
        )
        assert {str(state): n for state, _, n in rows} == Counter(expected)
        assert all(n == 1 or reason == "" for _, reason, n in rows)
