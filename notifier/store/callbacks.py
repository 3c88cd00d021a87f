"""Callbacks kept once, and what they change: events, states, tallies, suppressions."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import accumulate

import asyncpg

from notifier.store.database import Tx


class NoPartition(Exception):
    """The day has no partition yet: make it in a new transaction and try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCallback:
    """A verified callback as it came in."""

    dedupe_key: bytes = field(repr=False)
    provider: str
    account: str
    url: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCallback:
    """A callback to be applied; `tries` counts the earlier attempts."""

    day: date
    id: int
    provider: str
    account: str
    url: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    received_at: datetime
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """A callback that could not be applied whole; `after_s` None = it stays, with its problem, for a person."""

    day: date
    id: int
    after_s: float | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedMessage:
    """A message whose row is ours until the transaction ends."""

    run_id: int
    id: int
    step: str
    channel: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """One row of `events`."""

    run_id: int
    message_id: int
    event_key: str
    kind: str
    at: datetime
    code: str
    reason: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """What the events make of one message."""

    message: LockedMessage
    to_state: str
    reason: str
    took_at: datetime | None  # when the provider had it, None where the new state does not say that


async def keep_callback(tx: Tx, new: NewCallback) -> bool:
    """Keep it; False where the same one was kept today. `NoPartition` ends the transaction."""
    try:
        kept = await tx.fetchval(
            """
            INSERT INTO notifier.callbacks (dedupe_key, provider, account, url, content_type, body)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
            """,
            new.dedupe_key,
            new.provider,
            new.account,
            new.url,
            new.content_type,
            new.body,
        )
    except asyncpg.CheckViolationError as error:
        raise NoPartition from error
    return kept is not None


async def make_today(tx: Tx) -> None:
    """The partition of this day; harmless when there is one."""
    await tx.execute("SELECT notifier.make_day(current_date)")


async def take_callbacks(tx: Tx, limit: int, max_bytes: int) -> list[StoredCallback]:
    """Callbacks whose time has come, oldest first, locked; those of another worker are passed over.

    Up to `limit`, and no more than `max_bytes` of bodies beyond the first one: one body may hold a thousand events.
    """
    due = await tx.fetch(
        """
        SELECT day, id, octet_length(body) AS size FROM notifier.callbacks
        WHERE applied_at IS NULL AND try_at <= now() ORDER BY try_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
        """,
        limit,
    )
    totals = list(accumulate(row["size"] for row in due))
    fitting = due[: max(1, bisect_right(totals, max_bytes))]
    rows = await tx.fetch(
        """
        SELECT c.day, c.id, provider, account, url, content_type, body, received_at, tries FROM notifier.callbacks c
        JOIN unnest($1::date[], $2::bigint[]) AS due (day, id) ON c.day = due.day AND c.id = due.id ORDER BY c.try_at, c.id
        """,
        [row["day"] for row in fitting],
        [row["id"] for row in fitting],
    )
    return [StoredCallback(**dict(row)) for row in rows]


async def mark_applied(tx: Tx, callbacks: Sequence[StoredCallback]) -> None:
    """They are done."""
    await tx.execute(
        """
        UPDATE notifier.callbacks AS c SET applied_at = (SELECT notifier.now()), problem = '', tries = tries + 1
        FROM unnest($1::date[], $2::bigint[]) AS done (day, id) WHERE c.day = done.day AND c.id = done.id
        """,
        [callback.day for callback in callbacks],
        [callback.id for callback in callbacks],
    )
    # Last: whoever else applies callbacks waits for this row until we commit.
    await tx.execute(
        """
        INSERT INTO notifier.counters AS c VALUES ('callbacks_applied', $1)
        ON CONFLICT ON CONSTRAINT counters_pk DO UPDATE SET value = c.value + excluded.value
        """,
        len(callbacks),
    )


async def postpone(tx: Tx, postponed: Sequence[Postponed]) -> None:
    """Try them later, or never by themselves."""
    await tx.execute(
        """
        UPDATE notifier.callbacks AS c
        SET tries = c.tries + 1, problem = later.problem,
            try_at = coalesce(now() + make_interval(secs => later.after_s), 'infinity')
        FROM unnest($1::date[], $2::bigint[], $3::float8[], $4::text[]) AS later (day, id, after_s, problem)
        WHERE c.day = later.day AND c.id = later.id
        """,
        [one.day for one in postponed],
        [one.id for one in postponed],
        [one.after_s for one in postponed],
        [one.problem for one in postponed],
    )


async def lock_messages(tx: Tx, ids: Sequence[tuple[int, int]]) -> list[LockedMessage]:
    """The messages (run, id) there are, locked in that order; the rest is left out."""
    rows = await tx.fetch(
        """
        SELECT m.run_id, m.id, m.step, m.channel, m.state, m.reason FROM notifier.messages m
        JOIN unnest($1::bigint[], $2::bigint[]) AS wanted (run_id, id) ON m.run_id = wanted.run_id AND m.id = wanted.id
        WHERE m.run_id = ANY (ARRAY(SELECT DISTINCT unnest($1::bigint[]))) ORDER BY m.run_id, m.id FOR UPDATE OF m
        """,
        [run_id for run_id, _ in ids],
        [message_id for _, message_id in ids],
    )
    return [LockedMessage(**dict(row)) for row in rows]


