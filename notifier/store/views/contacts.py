"""Contacts as a page lists them: searched, filtered, page by page; and their lists."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from notifier.domain.contact import ContactKind
from notifier.store.database import Tx

_COUNTED_AT_MOST = 100_000
_FEW, _FEW_MEMBERS, _FEW_NAMES = 2_000, 20_000, 5_000
_TAG = re.compile(r"[A-Za-z0-9-]{1,35}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which contacts; what is empty says nothing. `external_id` and `keys` are alternatives, all else holds together."""

    external_id: str = ""
    keys: tuple[bytes, ...] = ()  # of addresses
    words: tuple[str, ...] = field(default=(), repr=False)  # each a part of the name, lower case as `lower_case` says
    kind: ContactKind | None = None
    locale: str = ""
    list_key: str = ""
    channel: str = ""  # has an address there
    is_suppressed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactLine:
    """A contact in a list."""

    id: int
    external_id: str
    kind: str
    name: str = field(repr=False)
    locale: str
    email: str = field(repr=False)
    phone: str = field(repr=False)
    suppressed: Sequence[str]  # channels


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLine:
    """A list of contacts; members are counted up to a bound."""

    key: str
    created_at: datetime
    members: int
    is_more: bool


async def lower_case(tx: Tx, text: str) -> str:
    """As the index of names has it: what lower case is depends on the server."""
    lower: str = await tx.fetchval("SELECT lower($1::text)", text)
    return lower


class _Conditions:
    """Collects conditions over `notifier.contacts c` and their parameters."""

    def __init__(self, *params: object) -> None:
        self.params = list(params)
        self.sql: list[str] = []
        self.source = "notifier.contacts c"

    def param(self, value: object) -> str:
        self.params.append(value)
        return f"${len(self.params)}"

    def add(self, sql: str) -> None:
        self.sql.append(sql)


async def find_contacts(tx: Tx, team_id: int, wanted: Wanted, *, after: int = 0, limit: int = 25) -> list[ContactLine]:
    """Up to `limit` contacts with an id above `after`, ordered by id."""
    found = _Conditions(team_id, after, limit)
    _add_who(found, wanted)
    _add_filters(found, wanted)
    has_few = await _add_words(tx, team_id, found, wanted.words) if wanted.words else False
    has_few |= await _add_list(tx, team_id, found, wanted.list_key) if wanted.list_key else False
    has_few |= await _add_suppressed(tx, team_id, found) if wanted.is_suppressed else False
    # Few are found by an index: they are looked up first. Else the planner would walk all contacts in their order.
    first = "MATERIALIZED" if wanted.keys or wanted.external_id or has_few else ""
    rows = await tx.fetch(
        f"""
        WITH found AS {first} (
            SELECT c.id FROM {found.source}
            WHERE {" AND ".join(["c.team_id = $1", *found.sql])}),
        page AS MATERIALIZED (SELECT id FROM found WHERE id > $2 ORDER BY id LIMIT $3)
        SELECT c.id, c.external_id, c.kind, c.name, c.locale, coalesce(e.address, '') AS email,
            coalesce(p.address, '') AS phone,
            ARRAY(SELECT a.channel FROM notifier.addresses a
                JOIN notifier.suppressions s ON s.team_id = $1 AND s.address_key = a.address_key
                WHERE a.contact_id = c.id ORDER BY a.channel) AS suppressed
        FROM page JOIN notifier.contacts c ON c.id = page.id
        LEFT JOIN notifier.addresses e ON e.contact_id = c.id AND e.channel = 'email'
        LEFT JOIN notifier.addresses p ON p.contact_id = c.id AND p.channel = 'sms'
        ORDER BY c.id
        """,
        *found.params,
    )
    return [ContactLine(**dict(row)) for row in rows]


def _add_who(found: _Conditions, wanted: Wanted) -> None:
    either = []
    if wanted.external_id:
        either.append(f"c.external_id = {found.param(wanted.external_id)}")
    if wanted.keys:
        keys = found.param(list(wanted.keys))
        either.append(
            f"c.id = ANY(ARRAY(SELECT a.contact_id FROM notifier.addresses a WHERE a.address_key = ANY({keys}::bytea[])))"
        )
    if either:
        found.add(f"({' OR '.join(either)})")


