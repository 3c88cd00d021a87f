"""Callbacks: kept before the answer, applied to events and messages afterwards."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from notifier.domain.errors import InputError
from notifier.domain.event import STATE_AFTER, EventKind, ProviderEvent
from notifier.domain.links import LinkKind, read_link
from notifier.domain.message import SENT, State, after_event
from notifier.providers.base import CallbackRequest, Provider
from notifier.store import callbacks as store
from notifier.store.callbacks import LockedMessage, NewCallback, NewEvent, Postponed, StateChange, StoredCallback
from notifier.store.database import Database, Tx

BACKOFF_S = (5.0, 30.0, 120.0, 600.0)
"""Waits between the tries at a callback whose message is not there yet; after the last one it is kept as it is."""

_SUPPRESSES = {EventKind.BOUNCED_HARD: "hard-bounce", EventKind.COMPLAINED: "complaint"}
_REASON_STATES = {State.FAILED, State.BOUNCED}
_MAX_REF = 200
_MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of one callback, with the message it names."""

    callback: StoredCallback
    run_id: int
    message_id: int
    event: ProviderEvent

    @property
    def key(self) -> tuple[int, int, str]:
        """Of two accounts the same key means two events."""
        return self.run_id, self.message_id, f"{self.callback.account}:{self.event.event_key}"


@dataclass(slots=True)
class _Batch:
    told: list[Told] = field(default_factory=list)
    problems: dict[tuple[object, int], str] = field(default_factory=dict)  # callback → what is wrong for good
    unknown: set[tuple[object, int]] = field(default_factory=set)  # callbacks naming a message that is not there


async def keep_callback(database: Database, *, provider: str, account: str, request: CallbackRequest) -> bool:
    """Store a verified callback, durable when this returns; False where the same one is kept already."""
    new = NewCallback(
        dedupe_key=dedupe_key(account, request),
        provider=provider,
        account=account,
        url=request.url,
        content_type=request.headers.get("content-type", ""),
        body=request.body,
    )
    try:
        async with database.transaction() as tx:
            return await store.keep_callback(tx, new)
    except store.NoPartition:  # the tick makes them days ahead, unless nobody ticked
        async with database.transaction() as tx:
            await store.make_today(tx)
        async with database.transaction() as tx:
            return await store.keep_callback(tx, new)


def dedupe_key(account: str, request: CallbackRequest) -> bytes:
    """SHA-256 of account, query and body, 32 bytes; headers are left out: a repetition is signed anew."""
    parts = (account.encode(), urlsplit(request.url).query.encode(), request.body)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


async def apply_callbacks(
    database: Database, *, providers: Mapping[str, Provider], key: bytes, limit: int = 1000
) -> int:
    """Apply up to `limit` stored callbacks in one transaction; returns how many it took, 0 = none is due.

    `providers` maps an account's key to its opened provider, `key` signed the public ids. May run anywhere, any
    number of times, in any order: the same events give the same states and tallies.
    """
    async with database.transaction() as tx:
        taken = await store.take_callbacks(tx, limit, _MAX_BYTES)
        if taken:
            batch = _read_batch(taken, providers, key)
            await _apply(tx, batch)
            await _settle(tx, taken, batch)
        return len(taken)


def _read_batch(taken: Sequence[StoredCallback], providers: Mapping[str, Provider], key: bytes) -> _Batch:
    batch = _Batch()
    for callback in taken:
        try:
            events = _read(callback, providers)
        except InputError as error:
            batch.problems[callback.day, callback.id] = str(error)
            continue
        for event in events:
            numbers = read_link(key, LinkKind.MESSAGE, event.public_id)
            if numbers is None or len(numbers) != 2:
                batch.problems[callback.day, callback.id] = "an event names no message of ours"
            else:
                batch.told.append(Told(callback=callback, run_id=numbers[0], message_id=numbers[1], event=event))
    return batch


