"""Nobody but an administrator or a system of the bank makes staff of customers: staff is reached without a second look."""

from dataclasses import replace
from pathlib import Path

import pytest

from notifier.domain.contact import Contact, ContactKind
from notifier.domain.errors import Forbidden
from notifier.domain.person import Person, Role
from notifier.planning.contact_acts import Edited, edit_contact, fingerprint, put_contact
from notifier.planning.contact_import import ImportOptions
from notifier.planning.contact_import.uploads import start_import
from notifier.store import imports
from notifier.store.contacts import get_contact, upsert_contact
from notifier.store.database import Database
from tests.builders import define, fetch
from tests.planning.test_contact_import import KEY
from tests.planning.test_contact_uploads import Desk

LIN = Person(name="lin", user_id=1, role=Role.AUTHOR)
ADA = Person(name="ada", user_id=2, role=Role.ADMIN)
CHEN = Person(name="chen", user_id=3, role=Role.APPROVER)
SYSTEM = Person(name="api-key:1")
CUSTOMER = Contact(external_id="C1", email="c1@example.com", phone="+8613812345678")
STAFF = Contact(external_id="E1", kind=ContactKind.EMPLOYEE, email="e1@example.com")


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> Desk:
    await define(database, tmp_path)
    async with database.transaction() as tx:
        for one in (CUSTOMER, STAFF):
            await upsert_contact(tx, 1, one, KEY)
    return Desk(database, tmp_path)


async def kinds(database: Database) -> dict[str, str]:
    return dict(await fetch(database, "SELECT external_id, kind FROM notifier.contacts"))


async def put(database: Database, contact: Contact, by: Person) -> bool:
    async with database.transaction() as tx:
        return await put_contact(tx, 1, contact, key=KEY, by=by)


async def edit(database: Database, external_id: str, by: Person, **changes: object) -> bool:
    async with database.transaction() as tx:
        stored = await get_contact(tx, 1, external_id)
        assert stored
        c = stored.contact
        typed = Edited(
            kind=c.kind, name=c.name, locale=c.locale, zone=c.zone, email=c.email, phone=c.phone, attributes={}
        )
        wanted = replace(typed, **changes)  # type: ignore[arg-type]
        seen = fingerprint(c)
        return await edit_contact(tx, 1, stored.id, wanted, seen=seen, region="CN", key=KEY, by=by)


async def send(desk: Desk, text: str, by: Person, **options: object) -> list[dict[str, str]]:
    """Import it; what was wrong."""
    import_id = await desk.send(text)
    async with desk.database.transaction() as tx:
        line = await imports.get_import(tx, 1, import_id)
        await start_import(tx, line, replace(ImportOptions(), **options), by=by, is_demo=False)  # type: ignore[arg-type]
    await desk.read()
    told = await desk.line(import_id)
    assert told.problem == ""
    return await desk.errors(import_id) if told.rejected else []


@pytest.mark.parametrize("by", [LIN, CHEN])
@pytest.mark.parametrize(
    "contact",
    [
        replace(CUSTOMER, kind=ContactKind.EMPLOYEE),
        replace(CUSTOMER, kind=ContactKind.WORKING_GROUP, email="", phone=""),
        Contact(external_id="E9", kind=ContactKind.EMPLOYEE, email="c1@example.com"),
        Contact(external_id="E9", kind=ContactKind.EMPLOYEE, phone="+8613812345678"),
        replace(STAFF, phone="+8613812345678"),
    ],
)
async def test_users_put_no_customer_among_the_staff(desk: Desk, contact: Contact, by: Person) -> None:
    with pytest.raises(Forbidden, match="only an administrator"):
        await put(desk.database, contact, by)
    assert await kinds(desk.database) == {"C1": "customer", "E1": "employee"}
    assert await fetch(desk.database, "SELECT act FROM notifier.audit WHERE subject LIKE 'contact:%'") == []


