"""Claim: take due messages of one run, check everything that may forbid them, commit `sending`."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from notifier.domain.message import MessageId, RunId
from notifier.store.database import Tx
from notifier.store.messages.fragments import FREE, GATE, HAS_FREE, STOPPED, STOPPED_CHANNELS

LEASE_S = 120
BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message this worker holds: the contact's values are fixed in it now."""

    id: MessageId
    step: str
    channel: str
    occurrence: int
    attempts: int
    account: str
    address: str = field(repr=False)
    variables: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Any] | None = field(repr=False)
    invitation_id: int | None
    expires_at: datetime
    claimed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How much of what is due a claim takes: by due time, after where the last one ended, of these channels."""

    limit: int = BATCH
    after: tuple[datetime, int] | None = None
    channels: Sequence[str] | None = None  # None = all


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRun:
    """A run with work in a lane. Suspects were held by a worker that died: they are claimed one by one."""

    id: RunId
    has_suspects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one claim took and what it settled on the way."""

    claim_id: int
    run_id: RunId
    begun: bool  # False: a suspect, and the lease does not say yet that it may have left
    messages: tuple[Claimed, ...]
    settled: int  # refused, expired, deferred by the claim itself
    cursor: tuple[datetime, int] | None  # continue after this; None = nothing was due
    claimed_s: float = field(default_factory=time.monotonic)  # before the commit: a stop binds from there


async def list_lane_runs(tx: Tx, lane: int) -> list[LaneRun]:
    """Running runs that have a message of this lane due now which no stop holds."""
    rows = await tx.fetch(
        f"""
        SELECT r.id, EXISTS (SELECT 1 FROM notifier.messages q WHERE q.run_id = r.id AND q.lane = $1
            AND q.state = 'queued' AND q.crashes > 0 AND q.due_at <= (SELECT notifier.now())) AS has_suspects
        FROM notifier.runs r
        CROSS JOIN LATERAL (SELECT {STOPPED_CHANNELS.format(lane="$1")} AS channels OFFSET 0) AS held
        CROSS JOIN LATERAL (
            SELECT 1 FROM notifier.messages m
            WHERE m.run_id = r.id AND m.lane = $1 AND m.state = 'queued' AND m.due_at <= (SELECT notifier.now())
                AND m.channel <> ALL (held.channels) LIMIT 1) AS due
        WHERE r.state = 'running' AND NOT {STOPPED.format(lane="$1")}
            AND {HAS_FREE}
        ORDER BY r.id
        """,
        lane,
    )
    return [LaneRun(id=RunId(row["id"]), has_suspects=row["has_suspects"]) for row in rows]