def _read(callback: StoredCallback, providers: Mapping[str, Provider]) -> tuple[ProviderEvent, ...]:
    provider = providers.get(callback.account)
    if provider is None or provider.name != callback.provider:
        raise InputError("account", f"{callback.account} is not configured any more")
    headers = {"content-type": callback.content_type}
    return provider.read_callback(CallbackRequest(url=callback.url, headers=headers, body=callback.body))


async def _apply(tx: Tx, batch: _Batch) -> None:
    ids = sorted({(told.run_id, told.message_id) for told in batch.told})
    locked = {(message.run_id, message.id): message for message in await store.lock_messages(tx, ids)}
    known = [told for told in batch.told if (told.run_id, told.message_id) in locked]
    batch.unknown = {
        (told.callback.day, told.callback.id) for told in batch.told if (told.run_id, told.message_id) not in locked
    }
    if not known:
        return
    added = await store.add_events(tx, [_event_row(told) for told in {told.key: told for told in known}.values()])
    if changes := list(_changes(known, locked)):
        await store.change_states(tx, changes)
    if refs := [(t.run_id, t.message_id, ref) for t in known if (ref := t.event.provider_ref[:_MAX_REF])]:
        await store.heal_refs(tx, refs)
    await _punish(tx, [told for told in known if told.key in added])


def _event_row(told: Told) -> NewEvent:
    run_id, message_id, event_key = told.key
    return NewEvent(
        run_id=run_id,
        message_id=message_id,
        event_key=event_key,
        kind=told.event.kind,
        at=told.event.at or told.callback.received_at,
        code=told.event.code,
        reason=told.event.reason,
        source=told.callback.account,
    )


def _changes(known: Iterable[Told], locked: Mapping[tuple[int, int], LockedMessage]) -> Iterable[StateChange]:
    """One change per message whose state rises: to where its events lead one after the other."""
    states = {place: State(message.state) for place, message in locked.items()}
    decisive: dict[tuple[int, int], Told] = {}
    for told in known:
        place, reported = (told.run_id, told.message_id), STATE_AFTER.get(told.event.kind)
        if reported is None or (state := after_event(states[place], reported)) == states[place]:
            continue
        states[place], decisive[place] = state, told
    for place, told in decisive.items():
        state, at = states[place], told.event.at or told.callback.received_at
        yield StateChange(
            message=locked[place],
            to_state=state,
            reason=(told.event.reason or told.event.code) if state in _REASON_STATES else "",
            took_at=at if state in SENT else None,
        )


async def _punish(tx: Tx, added: Sequence[Told]) -> None:
    """Only what is told for the first time: what a person lifts since is not put back by a repetition."""
    source = "callback of {}".format
    bad = [
        (told.run_id, told.message_id, reason, source(told.callback.account))
        for told in added
        if (reason := _SUPPRESSES.get(told.event.kind))
    ]
    if bad:
        await store.suppress_addresses(tx, bad)
    stops = [
        (told.run_id, told.message_id, told.event.at or told.callback.received_at, source(told.callback.account))
        for told in added
        if told.event.kind is EventKind.OPTED_OUT
    ]
    if stops:
        await store.opt_out_contacts(tx, stops)


async def _settle(tx: Tx, taken: Sequence[StoredCallback], batch: _Batch) -> None:
    done, postponed = [], []
    for callback in taken:
        place = (callback.day, callback.id)
        if problem := batch.problems.get(place):
            postponed.append(Postponed(day=callback.day, id=callback.id, after_s=None, problem=problem))
        elif place in batch.unknown:
            after_s = BACKOFF_S[callback.tries] if callback.tries < len(BACKOFF_S) else None
            problem = "an event names a message that is not there"
            postponed.append(Postponed(day=callback.day, id=callback.id, after_s=after_s, problem=problem))
        else:
            done.append(callback)
    if done:
        await store.mark_applied(tx, done)
    if postponed:
        await store.postpone(tx, postponed)
