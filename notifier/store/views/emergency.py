"""An emergency as people count it: the branches there are, who can be reached, and who was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from notifier.store.audience import Fragment
from notifier.store.database import Tx

GROUPS_FIRST = 2
"""The number of the first parameter of `where` in `count_groups`."""
UNREACHABLE_FIRST = 5
"""The same in `count_unreachable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Contacts who share a value of an attribute, as the customers of a branch do."""

    value: str
    contacts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What became of the contacts of a run, each counted once and for the best of their messages.

    `meant` = delivered + handed_over + on_the_way + not_reached.
    """

    meant: int
    delivered: int  # the carrier or mailbox of one channel says so
    handed_over: int  # a provider took it, no report of delivery (yet)
    on_the_way: int
    not_reached: int  # nothing got through and nothing is on the way


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReached:
    """A contact nothing got through to; `ways` are channel, state and reason of what was tried."""

    id: int  # of the recipient
    contact_id: int
    external_id: str
    name: str = field(repr=False)
    kind: str
    locale: str
    phone: str = field(repr=False)
    email: str = field(repr=False)
    ways: Sequence[Mapping[str, str]]


async def count_groups(tx: Tx, where: Fragment, attribute: str) -> list[Group]:
    """By value of the attribute, most contacts first; together all that `where` means, those without a value under ""."""
    rows = await tx.fetch(
        f"""
        SELECT * FROM (
            SELECT coalesce(c.attributes ->> $1, '') AS value, count(*) AS contacts FROM notifier.contacts c
            WHERE {where.sql} GROUP BY 1) AS g
        ORDER BY contacts DESC, value COLLATE "C"
        """,
        attribute,
        *where.params,
    )
    return [Group(**dict(row)) for row in rows]


async def count_unreachable(
    tx: Tx, where: Fragment, *, channels: Sequence[str], topic: str, consent: str, overrides_opt_out: bool
) -> int:
    """Contacts whom none of these channels reaches, judged as the claim would judge now."""
    number: int = await tx.fetchval(
        f"""
        WITH step AS (SELECT $1::text AS topic, $2::text AS consent, $2 = 'obeys-channel-stop' AND $3 AS overridden)
        SELECT count(*) FROM step CROSS JOIN notifier.contacts c WHERE {where.sql} AND NOT EXISTS (
            SELECT 1 FROM notifier.addresses a
            LEFT JOIN notifier.suppressions u ON u.team_id = c.team_id AND u.address_key = a.address_key
            LEFT JOIN notifier.consent_states w ON w.contact_id = c.id AND w.channel = a.channel AND w.topic = ''
            LEFT JOIN notifier.consent_states t ON t.contact_id = c.id AND t.channel = a.channel AND t.topic = step.topic
                AND step.topic <> ''
            WHERE a.contact_id = c.id AND a.channel = ANY($4::text[])
                AND (u.reason IS NULL OR u.reason = 'opt-out' AND step.overridden)
                AND (w.act IS DISTINCT FROM 'opt-out' OR step.overridden)
                AND (t.act IS DISTINCT FROM 'opt-out' OR step.consent = 'obeys-channel-stop')
                AND (step.consent <> 'needs-opt-in' OR 'opt-in' IN (w.act, t.act)))
        """,
        topic,
        consent,
        overrides_opt_out,
        list(channels),
        *where.params,
    )
    return number


async def count_people(tx: Tx, run_id: int) -> People:
    """The contacts of a run by what became of them; reads every message of the run, so ask it seldom."""
    row = await tx.fetchrow(
        """
        WITH people AS (
            SELECT bool_or(m.state = 'delivered') AS delivered, bool_or(m.state = 'accepted') AS handed_over,
                bool_or(m.state IN ('queued', 'sending', 'uncertain')) AS on_the_way
            FROM notifier.messages m WHERE m.run_id = $1 AND m.contact_id IS NOT NULL GROUP BY m.recipient_id),
        counted AS (
            SELECT count(*) AS known, count(*) FILTER (WHERE delivered) AS delivered,
                count(*) FILTER (WHERE NOT delivered AND handed_over) AS handed_over,
                count(*) FILTER (WHERE NOT delivered AND NOT handed_over AND on_the_way) AS on_the_way,
                count(*) FILTER (WHERE NOT delivered AND NOT handed_over AND NOT on_the_way) AS not_reached
            FROM people)
        SELECT greatest(r.recipients, k.known) AS meant, k.delivered, k.handed_over,
            k.on_the_way + greatest(r.recipients - k.known, 0) AS on_the_way, k.not_reached
        FROM notifier.runs r CROSS JOIN counted k WHERE r.id = $1
        """,
        run_id,
    )
    return People(**dict(row))


async def list_not_reached(tx: Tx, team_id: int, run_id: int, *, after: int = 0, limit: int = 100) -> list[NotReached]:
    """Contacts nothing got through to and nothing is on the way for, with what was tried; by recipient."""
    rows = await tx.fetch(
        """
        WITH lost AS (
            SELECT m.recipient_id, jsonb_agg(jsonb_build_object('channel', m.channel, 'state', m.state,
                'reason', m.reason) ORDER BY m.id) AS ways
            FROM notifier.messages m
            WHERE m.run_id = $1 AND m.team_id = $2 AND m.contact_id IS NOT NULL AND m.recipient_id > $3
            GROUP BY m.recipient_id
            HAVING NOT bool_or(m.state IN ('delivered', 'accepted', 'queued', 'sending', 'uncertain'))
            ORDER BY m.recipient_id LIMIT $4)
        SELECT k.id, c.id AS contact_id, c.external_id, c.name, c.kind, c.locale, coalesce(p.address, '') AS phone,
            coalesce(e.address, '') AS email, lost.ways
        FROM lost JOIN notifier.recipients k ON k.run_id = $1 AND k.id = lost.recipient_id
        JOIN notifier.contacts c ON c.id = k.contact_id
        LEFT JOIN notifier.addresses p ON p.contact_id = c.id AND p.channel = 'sms'
        LEFT JOIN notifier.addresses e ON e.contact_id = c.id AND e.channel = 'email'
        ORDER BY k.id
        """,
        run_id,
        team_id,
        after,
        limit,
    )
    return [NotReached(**dict(row)) for row in rows]


def tried(one: NotReached) -> list[tuple[str, str]]:
    """Channel and what became of it, in the words the house uses: the reason, else the state."""
    return [(way["channel"], way["reason"] or way["state"]) for way in one.ways]