# What is known of the messages `due` of run $1 now, and whether one by itself may go: asked by the claim, and again
# before the wire. "" = it may. Each step by itself, or the verdict and the hours in it are reckoned several times over;
# the hours once per zone, for they take as long as all the rest.
_LOOK = """
house AS MATERIALIZED (SELECT drill, notifier.now() AS now FROM notifier.runs WHERE id = $1),
known AS MATERIALIZED (
    SELECT d.*, c.name, c.locale, c.attributes, a.address, a.address_key, u.reason AS suppressed,
        s.consent, w.act AS channel_act, t.act AS topic_act, s.open_from, s.open_until, coalesce(c.zone, '') AS zone,
        s.consent = 'obeys-channel-stop' AND {override} AS overridden, h.now,
        h.drill AND (d.contact_id IS NULL OR c.kind = 'customer') AS outside  -- an exercise stays in the house
    FROM due d CROSS JOIN house h JOIN notifier.run_steps s ON s.run_id = $1 AND s.step = d.step
    LEFT JOIN notifier.contacts c ON c.id = d.contact_id
    LEFT JOIN notifier.addresses a ON a.contact_id = d.contact_id AND a.channel = d.channel
    LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
    LEFT JOIN notifier.consent_states w ON w.contact_id = d.contact_id AND w.channel = d.channel AND w.topic = ''
    LEFT JOIN notifier.consent_states t ON t.contact_id = d.contact_id AND t.channel = d.channel AND t.topic = s.topic
        AND s.topic <> ''),
hours AS MATERIALIZED (
    SELECT z.zone, z.open_from, z.open_until,
        notifier.next_open(z.now, notifier.zone_or(z.zone, {zone}), z.open_from, z.open_until) AS open_at
    FROM (SELECT DISTINCT zone, open_from, open_until, now FROM known WHERE open_from IS NOT NULL) AS z),
looked AS MATERIALIZED (
    SELECT k.*, o.open_at, CASE
        WHEN k.outside THEN 'drill'
        WHEN k.expires_at <= k.now THEN 'expired'
        WHEN k.contact_id IS NULL THEN ''  -- a post
        WHEN k.address IS NULL THEN 'no-address'
        WHEN k.suppressed IS NOT NULL AND NOT (k.suppressed = 'opt-out' AND k.overridden)
            THEN 'suppressed: ' || k.suppressed
        WHEN k.channel_act = 'opt-out' AND NOT k.overridden THEN 'opted-out'
        WHEN k.topic_act = 'opt-out' AND k.consent <> 'obeys-channel-stop' THEN 'opted-out'
        WHEN k.consent = 'needs-opt-in' AND k.channel_act IS DISTINCT FROM 'opt-in'
            AND k.topic_act IS DISTINCT FROM 'opt-in' THEN 'no-consent'
        WHEN o.open_at > k.now AND o.open_at >= k.expires_at THEN 'expired'
        WHEN o.open_at > k.now THEN 'quiet-hours'
        ELSE '' END AS alone
    FROM known k LEFT JOIN hours o ON o.zone = k.zone AND o.open_from = k.open_from
        AND o.open_until IS NOT DISTINCT FROM k.open_until)"""

