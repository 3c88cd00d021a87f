"""Every audience rule, tried on real rows: who is meant, who is not, also where a value is missing."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from notifier.domain.audience import (
    EVERYBODY,
    All,
    Answered,
    Any,
    Attribute,
    Bindings,
    HasConsent,
    History,
    InList,
    InputIs,
    InputRef,
    KindIs,
    Not,
    Operator,
    Rule,
)
from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ConsentAct, ConsentRecord, Contact, ContactKind
from notifier.domain.errors import InputError
from notifier.store.audience import compile_rule, count_audience
from notifier.store.contact_batches import Columns, ensure_list, write_contacts
from notifier.store.contacts import row_of, upsert_contact
from notifier.store.database import Database, Tx

TEAM = 1
KEY = b"k" * 32
RUN, OTHER_RUN = 202611000001, 202611000002
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)


def act(channel: Channel, act: ConsentAct, topic: str = "") -> ConsentRecord:
    return ConsentRecord(channel=channel, act=act, topic=topic, source="test", at=AT)


IN, OUT = ConsentAct.OPT_IN, ConsentAct.OPT_OUT
PEOPLE = (
    Contact(
        external_id="a",
        name="Anna Li",
        locale="en",
        zone="Europe/London",
        attributes={"city": "Shanghai", "age": 30, "vip": True, "since": "2026-03-12", "code": "007"},
        consents=(act(Channel.EMAIL, IN, "education"),),
    ),
    Contact(
        external_id="b",
        attributes={"city": "Suzhou", "age": 40.5, "vip": False, "since": "2026-03-12T10:00", "code": 7},
        consents=(act(Channel.EMAIL, IN), act(Channel.EMAIL, OUT, "education")),
    ),
    Contact(
        external_id="c",
        attributes={"age": "40", "city": "", "since": "soon"},
        consents=(act(Channel.EMAIL, IN, "education"), act(Channel.EMAIL, OUT)),
    ),
    Contact(external_id="d", kind=ContactKind.EMPLOYEE, consents=(act(Channel.EMAIL, IN),)),
)


@pytest.fixture
async def tx(database: Database) -> AsyncIterator[Tx]:
    async with database.transaction() as opened:
        for person in PEOPLE:
            await upsert_contact(opened, TEAM, person, KEY)
        await opened.execute("INSERT INTO notifier.teams VALUES (2, 'other') ON CONFLICT DO NOTHING")
        await upsert_contact(opened, 2, Contact(external_id="z", attributes={"city": "Shanghai"}), KEY)
        yield opened


async def chosen(tx: Tx, rule: Rule, inputs: Mapping[str, object] | None = None, run_id: int = 0) -> str:
    bindings = Bindings(inputs=inputs or {}, run_id=run_id)
    found = compile_rule(rule, bindings, team_id=TEAM, default_locale="zh-CN", default_zone="Asia/Shanghai")
    rows = await tx.fetch(f"SELECT external_id FROM notifier.contacts c WHERE {found.sql} ORDER BY c.id", *found.params)
    number = await count_audience(
        tx, rule, bindings, team_id=TEAM, default_locale="zh-CN", default_zone="Asia/Shanghai"
    )
    assert number == len(rows)
    return "".join(row["external_id"] for row in rows)


def attribute(name: str, operator: Operator, operand: AttributeValue | tuple[AttributeValue, ...] | InputRef) -> Rule:
    return Attribute(name, operator, operand)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (EVERYBODY, "abcd"),
        (Any(()), ""),
        (Not(EVERYBODY), ""),
        (KindIs(ContactKind.CUSTOMER), "abc"),
        (Not(KindIs(ContactKind.CUSTOMER)), "d"),
        (attribute("city", Operator.IS, "Shanghai"), "a"),
        (Not(attribute("city", Operator.IS, "Shanghai")), "bcd"),
        (attribute("city", Operator.IN, ("Shanghai", "Suzhou")), "ab"),
        (Not(attribute("city", Operator.IN, ("Shanghai", "Suzhou"))), "cd"),
        (attribute("age", Operator.IN, (30, "40")), "ac"),
        (attribute("age", Operator.IN, ()), ""),
        (attribute("city", Operator.IN, (None, "Suzhou")), "bd"),
        (attribute("age", Operator.IS, 30), "a"),
        (attribute("age", Operator.IS, 30.0), "a"),
        (attribute("age", Operator.IS, 40), ""),
        (attribute("age", Operator.IS, "40"), "c"),
        (attribute("vip", Operator.IS, True), "a"),
        (attribute("vip", Operator.IS, False), "b"),
        (attribute("vip", Operator.IS, 1), ""),
        (attribute("code", Operator.IS, "7"), "b"),
        (attribute("code", Operator.IS, "007"), "a"),
        (attribute("city", Operator.IS, None), "d"),
        (attribute("city", Operator.CONTAINS, "SH"), "a"),
        (attribute("city", Operator.CONTAINS, "%"), ""),
        (Not(attribute("city", Operator.CONTAINS, "sh")), "bcd"),
        (attribute("age", Operator.ABOVE, 30), "b"),
        (attribute("age", Operator.AT_LEAST, 30), "ab"),
        (attribute("age", Operator.BELOW, 40.5), "a"),
        (attribute("age", Operator.AT_MOST, 40.5), "ab"),
        (Not(attribute("age", Operator.ABOVE, 30)), "acd"),
        (attribute("since", Operator.AT_MOST, "2026-03-12"), "ab"),
        (attribute("since", Operator.ABOVE, "2026-03-12"), ""),
        (attribute("since", Operator.ABOVE, "2026-03-11"), "ab"),
        (attribute("since", Operator.BELOW, "2026-04-01"), "ab"),
        (attribute("city", Operator.PRESENT, True), "ab"),
        (attribute("city", Operator.PRESENT, False), "cd"),
        (attribute("name", Operator.IS, "Anna Li"), "a"),
        (attribute("name", Operator.PRESENT, False), "bcd"),
        (attribute("name", Operator.CONTAINS, "anna"), "a"),
        (attribute("name", Operator.ABOVE, 3), ""),
        (attribute("locale", Operator.IS, "zh-CN"), "bcd"),
        (attribute("zone", Operator.IN, ("Europe/London",)), "a"),
        (attribute("'; DROP TABLE notifier.contacts; --", Operator.IS, "' OR true --"), ""),
        (HasConsent(Channel.EMAIL), "bd"),
        (HasConsent(Channel.EMAIL, "education"), "ad"),
        (Not(HasConsent(Channel.EMAIL, "education")), "bc"),
        (HasConsent(Channel.SMS), ""),
        (All((KindIs(ContactKind.CUSTOMER), Not(attribute("vip", Operator.PRESENT, True)))), "c"),
        (Any((KindIs(ContactKind.EMPLOYEE), attribute("age", Operator.IS, 30))), "ad"),
    ],
)
async def test_a_rule_means(tx: Tx, rule: Rule, expected: str) -> None:
    assert await chosen(tx, rule) == expected


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (Attribute("city", Operator.IS, InputRef("x")), "Suzhou", "b"),
        (Attribute("city", Operator.IS, InputRef("x")), {"zh-CN": "Shanghai", "en": "Suzhou"}, "ab"),
        (Attribute("city", Operator.IN, InputRef("x")), ["Suzhou"], "b"),
        (Attribute("city", Operator.IS, InputRef("x")), None, ""),
        (Attribute("since", Operator.AT_MOST, InputRef("x")), date(2026, 3, 12), "ab"),
        (InputIs("x", "all"), "all", "abcd"),
        (InputIs("x", "all"), "静安支行", ""),
        (InputIs("x", "all"), None, ""),
        (InputIs("x", 3), "3", "abcd"),
        (Not(InputIs("x", "all")), "all", ""),
    ],
)
async def test_an_input_decides(tx: Tx, rule: Rule, value: object, expected: str) -> None:
    assert await chosen(tx, rule, {"x": value}) == expected


def test_an_input_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="branch"):
        compile_rule(InputIs("branch", "all"), Bindings(inputs={}), team_id=1, default_locale="en", default_zone="UTC")


@pytest.mark.parametrize(
    "rule",
    [
        Attribute("age", Operator.ABOVE, InputRef("x")),
        History(what="received", run=InputRef("x")),
    ],
)
def test_an_input_of_the_wrong_kind_is_named(rule: Rule) -> None:
    with pytest.raises(InputError):
        compile_rule(rule, Bindings(inputs={"x": "soon"}), team_id=1, default_locale="en", default_zone="UTC")


def test_parameters_are_numbered_from_where_the_caller_says() -> None:
    fragment = compile_rule(
        KindIs(ContactKind.CUSTOMER), Bindings(inputs={}), team_id=1, default_locale="en", default_zone="UTC", first=9
    )
    assert "$9::int" in fragment.sql
    assert "$10::text" in fragment.sql
    assert fragment.params == (1, "customer")


async def test_a_list_means_its_members(tx: Tx) -> None:
    list_id = await ensure_list(tx, TEAM, "visitors")
    await write_contacts(tx, TEAM, [row_of(PEOPLE[1], KEY)], Columns(fields=frozenset()), list_id=list_id)
    assert await chosen(tx, InList("visitors")) == "b"
    assert await chosen(tx, Not(InList("visitors"))) == "acd"
    assert await chosen(tx, InList("nobody")) == ""


@pytest.fixture
async def past(tx: Tx) -> Tx:
    """Run 1 of `notice`: a delivered, b accepted nine days ago, c bounced, d queued; run 2: an invitation to b."""
    await tx.execute("SELECT notifier.make_month(202611)")
    definition = await tx.fetchval(
        """
        INSERT INTO notifier.definitions (team_id, kind, key, version, hash, spec)
        VALUES (1, 'campaign', 'notice', 1, '', '{}') RETURNING id
        """
    )
    for run_id, campaign in ((RUN, "notice"), (OTHER_RUN, "satisfaction")):
        await tx.execute(
            """
            INSERT INTO notifier.runs (id, team_id, campaign_id, campaign_key, kind, state, nominal_at, purpose, launched_by)
            VALUES ($1, 1, $2, $3, 'launched', 'running', notifier.now(), 'service', 'test')
            """,
            run_id,
            definition,
            campaign,
        )
    await message(tx, RUN, 1, "a", "delivered", timedelta(days=1))
    await message(tx, RUN, 2, "b", "accepted", timedelta(days=9))
    await message(tx, RUN, 3, "c", "bounced", timedelta(days=1))
    await message(tx, RUN, 4, "d", "queued", None)
    await message(tx, OTHER_RUN, 5, "b", "delivered", timedelta(days=2))
    await message(tx, OTHER_RUN, 6, None, "accepted", timedelta(days=2))
    await tx.execute(
        "INSERT INTO notifier.events (run_id, message_id, event_key, kind) VALUES ($1, 1, 'e', 'clicked')", RUN
    )
    await tx.execute(
        "INSERT INTO notifier.events (run_id, message_id, event_key, kind) VALUES ($1, 2, 'e', 'opened')", RUN
    )
    await tx.execute(
        """
        INSERT INTO notifier.events (run_id, message_id, event_key, kind, source)
        VALUES ($1, 2, 'm', 'clicked', 'machine')
        """,
        RUN,
    )
    survey = await tx.fetchval(
        """
        INSERT INTO notifier.definitions (team_id, kind, key, version, hash, spec)
        VALUES (1, 'survey', 'monthly', 1, '', '{}') RETURNING id
        """
    )
    invitation = await tx.fetchval(
        """
        INSERT INTO notifier.invitations
            (team_id, run_id, step, message_id, contact_id, survey_id, survey_key, month, closes_at, answered_at)
        SELECT 1, $1, 'inform', 5, id, $2, 'monthly', 11, notifier.now(), notifier.now()
        FROM notifier.contacts WHERE external_id = 'b' RETURNING id
        """,
        OTHER_RUN,
        survey,
    )
    response = await tx.fetchval(
        """
        INSERT INTO notifier.responses (team_id, survey_id, survey_key, invitation_id, run_id, contact_id, source)
        SELECT 1, $1, 'monthly', $2, $3, id, 'page' FROM notifier.contacts WHERE external_id = 'b' RETURNING id
        """,
        survey,
        invitation,
        OTHER_RUN,
    )
    await tx.execute(
        "INSERT INTO notifier.answers VALUES ($1, 'rating', 4, NULL), ($1, 'attend', NULL, 'yes')", response
    )
    return tx


async def message(tx: Tx, run_id: int, number: int, who: str | None, state: str, ago: timedelta | None) -> None:
    await tx.execute(
        """
        INSERT INTO notifier.messages (run_id, id, recipient_id, contact_id, due_at, expires_at, team_id, lane, step,
            channel, state, accepted_at, changed_at)
        SELECT $1, $2, $2, (SELECT id FROM notifier.contacts WHERE external_id = $3), notifier.now(), notifier.now(), 1,
            3, 'inform', 'email', $4, notifier.now() - $5::interval, notifier.now() - $5::interval
        """,
        run_id,
        number,
        who,
        state,
        ago,
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (History(what="received", campaign="notice"), "ab"),
        (Not(History(what="received", campaign="notice")), "cd"),
        (History(what="received", campaign="notice", within=timedelta(days=6)), "a"),
        (History(what="received", campaign="notice", step="inform"), "ab"),
        (History(what="received", campaign="notice", step="other"), ""),
        (History(what="received", run=RUN), "ab"),
        (History(what="received", run=InputRef("corrects")), "ab"),
        (History(what="received", run=InputRef("nothing")), ""),
        (History(what="delivered", run=RUN), "a"),
        (History(what="delivered", within=timedelta(days=3)), "ab"),
        (History(what="acknowledged", campaign="notice"), "a"),
        (History(what="acknowledged", campaign="notice", within=timedelta(hours=1)), "a"),
        (History(what="acknowledged", run=OTHER_RUN), "b"),
        (History(what="received", survey="any", within=timedelta(days=90)), "b"),
        (Not(History(what="received", survey="any", within=timedelta(days=90))), "acd"),
        (History(what="received", survey="monthly"), "b"),
        (History(what="received", survey="yearly"), ""),
        (Answered(survey="monthly"), "b"),
        (Not(Answered(survey="monthly")), "acd"),
        (Answered(survey="any", within=timedelta(days=1)), "b"),
        (Answered(survey="yearly"), ""),
        (Answered(survey="monthly", question="attend"), "b"),
        (Answered(survey="monthly", question="attend", value="yes"), "b"),
        (Answered(survey="monthly", question="attend", value="no"), ""),
        (Answered(survey="monthly", question="rating", value=4), "b"),
        (Answered(survey="monthly", question="rating", value="4"), "b"),
        (Answered(survey="monthly", question="rating", value=5), ""),
        (Answered(survey="monthly", question="attend", value="yes", same_run=True), "b"),
    ],
)
async def test_the_past_decides(past: Tx, rule: Rule, expected: str) -> None:
    inputs = {"corrects": str(RUN), "nothing": None}
    assert await chosen(past, rule, inputs, run_id=OTHER_RUN) == expected


@pytest.mark.parametrize("state", ["uncertain", "sending", "expired"])
async def test_a_correction_reaches_also_who_may_have_what_it_corrects(past: Tx, state: str) -> None:
    await past.execute("UPDATE notifier.messages SET state = $2 WHERE run_id = $1 AND id = 4", RUN, state)
    await past.execute(
        "INSERT INTO notifier.events (run_id, message_id, event_key, kind) VALUES ($1, 4, 'e', 'uncertain')", RUN
    )
    assert await chosen(past, History(what="received", run=RUN)) == "abd"
    assert await chosen(past, History(what="received", campaign="notice")) == "ab"


async def test_what_expired_without_a_doubt_was_not_received(past: Tx) -> None:
    await past.execute("UPDATE notifier.messages SET state = 'expired', attempts = 3 WHERE run_id = $1 AND id = 4", RUN)
    assert await chosen(past, History(what="received", run=RUN)) == "ab"


async def test_answers_of_another_run_do_not_count_in_this_one(past: Tx) -> None:
    rule = Answered(survey="monthly", question="attend", value="yes", same_run=True)
    assert await chosen(past, rule, run_id=RUN) == ""
    assert await chosen(past, rule) == ""
