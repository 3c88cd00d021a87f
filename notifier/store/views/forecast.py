"""How many of an audience a channel reaches, judged as the claim would judge now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifier.store.audience import Fragment
from notifier.store.database import Tx
from notifier.store.messages.fragments import FIRST_WAY

FIRST = 5
"""The number of the first parameter of `where`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Contacts meant on one channel; `refused` is reason → contacts."""

    channel: str
    meant: int
    refused: Mapping[str, int]

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
            ELSE '' END AS reason, count(*) AS n
        FROM step CROSS JOIN notifier.contacts c
        {_FIRST_POSSIBLE if pick_first else _EVERY}
        LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
        LEFT JOIN notifier.consent_states w ON w.contact_id = c.id AND w.channel = way.channel AND w.topic = ''
        LEFT JOIN notifier.consent_states t ON t.contact_id = c.id AND t.channel = way.channel AND t.topic = step.topic
            AND step.topic <> ''
        WHERE {where.sql} GROUP BY 1, 2 ORDER BY 1, 2
        """,
        topic,
        consent,
        overrides_opt_out,
        list(channels),
        *where.params,
    )
    found: dict[str, dict[str, int]] = {channel: {} for channel in channels}
    for row in rows:
        found[row["channel"]][row["reason"]] = row["n"]
    return [
        Reach(
            channel=channel,
            meant=sum(reasons.values()),
            refused={reason: count for reason, count in reasons.items() if reason},
        )
        for channel, reasons in found.items()
    ]