_TAKE = f"""
WITH due AS (
    SELECT m.id, m.due_at, m.expires_at, m.contact_id, m.channel, m.step, m.occurrence, m.inputs
    FROM notifier.messages m
    WHERE m.run_id = $1 AND m.lane = $2 AND m.state = 'queued' AND m.due_at <= (SELECT notifier.now())
        AND m.crashes {{crashes}} AND ($10::text[] IS NULL OR m.channel = ANY ($10)) AND (m.due_at, m.id) > (coalesce($3::timestamptz, '-infinity'), $4::bigint)
        AND EXISTS (SELECT 1 FROM notifier.runs r WHERE r.id = $1 AND r.state = 'running'
            AND NOT {STOPPED.format(lane="$2")})
        AND m.channel <> ALL ((SELECT {STOPPED_CHANNELS.format(lane="$2")} FROM notifier.runs r WHERE r.id = $1)::text[])
    ORDER BY m.due_at, m.id LIMIT $5 FOR UPDATE OF m SKIP LOCKED),
{_LOOK.format(zone="$6", override="$7")},
-- Of the messages that may go, the first to an address goes; each request of the API is a message of its own.
judged AS (
    SELECT l.*, CASE
        WHEN l.alone = '' AND l.contact_id IS NOT NULL AND l.inputs IS NULL AND (
            row_number() OVER (PARTITION BY l.step, l.occurrence, l.channel, l.address_key, l.alone ORDER BY l.id) > 1
            OR EXISTS (SELECT 1 FROM notifier.messages o
                WHERE o.run_id = $1 AND o.step = l.step AND o.occurrence = l.occurrence AND o.channel = l.channel
                    AND o.address_key = l.address_key AND o.inputs IS NULL AND o.id <> l.id)) THEN 'duplicate-address'
        ELSE l.alone END AS verdict
    FROM looked l),
lease AS (
    INSERT INTO notifier.claims (worker, run_id, ids, alive_until, begun)
    SELECT $8, $1, array_agg(id), now() + make_interval(secs => $9), {{begun}} FROM judged WHERE verdict = '' HAVING count(*) > 0
    RETURNING id),
moved AS (
    UPDATE notifier.messages m SET
        state = CASE j.verdict WHEN '' THEN 'sending' WHEN 'quiet-hours' THEN 'queued' WHEN 'expired' THEN 'expired'
            ELSE 'refused' END,
        reason = CASE WHEN j.verdict IN ('quiet-hours', 'expired') THEN '' ELSE j.verdict END,
        due_at = CASE j.verdict WHEN 'quiet-hours' THEN j.open_at ELSE m.due_at END,
        address_key = CASE j.verdict WHEN '' THEN j.address_key ELSE m.address_key END,
        claim_id = CASE j.verdict WHEN '' THEN (SELECT id FROM lease) END,
        attempts = m.attempts + CASE j.verdict WHEN '' THEN 1 ELSE 0 END,
        variables = CASE WHEN j.verdict = '' AND m.variables IS NULL AND j.contact_id IS NOT NULL THEN
            jsonb_build_object('name', j.name, 'locale', j.locale, 'attributes', j.attributes)
            ELSE m.variables END,
        claimed_at = CASE j.verdict WHEN '' THEN (SELECT notifier.now()) ELSE m.claimed_at END,
        changed_at = (SELECT notifier.now())
    FROM judged j WHERE m.run_id = $1 AND m.id = j.id
    RETURNING m.id, m.step, m.channel, m.state, m.reason, m.occurrence, m.attempts, m.account, m.variables, m.inputs,
        m.expires_at, m.claimed_at, j.address, j.verdict, j.due_at),
noted AS (
    INSERT INTO notifier.events (at, run_id, message_id, event_key, kind, reason)
    SELECT (SELECT notifier.now()), $1, id, CASE verdict WHEN 'quiet-hours' THEN 'deferred:' || due_at ELSE state END,
        CASE verdict WHEN 'quiet-hours' THEN 'deferred' ELSE state END, verdict
    FROM moved WHERE verdict <> '' ON CONFLICT DO NOTHING),
counted AS (
    INSERT INTO notifier.tallies (run_id, step, channel, state, reason, delta)
    SELECT $1, step, channel, state, reason, count(*) FROM moved WHERE state <> 'queued'
        GROUP BY step, channel, state, reason
    UNION ALL
    SELECT $1, step, channel, 'queued', '', -count(*) FROM moved WHERE state <> 'queued' GROUP BY step, channel)
SELECT v.id, v.step, v.channel, v.occurrence, v.attempts, v.account, v.address, v.variables, v.inputs, v.expires_at, v.claimed_at,
    v.verdict, v.due_at, (SELECT id FROM lease) AS claim_id,
    (SELECT i.id FROM notifier.invitations i WHERE i.run_id = $1 AND i.message_id = v.id) AS invitation_id
FROM moved v
ORDER BY v.due_at, v.id
"""
_CLAIM = _TAKE.format(crashes="= 0", begun="true")
_CLAIM_SUSPECT = _TAKE.format(crashes="> 0", begun="false")
# A stop waits for claims that are being made, and none is made meanwhile: see `gate_claims` and `gate_all_claims`.
_ENTER = f"SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock_shared({GATE})"
_RACES = 5


async def claim_batch(
    tx: Tx,
    run_id: RunId,
    lane: int,
    *,
    worker: str,
    zone: str,
    override_opt_out: bool,
    portion: Portion | None = None,
) -> Batch:
    """Claim due messages of a run and lane; commit before any side effect.

    Refuses, expires and defers what may not go now. `override_opt_out`: an emergency of a bank that allows it.
    """
    portion = portion or Portion()
    due_at, message_id = portion.after or (None, 0)
    values = (lane, due_at, message_id, portion.limit, zone, override_opt_out, worker)
    rows = await _take(tx, _CLAIM, run_id, *values, channels=portion.channels)
    return _read_batch(run_id, rows, begun=True)