@pytest.mark.parametrize("by", [ADA, SYSTEM])
async def test_administrators_and_systems_may_and_the_audit_tells_what_changed(desk: Desk, by: Person) -> None:
    assert not await put(desk.database, replace(CUSTOMER, kind=ContactKind.EMPLOYEE), by)
    assert await put(desk.database, replace(CUSTOMER, external_id="E9", kind=ContactKind.EMPLOYEE), by)
    assert await kinds(desk.database) == {"C1": "employee", "E1": "employee", "E9": "employee"}
    rows = "SELECT actor, act, detail FROM notifier.audit WHERE subject LIKE 'contact:%' ORDER BY id"
    told = [tuple(row) for row in await fetch(desk.database, rows)]
    assert told == [(by.name, "contact.changed", {"fields": ["kind"]}), (by.name, "contact.added", {})]


async def test_users_add_and_change_real_staff(desk: Desk) -> None:
    assert await put(desk.database, Contact(external_id="E2", kind=ContactKind.EMPLOYEE, email="e2@example.com"), LIN)
    assert not await put(desk.database, replace(STAFF, name="王芳", kind=ContactKind.WORKING_GROUP), LIN)
    assert not await put(desk.database, replace(CUSTOMER, name="李雷"), LIN)
    assert await send(desk, "id,kind,email\nE3,employee,e3@example.com\nE1,employee,e1@example.com\n", LIN) == []


async def test_an_edit_makes_no_staff_of_a_customer(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await edit(desk.database, "C1", LIN, kind=ContactKind.EMPLOYEE)
    with pytest.raises(Forbidden):
        await edit(desk.database, "E1", LIN, email="c1@example.com")
    assert await edit(desk.database, "C1", LIN, name="王芳")
    assert await edit(desk.database, "E1", LIN, kind=ContactKind.CUSTOMER)
    assert await edit(desk.database, "C1", ADA, kind=ContactKind.EMPLOYEE)


async def test_an_address_shared_since_long_stays(desk: Desk) -> None:
    await put(desk.database, replace(STAFF, phone="+8613812345678"), ADA)
    assert await edit(desk.database, "E1", LIN, name="王芳")
    assert await send(desk, "id,kind,phone\nE1,employee,13812345678\n", LIN) == []


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("id,kind\nE2,employee\nC1,employee\n", {}),
        ("id,kind\nE2,employee\nC1,working-group\n", {}),
        ("id,kind\nE2,\nC1,\n", {"kind": ContactKind.EMPLOYEE}),
        ("id,kind,email\nE2,employee,\nE9,employee,c1@example.com\n", {}),
        ("id,phone\nE2,\nE9,13812345678\n", {"kind": ContactKind.EMPLOYEE}),
        ("id,phone\nE2,\nE1,13812345678\n", {"kind": ContactKind.EMPLOYEE}),
        ("id,phone\nC2,\nE1,13812345678\n", {}),
    ],
)
async def test_an_import_rejects_rows_that_make_staff_of_customers(
    desk: Desk, text: str, options: dict[str, object]
) -> None:
    (wrong,) = await send(desk, text, LIN, makes_staff=True, list_key="all", **options)
    assert (wrong["row"], wrong["column"]) == ("3", "kind")
    assert wrong["problem"] == "is a customer already; only an administrator makes customers staff"
    found = await kinds(desk.database)
    assert found.items() >= {"C1": "customer", "E1": "employee"}.items()
    assert len(found) == 3
    members = "SELECT c.external_id FROM notifier.list_members JOIN notifier.contacts c ON c.id = contact_id"
    assert {row[0] for row in await fetch(desk.database, members)} == set(found) - {"C1", "E1"}
    shared = "SELECT count(*)::int FROM notifier.addresses GROUP BY address_key HAVING count(*) > 1"
    assert await fetch(desk.database, shared) == []


async def test_a_default_kind_moves_nobody_who_is_there(desk: Desk) -> None:
    assert await send(desk, "id,name\nC1,王芳\n", LIN, kind=ContactKind.EMPLOYEE) == []
    assert await kinds(desk.database) == {"C1": "customer", "E1": "employee"}


@pytest.mark.parametrize("by", [ADA, SYSTEM])
async def test_an_import_by_an_administrator_or_a_system_makes_staff(desk: Desk, by: Person) -> None:
    assert await send(desk, "id,kind\nC1,employee\n", by, makes_staff=False) == []
    assert (await kinds(desk.database))["C1"] == "employee"
