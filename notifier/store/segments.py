"""Who a rule means right now, within a bounded time; and what there is to choose from for a rule."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from notifier.store.audience import Fragment
from notifier.store.database import Tx

LONGEST_COUNT_MS = 4_000
_LOOKED_AT = 20_000
_VALUES = 40
_NAMES = 60
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MeantContact:
    """One of the contacts a rule means, as a sample shows them."""

    external_id: str
    name: str = field(repr=False)
    kind: str
    locale: str
    attributes: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many a rule means, with a few of them; `count` None: it took too long to count."""

    count: int | None
    samples: tuple[MeantContact, ...] = field(repr=False)


async def count_meant(tx: Tx, where: Fragment, *, samples: int = 5, within_ms: int = LONGEST_COUNT_MS) -> Counted:
    """Count the contacts and show the first few; given up after `within_ms`, the transaction goes on."""
    try:
        async with tx.transaction():
            await tx.execute(f"SET LOCAL statement_timeout = {int(within_ms)}")
            count: int = await tx.fetchval(f"SELECT count(*) FROM notifier.contacts c WHERE {where.sql}", *where.params)
            rows = await tx.fetch(
                f"""
                SELECT c.external_id, c.name, c.kind, c.locale, c.attributes FROM notifier.contacts c
                WHERE {where.sql} ORDER BY c.id LIMIT {int(samples)}
                """,
                *where.params,
            )
            await tx.execute("SET LOCAL statement_timeout = DEFAULT")
    except asyncpg.QueryCanceledError:
        return Counted(count=None, samples=())
    return Counted(count=count, samples=tuple(MeantContact(**dict(row)) for row in rows))


async def list_attribute_values(tx: Tx, team_id: int) -> dict[str, tuple[str, ...]]:
    """Attribute → its most frequent values among the newest contacts; both bounded, long texts left out."""
    rows = await tx.fetch(
        """
        SELECT name, value FROM (
            SELECT name, value, row_number() OVER (PARTITION BY name ORDER BY count(*) DESC, value COLLATE "C") AS nth,
                sum(count(*)) OVER (PARTITION BY name) AS known
            FROM (SELECT attributes FROM notifier.contacts WHERE team_id = $1 ORDER BY id DESC LIMIT $2) AS newest,
                jsonb_each_text(attributes) AS a (name, value)
            WHERE length(value) BETWEEN 1 AND $3 GROUP BY name, value) AS ranked
        WHERE nth <= $4 ORDER BY known DESC, name COLLATE "C", nth
        """,
        team_id,
        _LOOKED_AT,
        _LONGEST_VALUE,
        _VALUES,
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["name"] in found or len(found) < _NAMES:
            found.setdefault(row["name"], []).append(row["value"])
    return {name: tuple(values) for name, values in found.items()}


async def list_locales(tx: Tx, team_id: int) -> tuple[str, ...]:
    """The languages of the newest contacts, the most frequent first."""
    rows = await tx.fetch(
        """
        SELECT locale FROM (
            SELECT locale FROM notifier.contacts WHERE team_id = $1 ORDER BY id DESC LIMIT $2) AS newest
        WHERE locale <> '' GROUP BY locale ORDER BY count(*) DESC, locale COLLATE "C" LIMIT 20
        """,
        team_id,
        _LOOKED_AT,
    )
    return tuple(row["locale"] for row in rows)


async def list_lists(tx: Tx, team_id: int) -> tuple[str, ...]:
    """The keys of the newest imported lists, by key."""
    rows = await tx.fetch(
        """
        SELECT key FROM (SELECT key FROM notifier.lists WHERE team_id = $1 ORDER BY id DESC LIMIT 200) AS newest
        ORDER BY key COLLATE "C"
        """,
        team_id,
    )
    return tuple(row["key"] for row in rows)
