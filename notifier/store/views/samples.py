"""Contacts of an audience on whom a text shows its weak sides: per locale a long name, missing values, an ordinary one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from notifier.domain.contact import Contact, ContactKind
from notifier.store.audience import Fragment
from notifier.store.database import Tx

FIRST = 4
"""The number of the first parameter of `where`."""
_LOCALES = 8


class Why(StrEnum):
    """What makes a contact worth looking at."""

    LONGEST_NAME = "longest-name"
    LACKS_MOST = "lacks-most"  # of the values the templates read
    ORDINARY = "ordinary"  # lacks least, with a name of the usual length


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleContact:
    """One contact and why they were picked; without addresses. `lacks`: the attributes they have no value of."""

    why: Why
    id: int
    contact: Contact = field(repr=False)
    lacks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocaleSamples:
    """The contacts of one locale: how many, and up to three different ones."""

    locale: str
    contacts: int
    samples: tuple[SampleContact, ...]


async def pick_samples(
    tx: Tx, where: Fragment, *, default_locale: str, attributes: Sequence[str]
) -> list[LocaleSamples]:
    """By locale, that of most contacts first, eight at most; the parameters of `where` are numbered from `FIRST`.

    A contact without a locale counts to the default. The same contacts as long as nothing changes.
    """
    rows = await tx.fetch(
        f"""
        WITH meant AS MATERIALIZED (
            SELECT c.id, coalesce(nullif(c.locale, ''), $1::text) AS locale, char_length(c.name) AS width,
                {_lacking(attributes)} AS lacking
            FROM notifier.contacts c WHERE {where.sql}),
        usual AS (SELECT locale, count(*) AS contacts, round(avg(width))::int AS width FROM meant GROUP BY locale
            ORDER BY 2 DESC, locale COLLATE "C" LIMIT $3),
        longest AS (SELECT u.locale, u.contacts, u.width, -(max(ARRAY[m.width, -m.id]))[2] AS longest
            FROM usual u JOIN meant m ON m.locale = u.locale GROUP BY u.locale, u.contacts, u.width),
        sparsest AS (SELECT l.*, (SELECT -(max(ARRAY[m.lacking, -m.id]))[2] FROM meant m
                WHERE m.locale = l.locale AND m.lacking > 0 AND m.id <> l.longest) AS sparsest
            FROM longest l)
        SELECT s.locale, s.contacts, s.longest, s.sparsest,
            (SELECT (min(ARRAY[m.lacking, abs(m.width - s.width), m.id]))[3] FROM meant m
                WHERE m.locale = s.locale AND m.id <> s.longest AND m.id IS DISTINCT FROM s.sparsest) AS ordinary
        FROM sparsest s ORDER BY s.contacts DESC, s.locale COLLATE "C"
        """,
        default_locale,
        list(attributes),
        _LOCALES,
        *where.params,
    )
    people = await _read(tx, [row[name] for row in rows for name in ("longest", "sparsest", "ordinary") if row[name]])
    return [
        LocaleSamples(
            locale=row["locale"],
            contacts=row["contacts"],
            samples=_different(
                [
                    (Why.LONGEST_NAME, row["longest"]),
                    (Why.LACKS_MOST, row["sparsest"]),
                    (Why.ORDINARY, row["ordinary"]),
                ],
                people,
                attributes,
            ),
        )
        for row in rows
    ]


def _lacking(attributes: Sequence[str]) -> str:
    """How many of the attributes (parameter 2) a contact has no value of, as the template sees it."""
    tests = [
        f"(coalesce(c.attributes ->> ($2::text[])[{number}], '') = '')::int::bigint"
        for number in range(1, len(attributes) + 1)
    ]
    return " + ".join(tests) or "0 * cardinality($2::text[])::bigint"


def _different(
    picked: Sequence[tuple[Why, int | None]], people: dict[int, Contact], attributes: Sequence[str]
) -> tuple[SampleContact, ...]:
    """Each contact once, for the first reason they were picked."""
    found: dict[int, SampleContact] = {}
    for why, number in picked:
        if number is not None and number not in found:
            contact = people[number]
            lacks = tuple(name for name in attributes if contact.attributes.get(name) in {None, ""})
            found[number] = SampleContact(why=why, id=number, contact=contact, lacks=lacks)
    return tuple(found.values())


async def _read(tx: Tx, ids: Sequence[int]) -> dict[int, Contact]:
    rows = await tx.fetch(
        """
        SELECT id, external_id, kind, name, locale, zone, attributes FROM notifier.contacts WHERE id = ANY($1::bigint[])
        """,
        list(ids),
    )
    return {
        row["id"]: Contact(
            external_id=row["external_id"],
            kind=ContactKind(row["kind"]),
            name=row["name"],
            locale=row["locale"],
            zone=row["zone"],
            attributes=row["attributes"],
        )
        for row in rows
    }
