"""Stops above a run: which are in force, and the account of what they hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from notifier.domain.errors import NotFound
from notifier.domain.stop import Extent, Reckoning, Scope, Stop, reckon
from notifier.store.database import Tx
from notifier.store.messages.fragments import GATE, STOPPED, STOPPED_CHANNELS

_STOP = "id, scope, which, spares_emergencies, reason, stopped_by, at, lifted_at, lifted_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run a stop holds, and its messages within the stop's extent by state."""

    id: int
    campaign_key: str
    state: str
    drill: bool
    counts: Mapping[str, int] = field(repr=False)

    @property
    def reckoning(self) -> Reckoning:
        """What became of them."""
        return reckon(self.counts)


async def gate_all_claims(tx: Tx) -> None:
    """Wait for the claims that are being made and hold up new ones until the transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({GATE})")


async def add_stop(tx: Tx, team_id: int, extent: Extent, *, reason: str, by: str) -> tuple[Stop, bool]:
    """The stop of this extent, and whether it is a new one; whoever stops what is stopped gets the first."""
    row = await tx.fetchrow(
        f"""
        INSERT INTO notifier.stops AS s (team_id, scope, which, spares_emergencies, reason, stopped_by)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (team_id, scope, which, spares_emergencies) WHERE lifted_at IS NULL DO UPDATE SET reason = s.reason
        RETURNING {_STOP}, xmax = 0 AS is_new
        """,
        team_id,
        extent.scope,
        extent.which,
        extent.spares_emergencies,
        reason,
        by,
    )
    facts = dict(row)
    is_new: bool = facts.pop("is_new")
    return _read(facts), is_new


async def list_in_force(tx: Tx, team_id: int) -> list[Stop]:
    """What holds now, the oldest first."""
    rows = await tx.fetch(
        f"SELECT {_STOP} FROM notifier.stops WHERE team_id = $1 AND lifted_at IS NULL ORDER BY id", team_id
    )
    return [_read(row) for row in rows]


async def list_lifted(tx: Tx, team_id: int, *, limit: int) -> list[Stop]:
    """What held before, the newest first."""
    rows = await tx.fetch(
        f"SELECT {_STOP} FROM notifier.stops WHERE team_id = $1 AND lifted_at IS NOT NULL ORDER BY id DESC LIMIT $2",
        team_id,
        limit,
    )
    return [_read(row) for row in rows]


async def get_stop(tx: Tx, team_id: int, stop_id: int, *, lock: bool = False) -> Stop:
    """The stop, locked against other writers if asked; `NotFound` where the team has none of this number."""
    row = await tx.fetchrow(
        f"SELECT {_STOP} FROM notifier.stops WHERE team_id = $1 AND id = $2 {'FOR UPDATE' if lock else ''}",
        team_id,
        stop_id,
    )
    if row is None:
        raise NotFound(f"there is no stop {stop_id}")
    return _read(row)


async def set_lifted(tx: Tx, stop_id: int, by: str) -> None:
    """It holds nothing any more."""
    await tx.execute("UPDATE notifier.stops SET lifted_at = notifier.now(), lifted_by = $2 WHERE id = $1", stop_id, by)


async def is_held(tx: Tx, run_id: int, channel: str, lane: int) -> bool:
    """Whether a stop above the run holds its messages of this channel and lane."""
    found: bool = await tx.fetchval(
        f"""
        SELECT {STOPPED.format(lane="$3::int")} OR $2 = ANY ({STOPPED_CHANNELS.format(lane="$3::int")})
        FROM notifier.runs r WHERE r.id = $1
        """,
        run_id,
        channel,
        lane,
    )
    return found


async def list_held(tx: Tx, team_id: int, extent: Extent, *, since: datetime | None = None) -> list[Held]:
    """Runs that go out or are stopped within this extent, and those that ended `since`; the newest first."""
    rows = await tx.fetch(
        """
        SELECT r.id, r.campaign_key, r.state, r.drill, jsonb_object_agg(c.state, c.count) AS counts
        FROM notifier.runs r CROSS JOIN LATERAL (
            SELECT t.state, sum(t.delta) AS count FROM notifier.tallies t
            JOIN notifier.run_steps s ON s.run_id = t.run_id AND s.step = t.step
            WHERE t.run_id = r.id AND ($2 <> 'channel' OR t.channel = $3) AND NOT ($4 AND s.lane = 1)
            GROUP BY t.state HAVING sum(t.delta) <> 0) AS c
        WHERE r.team_id = $1 AND (r.state IN ('running', 'stopped') OR r.ended_at >= $5)
            AND ($2 <> 'campaign' OR r.campaign_key = $3)
        GROUP BY r.id ORDER BY r.id DESC
        """,
        team_id,
        extent.scope.value,
        extent.which,
        extent.spares_emergencies,
        since,
    )
    return [Held(**dict(row)) for row in rows]


def _read(row: Any) -> Stop:
    facts = dict(row)
    extent = Extent(
        scope=Scope(facts.pop("scope")),
        which=facts.pop("which"),
        spares_emergencies=facts.pop("spares_emergencies"),
    )
    return Stop(extent=extent, **facts)