async def claim_suspect(
    tx: Tx,
    run_id: RunId,
    lane: int,
    *,
    worker: str,
    zone: str,
    override_opt_out: bool,
    channels: Sequence[str] | None = None,
) -> Batch:
    """Claim one message that was held by a worker that died, and no other with it; see `begin_suspect`."""
    values = (lane, None, 0, 1, zone, override_opt_out, worker)
    rows = await _take(tx, _CLAIM_SUSPECT, run_id, *values, channels=channels)
    return _read_batch(run_id, rows, begun=False)


async def _take(tx: Tx, sql: str, run_id: RunId, *values: object, channels: Sequence[str] | None = None) -> list[Any]:
    await tx.execute(_ENTER, run_id)
    for race in range(_RACES):
        try:
            async with tx.transaction():
                rows: list[Any] = await tx.fetch(sql, run_id, *values, float(LEASE_S), channels)
            break
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            # Two workers claimed the same address at the same moment; the loser sees the winner's row next time.
            if race == _RACES - 1:
                raise
    return rows


def _read_batch(run_id: RunId, rows: list[Any], *, begun: bool) -> Batch:
    taken = tuple(
        Claimed(
            id=row["id"],
            step=row["step"],
            channel=row["channel"],
            occurrence=row["occurrence"],
            attempts=row["attempts"],
            account=row["account"],
            address=row["address"] or "",
            variables=row["variables"] or {},
            inputs=row["inputs"],
            invitation_id=row["invitation_id"],
            expires_at=row["expires_at"],
            claimed_at=row["claimed_at"],
        )
        for row in rows
        if not row["verdict"]
    )
    return Batch(
        claim_id=rows[0]["claim_id"] or 0 if rows else 0,
        run_id=run_id,
        begun=begun,
        messages=taken,
        settled=len(rows) - len(taken),
        cursor=(rows[-1]["due_at"], rows[-1]["id"]) if rows else None,
    )


_STILL = f"""
WITH due AS (
    SELECT m.id, m.expires_at, m.contact_id, m.channel, m.step, m.address_key AS claimed_key
    FROM notifier.messages m JOIN notifier.runs r ON r.id = m.run_id
    WHERE m.run_id = $1 AND m.id = ANY ($2) AND m.claim_id = $3 AND m.state = 'sending' AND r.state = 'running'
        AND {FREE}),
{_LOOK.format(zone="$4", override="$5")}
SELECT l.id FROM looked l WHERE l.alone = '' AND l.address_key IS NOT DISTINCT FROM l.claimed_key
"""


async def list_still_going(
    tx: Tx, run_id: RunId, claim_id: int, ids: Collection[MessageId], *, zone: str, override_opt_out: bool
) -> set[MessageId]:
    """Which of these the claim would take again as everything stands now, to the same address.

    Not those it would not, and none where the lease was lost.
    """
    rows = await tx.fetch(_STILL, run_id, list(ids), claim_id, zone, override_opt_out)
    return {MessageId(row["id"]) for row in rows}


async def may_still_go(
    tx: Tx, run_id: RunId, claim_id: int, message_id: MessageId, *, zone: str, override_opt_out: bool
) -> bool:
    """The same of one message."""
    return bool(
        await list_still_going(tx, run_id, claim_id, [message_id], zone=zone, override_opt_out=override_opt_out)
    )


async def begin_suspect(tx: Tx, claim_id: int) -> bool:
    """Commit this before a suspect leaves: dead from here on, it is in doubt. False where the lease was lost."""
    status: str = await tx.execute("UPDATE notifier.claims SET begun = true WHERE id = $1", claim_id)
    return status != "UPDATE 0"


async def extend_lease(tx: Tx, claim_id: int) -> bool:
    """Keep a batch for longer; False where the sweep already took it away."""
    status: str = await tx.execute(
        "UPDATE notifier.claims SET alive_until = now() + make_interval(secs => $2) WHERE id = $1",
        claim_id,
        float(LEASE_S),
    )
    return status != "UPDATE 0"
