"""Contacts in PostgreSQL: written, found, paged; consent is a ledger."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.domain.channel import Channel
from notifier.domain.contact import ConsentAct, ConsentRecord, Contact, ContactKind
from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.store.contact_batches import BatchCounts, Columns, ConsentRow, ensure_list, write_contacts
from notifier.store.contacts import (
    FIELDS,
    count_contacts,
    get_contact,
    list_consents,
    list_contacts,
    record_consent,
    row_of,
    upsert_contact,
)
from notifier.store.database import Database, Tx

KEY = b"k" * 32
TEAM = 1
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
ANNA = Contact(
    external_id="C1",
    name="王芳",
    locale="zh-CN",
    zone="Asia/Shanghai",
    email="anna@example.com",
    phone="+12125550123",
    attributes={"city": "Shanghai", "age": 41, "vip": True},
)
OPT_IN = ConsentRecord(channel=Channel.EMAIL, topic="education", act=ConsentAct.OPT_IN, source="branch", at=AT)


async def test_a_contact_reads_back_as_it_was_written(database: Database) -> None:
    async with database.transaction() as tx:
        counts = await upsert_contact(tx, TEAM, ANNA, KEY)
        stored = await get_contact(tx, TEAM, "C1")
        assert stored
        assert (counts.added, counts.updated, stored.contact) == (1, 0, ANNA)
        assert await get_contact(tx, TEAM, "nobody") is None
        assert await get_contact(tx, 2, "C1") is None


async def test_writing_the_same_again_changes_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, replace(ANNA, consents=(OPT_IN,)), KEY)
        counts = await upsert_contact(tx, TEAM, replace(ANNA, consents=(OPT_IN,)), KEY)
        assert (counts.added, counts.updated, counts.unchanged) == (0, 0, 1)


async def test_an_upsert_replaces_the_whole_contact_and_keeps_its_ledger(database: Database) -> None:
    poorer = Contact(external_id="C1", kind=ContactKind.EMPLOYEE, attributes={"age": 42})
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, replace(ANNA, consents=(OPT_IN,)), KEY)
        counts = await upsert_contact(tx, TEAM, poorer, KEY)
        stored = await get_contact(tx, TEAM, "C1")
        assert stored
        assert (counts.updated, stored.contact) == (1, poorer)
        assert await list_consents(tx, stored.id) == [OPT_IN]


async def test_columns_a_batch_does_not_speak_about_stay(database: Database) -> None:
    row = row_of(Contact(external_id="C1", phone="+12125550124", attributes={"age": 42}), KEY)
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, ANNA, KEY)
        counts = await write_contacts(tx, TEAM, [row], Columns(fields=frozenset({"phone"}), attributes=("age", "vip")))
        stored = await get_contact(tx, TEAM, "C1")
        assert stored
        assert counts.updated == 1
        assert stored.contact == replace(ANNA, phone="+12125550124", attributes={"city": "Shanghai", "age": 42})


async def test_a_new_address_alone_is_an_update(database: Database) -> None:
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, ANNA, KEY)
        counts = await upsert_contact(tx, TEAM, replace(ANNA, email="a@example.com"), KEY)
        assert (counts.added, counts.updated, counts.unchanged) == (0, 1, 0)


async def test_pages_continue_after_the_last_id_and_keep_to_a_kind(database: Database) -> None:
    async with database.transaction() as tx:
        for n in range(5):
            kind = ContactKind.EMPLOYEE if n == 4 else ContactKind.CUSTOMER
            await upsert_contact(tx, TEAM, Contact(external_id=f"C{n}", kind=kind), KEY)
        first = await list_contacts(tx, TEAM, limit=3)
        rest = await list_contacts(tx, TEAM, after_id=first[-1].id, limit=3)
        assert [stored.contact.external_id for stored in first + rest] == ["C0", "C1", "C2", "C3", "C4"]
        staff = await list_contacts(tx, TEAM, kind=ContactKind.EMPLOYEE)
        assert [stored.contact.external_id for stored in staff] == ["C4"]
        assert await count_contacts(tx, TEAM) == {ContactKind.CUSTOMER: 4, ContactKind.EMPLOYEE: 1}


async def test_the_latest_act_stands_and_the_same_act_counts_once(database: Database) -> None:
    opt_out = replace(OPT_IN, act=ConsentAct.OPT_OUT, at=AT + timedelta(days=1))
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, ANNA, KEY)
        stored = await get_contact(tx, TEAM, "C1")
        assert stored
        assert await record_consent(tx, stored.id, [opt_out, OPT_IN]) == 2
        assert await record_consent(tx, stored.id, [opt_out]) == 0
        assert await record_consent(tx, stored.id, []) == 0
        assert await list_consents(tx, stored.id) == [opt_out, OPT_IN]
        assert await tx.fetchval("SELECT act FROM notifier.consent_states") == "opt-out"


async def test_an_undated_yes_counts_only_where_nothing_stands_and_an_undated_no_always(database: Database) -> None:
    def row(act: ConsentAct) -> list[ConsentRow]:
        return [ConsentRow("email", "education", act, "import", "people.csv", None)]

    plain = row_of(ANNA, KEY)
    for act, standing, count in (
        (ConsentAct.OPT_IN, "opt-in", 1),
        (ConsentAct.OPT_OUT, "opt-out", 2),
        (ConsentAct.OPT_IN, "opt-out", 2),
        (ConsentAct.OPT_OUT, "opt-out", 2),
    ):
        async with database.transaction() as tx:  # one each, for time stands still in a transaction
            await write_contacts(tx, TEAM, [plain._replace(consents=tuple(row(act)))], Columns(fields=FIELDS))
            assert await tx.fetchval("SELECT act FROM notifier.consent_states") == standing
            assert await tx.fetchval("SELECT count(*) FROM notifier.consents") == count


async def test_a_consent_in_the_future_is_refused(database: Database) -> None:
    early = replace(OPT_IN, at=datetime.now(UTC) + timedelta(minutes=1))
    async with database.transaction() as tx:
        with pytest.raises(InputError, match=r"consents.1.at: lies in the future"):
            await upsert_contact(tx, TEAM, replace(ANNA, consents=(OPT_IN, early)), KEY)
        assert await get_contact(tx, TEAM, "C1") is None


async def _block(tx: Tx, at: datetime, reason: str = "opt-out") -> None:
    await tx.execute("DELETE FROM notifier.suppressions")
    await tx.execute(
        "INSERT INTO notifier.suppressions (team_id, address_key, channel, reason, at) VALUES (1, $1, 'sms', $2, $3)",
        address_key(KEY, "sms", ANNA.phone),
        reason,
        at,
    )


@pytest.mark.parametrize(
    ("change", "reason", "left"),
    [
        ({}, "opt-out", 0),
        ({}, "complaint", 1),
        ({"source": "import"}, "opt-out", 1),
        ({"topic": "education"}, "opt-out", 1),
        ({"channel": Channel.EMAIL}, "opt-out", 1),
        ({"at": AT - timedelta(days=1)}, "opt-out", 1),
        ({"act": ConsentAct.OPT_OUT}, "opt-out", 1),
    ],
)
async def test_only_a_newer_opt_in_of_the_contact_itself_lifts_the_block_of_an_opt_out(
    database: Database, change: dict[str, Any], reason: str, left: int
) -> None:
    again = ConsentRecord(
        **{
            **{"channel": Channel.SMS, "act": ConsentAct.OPT_IN, "source": "app", "at": AT + timedelta(days=1)},
            **change,
        }
    )
    blocked = "SELECT count(*) FROM notifier.suppressions"
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, ANNA, KEY)
        stored = await get_contact(tx, TEAM, "C1")
        assert stored
        await _block(tx, AT, reason)
        await record_consent(tx, stored.id, [again])
        assert await tx.fetchval(blocked) == left
        await _block(tx, AT, reason)
        await upsert_contact(tx, TEAM, replace(ANNA, consents=(again,)), KEY)
        assert await tx.fetchval(blocked) == left


async def test_a_second_contact_does_not_lift_the_block_of_the_first(database: Database) -> None:
    later = ConsentRecord(channel=Channel.SMS, act=ConsentAct.OPT_IN, source="app", at=AT + timedelta(days=1))
    out = replace(later, act=ConsentAct.OPT_OUT, at=AT)
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, replace(ANNA, consents=(out,)), KEY)
        await _block(tx, AT)
        await upsert_contact(tx, TEAM, replace(ANNA, external_id="C2", consents=(later,)), KEY)
        assert await tx.fetchval("SELECT count(*) FROM notifier.suppressions") == 1


async def test_a_list_is_made_once_and_takes_each_contact_once(database: Database) -> None:
    async with database.transaction() as tx:
        list_id = await ensure_list(tx, TEAM, "visitors")
        assert await ensure_list(tx, TEAM, "visitors") == list_id
        for _ in range(2):
            await write_contacts(tx, TEAM, [row_of(ANNA, KEY)], Columns(fields=frozenset()), list_id=list_id)
        assert await tx.fetchval("SELECT count(*) FROM notifier.list_members") == 1
        empty = await write_contacts(tx, TEAM, [], Columns(fields=frozenset()))
        assert empty.added == 0


async def test_what_would_break_a_line_of_the_copy_reads_back_as_written(database: Database) -> None:
    odd = replace(
        ANNA,
        external_id="C\t1\\N",
        name="a\\tb\nc\r",
        email='"a\\\\b"@example.com',
        attributes={"said": 'he\t"said"\\n\n', "path": "C:\\new"},
    )
    async with database.transaction() as tx:
        rows = [row_of(odd, KEY), row_of(replace(ANNA, external_id="C2"), KEY)]
        counts = await write_contacts(tx, TEAM, rows, Columns(fields=FIELDS))
        stored = await get_contact(tx, TEAM, odd.external_id)
        plain = await get_contact(tx, TEAM, "C2")
        assert counts.added == 2
        assert stored
        assert stored.contact == odd
        assert plain
        assert plain.contact == replace(ANNA, external_id="C2")


async def test_a_contact_that_somebody_else_adds_meanwhile_is_updated(database: Database) -> None:
    later = [row_of(replace(ANNA, name="later"), KEY), row_of(replace(ANNA, external_id="C2"), KEY)]

    async def write_later() -> BatchCounts:
        async with database.transaction() as tx:
            return await write_contacts(tx, TEAM, later, Columns(fields=FIELDS))

    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, ANNA, KEY)
        waiting = asyncio.create_task(write_later())
        for _ in range(1000):
            if await tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                break
            await asyncio.sleep(0.01)
    counts = await waiting
    async with database.transaction() as tx:
        assert (counts.added, counts.updated, counts.unchanged) == (1, 1, 0)
        assert await tx.fetchval("SELECT name FROM notifier.contacts WHERE external_id = 'C1'") == "later"
        assert await tx.fetchval("SELECT count(*) FROM notifier.addresses") == 4


async def test_addresses_and_consent_go_with_their_contact(database: Database) -> None:
    async with database.transaction() as tx:
        await upsert_contact(tx, TEAM, replace(ANNA, consents=(OPT_IN,)), KEY)
        await upsert_contact(tx, TEAM, replace(ANNA, external_id="C2", consents=(OPT_IN,)), KEY)
        await tx.execute("DELETE FROM notifier.contacts WHERE external_id = 'C1'")
        for table, left in (("addresses", 2), ("consents", 1), ("consent_states", 1)):
            assert await tx.fetchval(f"SELECT count(*) FROM notifier.{table}") == left


async def test_a_contact_of_no_team_is_not_written(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(LookupError, match="no team 99"):
            await upsert_contact(tx, 99, ANNA, KEY)
