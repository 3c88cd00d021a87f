"""Contacts are found by any part of a name, in any script; lists and blocks narrow the search."""

import pytest

from notifier.domain.contact import ContactKind
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.views import contacts as view
from notifier.store.views.contacts import Wanted, find_contacts, list_lists
from tests.builders import add_contact, execute, fetch, suppress

NAMES = ("王", "王芳", "王小芳", "欧阳小芳", "Li", "Lia", "Anna Li", "Anna Lia Berg", "O'Neil 50%", "")


async def found(database: Database, wanted: Wanted, *, after: int = 0, limit: int = 100) -> list[str]:
    """Names, in the order of the list."""
    async with database.transaction() as tx:
        return [one.name for one in await find_contacts(tx, 1, wanted, after=after, limit=limit)]


def parts(name: str) -> list[str]:
    """Every part of two letters or more."""
    plain = name.lower()
    return [plain[a:b] for a in range(len(plain)) for b in range(a + 2, len(plain) + 1)]


@pytest.mark.parametrize("few", [5_000, 0], ids=["looked up first", "walked"])
async def test_every_part_of_every_name_finds_exactly_those_that_hold_it(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(view, "_FEW_NAMES", few)
    for number, name in enumerate(NAMES):
        await add_contact(database, settings, f"C{number}", name=name)
    for part in {part for name in NAMES for part in parts(name) if " " not in part}:
        assert await found(database, Wanted(words=(part,))) == [name for name in NAMES if part in name.lower()], part


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("王",), ["王", "王芳", "王小芳"]),
        (("芳",), []),
        (("l",), ["Li", "Lia", "Anna Li", "Anna Lia Berg"]),
        (("li", "anna"), ["Anna Li", "Anna Lia Berg"]),
        (("b", "anna"), ["Anna Lia Berg"]),
        (("nna", "xx"), []),
        (("%",), []),
        (("50%",), ["O'Neil 50%"]),
    ],
)
async def test_one_letter_begins_a_word_and_several_words_all_hold(
    database: Database, settings: Settings, words: tuple[str, ...], names: list[str]
) -> None:
    for number, name in enumerate(NAMES):
        await add_contact(database, settings, f"C{number}", name=name)
    assert await found(database, Wanted(words=words)) == names


async def test_a_name_that_changes_is_found_by_the_new_one_alone(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "C1", name="王芳")
    await add_contact(database, settings, "C1", name="李雷")
    assert await found(database, Wanted(words=("王芳",))) == []
    assert await found(database, Wanted(words=("李雷",))) == ["李雷"]


@pytest.mark.parametrize(("few", "members"), [(2_000, 20_000), (0, 0)], ids=["looked up first", "walked"])
async def test_lists_and_blocks_find_the_same_however_many_they_are(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, few: int, members: int
) -> None:
    monkeypatch.setattr(view, "_FEW", few)
    monkeypatch.setattr(view, "_FEW_MEMBERS", members)
    for number in range(6):
        kind = ContactKind.EMPLOYEE if number == 5 else ContactKind.CUSTOMER
        await add_contact(database, settings, f"C{number}", name=f"Contact {number}", kind=kind)
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'guests'), (1, 'nobody')")
    await execute(database, "INSERT INTO notifier.list_members SELECT 1, id FROM notifier.contacts WHERE id % 2 = 1")
    for number in (2, 3):
        await suppress(database, settings, f"C{number}@example.com", "hard-bounce")
    ids = dict(await fetch(database, "SELECT name, id FROM notifier.contacts"))
    odd = sorted((name for name in ids if ids[name] % 2 == 1), key=ids.__getitem__)
    assert await found(database, Wanted(list_key="guests")) == odd
    assert await found(database, Wanted(list_key="guests"), after=ids[odd[0]], limit=1) == odd[1:2]
    assert await found(database, Wanted(list_key="nobody")) == await found(database, Wanted(list_key="unknown")) == []
    assert await found(database, Wanted(is_suppressed=True)) == ["Contact 2", "Contact 3"]
    both = Wanted(is_suppressed=True, list_key="guests", kind=ContactKind.CUSTOMER, locale="zh-CN", channel="email")
    assert await found(database, both) == [name for name in ("Contact 2", "Contact 3") if name in odd]
    assert await found(database, Wanted(kind=ContactKind.EMPLOYEE, words=("contact",))) == ["Contact 5"]
    assert await found(database, Wanted(channel="sms")) == []


async def test_a_line_names_the_channels_that_are_blocked(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "C1", phone="+12125550123")
    await suppress(database, settings, "C1@example.com", "complaint")
    async with database.transaction() as tx:
        (line,) = await find_contacts(tx, 1, Wanted())
    assert list(line.suppressed) == ["email"]


async def test_members_are_counted_up_to_a_bound(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "_COUNTED_AT_MOST", 2)
    for number in range(3):
        await add_contact(database, settings, f"C{number}")
    await execute(database, "INSERT INTO notifier.lists (team_id, key) VALUES (1, 'a'), (1, 'b')")
    await execute(database, "INSERT INTO notifier.list_members SELECT 1, id FROM notifier.contacts")
    await execute(database, "INSERT INTO notifier.list_members SELECT 2, min(id) FROM notifier.contacts")
    async with database.transaction() as tx:
        lists = await list_lists(tx, 1)
    assert [(one.key, one.members, one.is_more) for one in lists] == [("a", 2, True), ("b", 1, False)]