async def _add_words(tx: Tx, team_id: int, found: _Conditions, words: Sequence[str]) -> bool:
    """Only who has all these parts in the name; returns whether these are so few that they are looked up first."""
    pairs = _pairs(words)
    counted = """
        SELECT count(*) FROM (
            SELECT FROM notifier.contacts WHERE team_id = $1 AND notifier.bigrams(name) @> $2::text[] LIMIT $3 + 1) AS few
    """
    has_few: bool = await tx.fetchval(counted, team_id, pairs, _FEW_NAMES) <= _FEW_NAMES
    if has_few:  # else the next one is never far
        found.add(f"notifier.bigrams(c.name) @> {found.param(pairs)}::text[]")
    for word in words:  # pairs alone would also find them in another order
        sought = found.param(word if len(word) > 1 else f" {word}")
        found.add(f"strpos(' ' || lower(c.name), {sought}) > 0")
    return has_few


def _pairs(words: Sequence[str]) -> list[str]:
    """The pairs of letters every match has; one letter alone must begin a word."""
    pairs = [[word[n : n + 2] for n in range(len(word) - 1)] or [f" {word}"] for word in words]
    return list(dict.fromkeys(pair for word in pairs for pair in word))


def _add_filters(found: _Conditions, wanted: Wanted) -> None:
    if wanted.kind:
        found.add(f"c.kind = '{wanted.kind.value}'")  # one of three words of ours; as a parameter no index would serve
    if wanted.locale:  # so written for the same reason
        found.add(f"c.locale = '{wanted.locale}'" if _TAG.fullmatch(wanted.locale) else "false")
    if wanted.channel:
        found.add(
            "EXISTS (SELECT FROM notifier.addresses a "
            f"WHERE a.contact_id = c.id AND a.channel = {found.param(wanted.channel)})"
        )


async def _add_list(tx: Tx, team_id: int, found: _Conditions, key: str) -> bool:
    """Only who is on a list; returns whether these are so few that they are looked up first."""
    members = await tx.fetchrow(
        """
        SELECT l.id, (SELECT count(*) FROM (
            SELECT FROM notifier.list_members m WHERE m.list_id = l.id LIMIT $3 + 1) AS few) AS count
        FROM notifier.lists l WHERE l.team_id = $1 AND l.key = $2
        """,
        team_id,
        key,
        _FEW_MEMBERS,
    )
    if members is None:
        found.add("false")
        return True
    list_id = found.param(members["id"])
    has_few: bool = members["count"] <= _FEW_MEMBERS
    if has_few:
        found.source = (
            "notifier.list_members m CROSS JOIN LATERAL "
            "(SELECT * FROM notifier.contacts WHERE id = m.contact_id OFFSET 0) AS c"
        )
        found.add(f"m.list_id = {list_id}")
    else:
        found.add(f"EXISTS (SELECT FROM notifier.list_members m WHERE m.contact_id = c.id AND m.list_id = {list_id})")
    return has_few


async def _add_suppressed(tx: Tx, team_id: int, found: _Conditions) -> bool:
    """Only who has a blocked address; returns whether these are so few that they are looked up first."""
    counted = "SELECT count(*) FROM (SELECT FROM notifier.suppressions WHERE team_id = $1 LIMIT $2 + 1) AS few"
    has_few: bool = await tx.fetchval(counted, team_id, _FEW) <= _FEW
    blocked = (
        "SELECT a.contact_id FROM notifier.suppressions s "
        "JOIN notifier.addresses a ON a.address_key = s.address_key WHERE s.team_id = $1"
    )
    if has_few:
        found.add(f"c.id = ANY(ARRAY({blocked}))")
    else:  # then the next one is never far
        found.add(f"EXISTS ({blocked} AND a.contact_id = c.id OFFSET 0)")
    return has_few


async def list_lists(tx: Tx, team_id: int) -> list[ListLine]:
    """Every list of the team, by key."""
    rows = await tx.fetch(
        """
        SELECT l.key, l.created_at, least(n.members, $2) AS members, n.members > $2 AS is_more
        FROM notifier.lists l CROSS JOIN LATERAL (SELECT count(*) AS members FROM (
            SELECT FROM notifier.list_members m WHERE m.list_id = l.id LIMIT $2 + 1) AS few) AS n
        WHERE l.team_id = $1 ORDER BY l.key COLLATE "C"
        """,
        team_id,
        _COUNTED_AT_MOST,
    )
    return [ListLine(**dict(row)) for row in rows]


async def list_memberships(tx: Tx, team_id: int, contact_id: int) -> list[str]:
    """The lists a contact is on."""
    rows = await tx.fetch(
        """
        SELECT l.key FROM notifier.lists l
        JOIN notifier.list_members m ON m.list_id = l.id AND m.contact_id = $2
        WHERE l.team_id = $1 ORDER BY l.key COLLATE "C"
        """,
        team_id,
        contact_id,
    )
    return [row["key"] for row in rows]
