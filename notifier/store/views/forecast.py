"""How many of an audience a channel reaches, judged as the claim would judge now, and how fast it went of late."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from notifier.store.audience import Fragment
from notifier.store.database import Tx
from notifier.store.messages.fragments import FIRST_WAY

FIRST = 5
"""The number of the first parameter of `where`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Contacts meant on one channel; `refused` is reason → contacts.

    The reachable ones by what their records say, "" = nothing: `locales` and `zones`.
    """

    channel: str
    meant: int
    refused: Mapping[str, int]
    locales: Mapping[str, int] = field(default_factory=dict)
    zones: Mapping[str, int] = field(default_factory=dict)

    @property
    def reachable(self) -> int:
        """Those nothing speaks against."""
        return self.meant - sum(self.refused.values())


_EVERY = """
    CROSS JOIN unnest($4::text[]) AS way(channel)
    LEFT JOIN notifier.addresses a ON a.contact_id = c.id AND a.channel = way.channel
"""
_FIRST_POSSIBLE = FIRST_WAY.format(channels="$4", team="c.team_id")


async def count_reach(
    tx: Tx,
    where: Fragment,
    *,
    channels: Sequence[str],
    pick_first: bool,
    topic: str,
    consent: str,
    overrides_opt_out: bool,
) -> list[Reach]:
    """By channel in the given order; the parameters of `where` are numbered from `FIRST`."""
    rows = await tx.fetch(
        f"""
        WITH step AS (SELECT $1::text AS topic, $2::text AS consent, $2 = 'obeys-channel-stop' AND $3 AS overridden)
        SELECT way.channel, CASE
            WHEN a.address IS NULL THEN 'no-address'
            WHEN u.reason IS NOT NULL AND NOT (u.reason = 'opt-out' AND step.overridden) THEN 'suppressed: ' || u.reason
            WHEN w.act = 'opt-out' AND NOT step.overridden THEN 'opted-out'
            WHEN t.act = 'opt-out' AND step.consent <> 'obeys-channel-stop' THEN 'opted-out'
            WHEN step.consent = 'needs-opt-in' AND w.act IS DISTINCT FROM 'opt-in' AND t.act IS DISTINCT FROM 'opt-in'
                THEN 'no-consent'
            ELSE '' END AS reason, c.locale, c.zone, count(*) AS n
        FROM step CROSS JOIN notifier.contacts c
        {_FIRST_POSSIBLE if pick_first else _EVERY}
        LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
        LEFT JOIN notifier.consent_states w ON w.contact_id = c.id AND w.channel = way.channel AND w.topic = ''
        LEFT JOIN notifier.consent_states t ON t.contact_id = c.id AND t.channel = way.channel AND t.topic = step.topic
            AND step.topic <> ''
        WHERE {where.sql} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2
        """,
        topic,
        consent,
        overrides_opt_out,
        list(channels),
        *where.params,
    )
    return [_sum(channel, [row for row in rows if row["channel"] == channel]) for channel in channels]


def _sum(channel: str, rows: Sequence[Mapping[str, Any]]) -> Reach:
    refused, locales, zones = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        if row["reason"]:
            refused[row["reason"]] += row["n"]
        else:
            locales[row["locale"]] += row["n"]
            zones[row["zone"]] += row["n"]
    return Reach(
        channel=channel,
        meant=sum(row["n"] for row in rows),
        refused=dict(refused),
        locales=dict(locales),
        zones=dict(zones),
    )


async def measure_speeds(tx: Tx, team_id: int) -> dict[str, float]:
    """Channel → messages a second, as the last five runs went: the median of their hours with 20 messages or more."""
    rows = await tx.fetch(
        """
        WITH last AS (SELECT id FROM notifier.runs WHERE team_id = $1 AND frozen_at IS NOT NULL AND NOT drill
            ORDER BY frozen_at DESC LIMIT 5),
        hours AS (
            SELECT m.channel, count(*) / greatest(extract(epoch FROM max(m.accepted_at) - min(m.accepted_at)), 1) AS speed
            FROM last JOIN notifier.messages m ON m.run_id = last.id
            WHERE m.accepted_at IS NOT NULL
            GROUP BY m.channel, m.run_id, date_trunc('hour', m.accepted_at) HAVING count(*) >= 20)
        SELECT channel, percentile_cont(0.5) WITHIN GROUP (ORDER BY speed) AS speed FROM hours GROUP BY channel
        """,
        team_id,
    )
    return {row["channel"]: float(row["speed"]) for row in rows}