async def add_events(tx: Tx, events: Sequence[NewEvent]) -> set[tuple[int, int, str]]:
    """Add what is new; returns (run, message, event key) of those."""
    rows = await tx.fetch(
        """
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, at, code, reason, source)
        SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[],
                             $6::text[], $7::text[], $8::text[])
        ON CONFLICT DO NOTHING RETURNING run_id, message_id, event_key
        """,
        [event.run_id for event in events],
        [event.message_id for event in events],
        [event.event_key for event in events],
        [event.kind for event in events],
        [event.at for event in events],
        [event.code for event in events],
        [event.reason for event in events],
        [event.source for event in events],
    )
    return {(row["run_id"], row["message_id"], row["event_key"]) for row in rows}


async def change_states(tx: Tx, changes: Sequence[StateChange]) -> None:
    """Write the new states of locked messages with their tallies: one less of the old, one more of the new."""
    await tx.execute(
        """
        UPDATE notifier.messages AS m
        SET state = w.to_state, reason = w.reason, changed_at = (SELECT notifier.now()),
            accepted_at = coalesce(m.accepted_at, w.took_at)
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[])
            AS w (run_id, id, to_state, reason, took_at)
        WHERE m.run_id = w.run_id AND m.id = w.id
        """,
        [change.message.run_id for change in changes],
        [change.message.id for change in changes],
        [change.to_state for change in changes],
        [change.reason for change in changes],
        [change.took_at for change in changes],
    )
    await _add_tallies(tx, changes)


async def _add_tallies(tx: Tx, changes: Sequence[StateChange]) -> None:
    deltas: Counter[tuple[int, str, str, str, str]] = Counter()
    for change in changes:
        one = change.message
        deltas[one.run_id, one.step, one.channel, one.state, _tallied(one.state, one.reason)] -= 1
        deltas[one.run_id, one.step, one.channel, change.to_state, _tallied(change.to_state, change.reason)] += 1
    rows = [(*place, delta) for place, delta in deltas.items() if delta]
    await tx.execute(
        """
        INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


def _tallied(state: str, reason: str) -> str:
    return reason if state in {"failed", "refused"} else ""


async def heal_refs(tx: Tx, refs: Sequence[tuple[int, int, str]]) -> None:
    """The provider's own id of a message (run, id, ref), where its answer to the sending was lost."""
    await tx.execute(
        """
        UPDATE notifier.messages AS m SET provider_ref = healed.ref
        FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS healed (run_id, id, ref)
        WHERE m.run_id = healed.run_id AND m.id = healed.id AND m.run_id = ANY ($1) AND m.provider_ref = ''
        """,
        [run_id for run_id, _, _ in refs],
        [message_id for _, message_id, _ in refs],
        [ref for _, _, ref in refs],
    )


async def suppress_addresses(tx: Tx, found: Sequence[tuple[int, int, str, str]]) -> None:
    """Block the addresses of messages (run, id, reason, source); the first reason stays, an opt-out yields.

    Only an opt-out may be overridden or taken back: it must not hide that the address is bad.
    """
    await tx.execute(
        """
        INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, source)
        SELECT DISTINCT ON (m.team_id, m.address_key) m.team_id, m.address_key, m.channel, bad.reason, bad.source
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS bad (run_id, id, reason, source)
        JOIN notifier.messages m ON m.run_id = bad.run_id AND m.id = bad.id AND m.run_id = ANY ($1)
        WHERE m.address_key IS NOT NULL ORDER BY m.team_id, m.address_key, bad.reason
        ON CONFLICT ON CONSTRAINT suppressions_pk DO UPDATE SET reason = excluded.reason, source = excluded.source,
            at = excluded.at WHERE suppressions.reason = 'opt-out'
        """,
        [run_id for run_id, _, _, _ in found],
        [message_id for _, message_id, _, _ in found],
        [reason for _, _, reason, _ in found],
        [source for _, _, _, source in found],
    )


async def opt_out_contacts(tx: Tx, found: Sequence[tuple[int, int, datetime, str]]) -> None:
    """The contacts of messages (run, id, at, source) told the carrier to stop: out of the whole channel.

    Their addresses are blocked as well, also those of contacts erased meanwhile.
    """
    columns = (
        [run_id for run_id, _, _, _ in found],
        [message_id for _, message_id, _, _ in found],
        [at for _, _, at, _ in found],
        [source for _, _, _, source in found],
    )
    await tx.execute(
        """
        INSERT INTO notifier.consents (contact_id, channel, act, source, at)
        SELECT m.contact_id, m.channel, 'opt-out', told.source, told.at
        FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[]) AS told (run_id, id, at, source)
        JOIN notifier.messages m ON m.run_id = told.run_id AND m.id = told.id AND m.run_id = ANY ($1)
        JOIN notifier.contacts c ON c.id = m.contact_id ON CONFLICT DO NOTHING
        """,
        *columns,
    )
    await tx.execute(
        """
        INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, source)
        SELECT m.team_id, m.address_key, m.channel, 'opt-out', min(told.source)
        FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[]) AS told (run_id, id, at, source)
        JOIN notifier.messages m ON m.run_id = told.run_id AND m.id = told.id AND m.run_id = ANY ($1)
        LEFT JOIN notifier.consent_states s ON s.contact_id = m.contact_id AND s.channel = m.channel AND s.topic = ''
        WHERE m.address_key IS NOT NULL AND s.act IS DISTINCT FROM 'opt-in'  -- a report may come after a newer opt-in
        GROUP BY m.team_id, m.address_key, m.channel ORDER BY m.team_id, m.address_key
        ON CONFLICT DO NOTHING
        """,
        *columns,
    )
