"""How many of an audience a channel reaches, judged as the claim would judge now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from notifier.store.audience import Fragment
from notifier.store.database import Tx

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


_EVERY = "CROSS JOIN unnest($1::text[]) WITH ORDINALITY AS way(channel, rank)"
_FIRST_POSSIBLE = """
    CROSS JOIN LATERAL (
        SELECT w.channel, w.rank FROM unnest($1::text[]) WITH ORDINALITY AS w(channel, rank)
        LEFT JOIN notifier.addresses f ON f.contact_id = c.id AND f.channel = w.channel
        LEFT JOIN notifier.consent_states o ON o.contact_id = c.id AND o.channel = w.channel AND o.topic = ''
            AND o.act = 'opt-out'
        ORDER BY f.address IS NULL OR o.act IS NOT NULL, w.rank LIMIT 1) AS way
"""


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
        SELECT way.channel, min(way.rank) AS rank, CASE
            WHEN a.address IS NULL THEN 'no-address'
            WHEN u.reason IN ('invalid', 'hard-bounce', 'erasure') THEN 'suppressed: ' || u.reason
            WHEN $3 = 'obeys-channel-stop' AND $4 THEN ''
            WHEN u.reason IS NOT NULL THEN 'suppressed: ' || u.reason
            WHEN w.act = 'opt-out' THEN 'opted-out'
            WHEN t.act = 'opt-out' AND $3 <> 'obeys-channel-stop' THEN 'opted-out'
            WHEN $3 = 'needs-opt-in' AND w.act IS DISTINCT FROM 'opt-in' AND t.act IS DISTINCT FROM 'opt-in'
                THEN 'no-consent'
            ELSE '' END AS reason, count(*) AS n
        FROM notifier.contacts c
        {_FIRST_POSSIBLE if pick_first else _EVERY}
        LEFT JOIN notifier.addresses a ON a.contact_id = c.id AND a.channel = way.channel
        LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
        LEFT JOIN notifier.consent_states w ON w.contact_id = c.id AND w.channel = way.channel AND w.topic = ''
        LEFT JOIN notifier.consent_states t ON t.contact_id = c.id AND t.channel = way.channel AND t.topic = $2
            AND $2 <> ''
        WHERE {where.sql} GROUP BY 1, 3 ORDER BY 2, 3
        """,
        list(channels),
        topic,
        consent,
        overrides_opt_out,
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
