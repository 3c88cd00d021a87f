"""Samples are the contacts on whom a text breaks first."""

from collections.abc import Mapping, Sequence

from notifier.domain.audience import EVERYBODY, Bindings, KindIs, Rule
from notifier.domain.contact import AttributeValue, ContactKind
from notifier.settings import Settings
from notifier.store.audience import compile_rule
from notifier.store.database import Database
from notifier.store.views.samples import FIRST, LocaleSamples, Why, pick_samples
from tests.builders import add_contact

FULL: Mapping[str, AttributeValue] = {"branch": "静安支行", "card": "1234", "seats": 0}


async def _pick(
    database: Database, attributes: Sequence[str] = ("branch", "card"), rule: Rule = EVERYBODY
) -> list[LocaleSamples]:
    bindings = Bindings(inputs={})
    where = compile_rule(rule, bindings, team_id=1, default_locale="zh-CN", default_zone="Asia/Shanghai", first=FIRST)
    async with database.transaction() as tx:
        return await pick_samples(tx, where, default_locale="zh-CN", attributes=attributes)


def _told(found: LocaleSamples) -> list[tuple[Why, str, tuple[str, ...]]]:
    return [(one.why, one.contact.external_id, one.lacks) for one in found.samples]


async def test_each_locale_shows_a_long_name_missing_values_and_an_ordinary_contact(
    database: Database, settings: Settings
) -> None:
    await add_contact(database, settings, "long", name="欧阳" * 20, attributes=FULL)
    await add_contact(database, settings, "half", attributes={"branch": "静安支行", "card": ""})
    await add_contact(database, settings, "bare")
    await add_contact(database, settings, "usual", name="王芳王芳王芳", attributes=FULL)
    await add_contact(database, settings, "short", name="李", attributes=FULL)
    await add_contact(database, settings, "english", name="Alex", locale="en", attributes=FULL)
    chinese, english = await _pick(database)
    assert (chinese.locale, chinese.contacts, english.locale, english.contacts) == ("zh-CN", 5, "en", 1)
    assert _told(chinese) == [
        (Why.LONGEST_NAME, "long", ()),
        (Why.LACKS_MOST, "bare", ("branch", "card")),
        (Why.ORDINARY, "usual", ()),
    ]
    assert _told(english) == [(Why.LONGEST_NAME, "english", ())]


async def test_names_of_one_length_still_show_an_ordinary_contact_beside(
    database: Database, settings: Settings
) -> None:
    for external_id in ("first", "second", "third"):
        await add_contact(database, settings, external_id, name="王芳", attributes=FULL)
    (whole,) = await _pick(database)
    assert _told(whole) == [(Why.LONGEST_NAME, "first", ()), (Why.ORDINARY, "second", ())]
    await add_contact(database, settings, "bare", name="王芳王芳")
    await add_contact(database, settings, "half", name="王芳", attributes={"card": "1234"})
    (lacking,) = await _pick(database)
    assert _told(lacking) == [
        (Why.LONGEST_NAME, "bare", ("branch", "card")),
        (Why.LACKS_MOST, "half", ("branch",)),
        (Why.ORDINARY, "first", ()),
    ]


async def test_who_has_no_locale_reads_the_bank_s(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "none", locale="")
    await add_contact(database, settings, "said", locale="zh-CN")
    assert [(one.locale, one.contacts) for one in await _pick(database)] == [("zh-CN", 2)]


async def test_a_contact_is_shown_once(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "only")
    assert [_told(one) for one in await _pick(database)] == [[(Why.LONGEST_NAME, "only", ("branch", "card"))]]


async def test_a_zero_and_a_no_are_values(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "zero", attributes={"seats": 0, "vip": False})
    assert (await _pick(database, ("seats", "vip")))[0].samples[0].lacks == ()


async def test_only_who_is_meant_is_shown(database: Database, settings: Settings) -> None:
    await add_contact(database, settings, "long", name="欧阳" * 20)
    await add_contact(database, settings, "staff", kind=ContactKind.EMPLOYEE)
    found = await _pick(database, (), KindIs(ContactKind.EMPLOYEE))
    assert [_told(one) for one in found] == [[(Why.LONGEST_NAME, "staff", ())]]
    assert await _pick(database, (), KindIs(ContactKind.WORKING_GROUP)) == []
