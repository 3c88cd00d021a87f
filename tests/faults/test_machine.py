"""The ledger under any order of what can happen to it: every move legal, every tally right, every no obeyed."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, event
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from notifier.delivery.callbacks import apply_callbacks, keep_callback
from notifier.delivery.settle import decide, settle_doubts
from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.doubt import Verdict
from notifier.domain.errors import Conflict
from notifier.domain.keys import derive_keys
from notifier.domain.links import message_token
from notifier.domain.message import MessageId, RunId, State
from notifier.domain.person import Person
from notifier.domain.stop import Extent, Scope
from notifier.domain.text import Localized
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.finish import end_finished_runs
from notifier.planning.stops import stop_above
from notifier.providers.base import CallbackRequest, Dependencies
from notifier.providers.registry import open_provider
from notifier.settings import Settings
from notifier.store.database import Database, open_database
from notifier.store.messages.claim import Batch, may_still_go
from notifier.store.messages.record import Receipt, record_receipts
from tests.builders import (
    assert_tallies_agree,
    claim,
    execute,
    fetch,
    launch_and_plan,
    opt_out,
    pass_time,
    set_now,
)
from tests.faults.scene import MARKETING, SERVICE, assert_moves_legal, set_scene, watched_moves

T = TypeVar("T")
_LANES = {SERVICE: 3, MARKETING: 4}
EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "25"))
_PEOPLE = 4
_OUTCOMES = st.sampled_from([State.ACCEPTED, State.ACCEPTED, State.QUEUED, State.FAILED, State.UNCERTAIN])
_REPORTS = (
    "accepted",
    "sent",
    "delivered",
    "bounced-hard",
    "bounced-soft",
    "failed",
    "complained",
    "opted-out",
    "opened",
)
_ZONE = "Asia/Shanghai"


class _House:
    """The database on a loop of its own, for rules that are plain functions."""

    def __init__(self, settings: Settings, runner: asyncio.Runner, database: Database) -> None:
        self.settings, self.runner, self.database = settings, runner, database
        self.links = derive_keys(settings.secret).links
        account = Account(key="email", title=Localized({}), channel=Channel.EMAIL, provider="sandbox")
        self.providers = {"email": open_provider(account, {}, deps=Dependencies(signing_key=b"k" * 32))}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.do(fetch(self.database, sql, *values))

    async def begin(self) -> dict[str, RunId]:
        """Nobody opted out, no run yet; then one of each campaign."""
        await execute(
            self.database,
            """
            TRUNCATE notifier.messages, notifier.events, notifier.recipients, notifier.tallies, notifier.claims,
                notifier.suppressions, notifier.callbacks, notifier.stops, notifier.runs CASCADE
            """,
        )
        await execute(self.database, "DELETE FROM notifier.consents WHERE act = 'opt-out'")
        await execute(self.database, "UPDATE notifier.consent_states SET act = 'opt-in', at = '2026-01-01Z'")
        await execute(self.database, "TRUNCATE public.moves")
        await set_now(self.database)
        return {key: RunId((await launch_and_plan(self.database, key)).id) for key in _LANES}


@pytest.fixture
def house(database: Database, settings: Settings, tmp_path: Path) -> Iterator[_House]:
    """Its own pool, as the tests' pool belongs to the tests' loop; `database` empties everything afterwards."""
    del database
    with asyncio.Runner() as runner:
        opened = open_database(settings.database_url, max_connections=3)
        pool = runner.run(opened.__aenter__())
        runner.run(set_scene(pool, settings, tmp_path, people=_PEOPLE, port=1))
        watched = watched_moves(pool)
        runner.run(watched.__aenter__())
        try:
            yield _House(settings, runner, pool)
        finally:
            runner.run(watched.__aexit__(None, None, None))
            runner.run(opened.__aexit__(None, None, None))


class Ledger(RuleBasedStateMachine):
    """What is committed is kept beside it in plain sets; the database must never disagree."""

    house: _House

    @initialize()
    def begin(self) -> None:
        self.runs = self.house.do(self.house.begin())
        self.batches: list[Batch] = []
        self.told: list[tuple[RunId, MessageId]] = [
            (RunId(run), MessageId(number))
            for run, number in self.house.rows("SELECT run_id, id FROM notifier.messages ORDER BY run_id, id")
        ]
        assert len(self.told) == 2 * _PEOPLE
        self.opted_out: set[int] = set()
        self.stop: int | None = None

    # ── workers ───────────────────────────────────────────────────────────────────────────────────

    @rule(key=st.sampled_from(sorted(_LANES)), limit=st.integers(1, 3))
    def claim_some(self, key: str, limit: int) -> None:
        state = self._run_state(key)
        batch = self.house.do(claim(self.house.database, self.runs[key], _LANES[key], limit=limit))
        if not batch.messages:
            return
        event(f"claimed of a run that is {state}")
        assert state == "running", "nothing of a stopped run is claimed"
        assert self.stop is None, "nothing is claimed while everything is stopped"
        contacts = self.house.rows(
            "SELECT contact_id FROM notifier.messages WHERE run_id = $1 AND id = ANY ($2)",
            batch.run_id,
            [message.id for message in batch.messages],
        )
        assert not {contact for (contact,) in contacts} & self.opted_out, "nothing is claimed for who opted out"
        assert all(message.expires_at > message.claimed_at for message in batch.messages), "nothing is claimed late"
        self.batches.append(batch)

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), again=st.sampled_from([0.0, 400.0]))
    def record(self, data: st.DataObject, again: float) -> None:
        """Also of a batch whose lease was lost, also twice: the fence holds."""
        batch = data.draw(st.sampled_from(self.batches))
        receipts = [
            Receipt(id=one.id, state=data.draw(_OUTCOMES), reason="told", code="test", account="email", again_s=again)
            for one in batch.messages
        ]
        held = self.house.do(self._record(batch, receipts))
        event("recorded" if held else "recorded after the lease was lost")

    async def _record(self, batch: Batch, receipts: list[Receipt]) -> int:
        async with self.house.database.transaction() as tx:
            return await record_receipts(tx, batch.run_id, batch.claim_id, receipts)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def look_again(self, data: st.DataObject) -> None:
        """What the worker asks right before the wire."""
        batch = data.draw(st.sampled_from(self.batches))
        message = data.draw(st.sampled_from(batch.messages))
        if self.house.do(self._may_go(batch, message.id)):
            ((state, contact, late),) = self.house.rows(
                """
                SELECT state, contact_id, expires_at <= notifier.now() FROM notifier.messages
                WHERE run_id = $1 AND id = $2
                """,
                batch.run_id,
                message.id,
            )
            key = next(key for key, run in self.runs.items() if run == batch.run_id)
            assert (state, late, self.stop) == ("sending", False, None)
            assert self._run_state(key) == "running"
            assert contact not in self.opted_out

    async def _may_go(self, batch: Batch, message: MessageId) -> bool:
        async with self.house.database.transaction() as tx:
            return await may_still_go(tx, batch.run_id, batch.claim_id, message, zone=_ZONE, override_opt_out=False)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        """The worker of a batch is dead for two minutes."""
        batch = data.draw(st.sampled_from(self.batches))
        self.house.do(
            execute(
                self.house.database,
                "UPDATE notifier.claims SET alive_until = now() - interval '1 s' WHERE id = $1",
                batch.claim_id,
            )
        )

    @rule()
    def tick(self) -> None:
        self.house.do(settle_doubts(self.house.database))
        self.house.do(end_finished_runs(self.house.database))

    # ── providers ─────────────────────────────────────────────────────────────────────────────────

    @rule(data=st.data(), kind=st.sampled_from(_REPORTS), number=st.integers(1, 2))
    def report(self, data: st.DataObject, kind: str, number: int) -> None:
        """An event in any order, the same one also again."""
        run, message = data.draw(st.sampled_from(self.told))
        told = {"type": kind, "message": message_token(self.house.links, run, message), "id": f"{kind}-{number}"}
        self.house.do(self._report(told))
        if kind in ("opted-out", "complained", "bounced-hard"):
            ((contact,),) = self.house.rows(
                "SELECT contact_id FROM notifier.messages WHERE run_id = $1 AND id = $2", run, message
            )
            ((blocked,),) = self.house.rows(
                """
                SELECT EXISTS (SELECT 1 FROM notifier.suppressions s JOIN notifier.addresses a USING (address_key)
                    WHERE a.contact_id = $1)
                    OR EXISTS (SELECT 1 FROM notifier.consent_states WHERE contact_id = $1 AND act = 'opt-out')
                """,
                contact,
            )
            if blocked:
                self.opted_out.add(contact)

    async def _report(self, told: dict[str, str]) -> None:
        request = CallbackRequest(
            url="https://notify.example/hooks/sandbox/email",
            headers={"content-type": "application/json"},
            body=orjson.dumps([told]),
        )
        await keep_callback(self.house.database, provider="sandbox", account="email", request=request)
        await apply_callbacks(self.house.database, providers=self.house.providers, key=self.house.links)

    # ── people ────────────────────────────────────────────────────────────────────────────────────

    @rule(number=st.integers(1, _PEOPLE))
    def opt_out(self, number: int) -> None:
        ((contact,),) = self.house.rows("SELECT id FROM notifier.contacts WHERE external_id = $1", f"c{number}")
        self.house.do(opt_out(self.house.database, contact))
        self.opted_out.add(contact)

    @rule(key=st.sampled_from(sorted(_LANES)), act=st.sampled_from(["stop", "stop", "resume", "resume", "cancel"]))
    def control(self, key: str, act: str) -> None:
        self.house.do(self._control(self.runs[key], act))

    async def _control(self, run: RunId, act: str) -> None:
        acts: dict[str, Any] = {"stop": stop_run, "resume": resume_run, "cancel": cancel_run}
        try:
            async with self.house.database.transaction() as tx:
                await acts[act](tx, run, Person(name="test") if act == "resume" else "test")
        except Conflict:
            event(f"refused to {act}")

    @rule()
    def stop_or_go_on(self) -> None:
        self.stop = self.house.do(self._stop_or_go_on())

    async def _stop_or_go_on(self) -> int | None:
        async with self.house.database.transaction() as tx:
            if self.stop is None:
                extent = Extent(scope=Scope.EVERYTHING)
                return (await stop_above(tx, 1, extent, reason="test", by=Person(name="test"))).id
            await tx.execute("UPDATE notifier.stops SET lifted_at = notifier.now() WHERE id = $1", self.stop)
            return None

    @rule(key=st.sampled_from(sorted(_LANES)), verdict=st.sampled_from(list(Verdict)))
    def decide(self, key: str, verdict: Verdict) -> None:
        self.house.do(self._decide(self.runs[key], verdict))

    async def _decide(self, run: RunId, verdict: Verdict) -> None:
        try:
            async with self.house.database.transaction() as tx:
                await decide(tx, run, verdict, "test")
            event(f"decided {verdict}")
        except Conflict:
            pass

    @rule(minutes=st.sampled_from([6, 6, 30, 600, 1500, 4500]))
    def pass_time(self, minutes: int) -> None:
        self.house.do(pass_time(self.house.database, timedelta(minutes=minutes)))

    # ── what always holds ─────────────────────────────────────────────────────────────────────────

    @invariant()
    def tallies_are_counts(self) -> None:
        if hasattr(self, "runs"):
            self.house.do(assert_tallies_agree(self.house.database))

    @invariant()
    def every_move_was_legal(self) -> None:
        if hasattr(self, "runs"):
            self.house.do(assert_moves_legal(self.house.database))

    def _run_state(self, key: str) -> str:
        return str(self.house.rows("SELECT state FROM notifier.runs WHERE id = $1", self.runs[key])[0][0])


def test_the_ledger_stays_right_whatever_happens_in_whatever_order(house: _House) -> None:
    Ledger.house = house
    run_state_machine_as_test(
        Ledger,
        settings=bounds(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
