"""The rule builder: a form says exactly the rule it shows, or does not show it."""

from datetime import timedelta

import pytest
from starlette.datastructures import FormData

from notifier.domain.audience import (
    EVERYBODY,
    All,
    Answered,
    Any,
    Attribute,
    HasConsent,
    History,
    InList,
    KindIs,
    Not,
    Operator,
    Rule,
)
from notifier.domain.channel import Channel
from notifier.domain.contact import ContactKind
from notifier.domain.errors import InputError
from notifier.web.console.rule_form import Builder, Group, Row, change_builder, read_builder, show_rule, tell_rule

KIND = KindIs(ContactKind.CUSTOMER)
CITY = Attribute("city", Operator.IN, ("Shanghai", "Suzhou"))
LIST = InList("visitors")

SHOWN: list[Rule] = [
    KIND,
    Not(KIND),
    CITY,
    LIST,
    HasConsent(Channel.EMAIL, "education"),
    HasConsent(Channel.SMS),
    Attribute("age", Operator.AT_LEAST, 18),
    Attribute("since", Operator.BELOW, "2026-01-31"),
    Attribute("vip", Operator.IS, True),
    Attribute("rate", Operator.ABOVE, 1.5),
    Attribute("city", Operator.CONTAINS, "hai, x"),
    Attribute("city", Operator.PRESENT, True),
    Attribute("city", Operator.PRESENT, False),
    Attribute("locale", Operator.IS, "zh-CN"),
    Attribute("locale", Operator.IN, ("zh-CN", "en")),
    History(what="received", campaign="news", within=timedelta(days=30)),
    History(what="delivered", survey="any"),
    History(what="acknowledged", within=timedelta(days=7)),
    Answered(survey="opinion"),
    Answered(survey="opinion", question="rating", value=5, within=timedelta(days=30)),
    Answered(survey="opinion", question="attend", value="yes"),
    All((KIND, CITY)),
    Any((KIND, Not(CITY))),
    All((KIND, Any((CITY, LIST)))),
    Any((All((KIND, CITY)), All((KIND, LIST)))),
    All((KIND, Any((CITY, LIST)), Not(LIST))),
]


@pytest.mark.parametrize("rule", SHOWN)
def test_what_the_builder_shows_is_what_it_says(rule: Rule) -> None:
    builder = show_rule(rule)
    assert builder is not None
    assert tell_rule(builder) == rule


@pytest.mark.parametrize(
    "rule",
    [
        All((KIND, Any((CITY, All((KIND, LIST)))))),
        Not(All((KIND, CITY))),
        Not(Not(KIND)),
        History(what="received", campaign="news", step="inform"),
        History(what="received", run=202603000001),
        History(what="received", campaign="news", within=timedelta(hours=4)),
        Attribute("code", Operator.IS, "12"),
        Attribute("city", Operator.IN, ("a, b", "c")),
        Attribute("city", Operator.IS, None),
        Answered(survey="opinion", same_run=True),
    ],
)
def test_what_it_cannot_say_exactly_it_does_not_show(rule: Rule) -> None:
    assert show_rule(rule) is None


def test_everybody_is_a_form_without_rows() -> None:
    assert show_rule(EVERYBODY) == Builder(groups=(Group(),))
    assert tell_rule(Builder(groups=(Group(), Group(join="any")))) == EVERYBODY


def test_groups_without_rows_mean_nothing_and_one_condition_is_joined_to_nothing() -> None:
    builder = Builder(join="any", groups=(Group(), Group(rows=(Row(value="customer"),))))
    assert tell_rule(builder) == KIND


def test_fields_become_groups_in_their_order() -> None:
    form = FormData(
        [
            ("join", "all"),
            ("g2.join", "any"),
            ("g2.r10.what", "list"),
            ("g2.r10.value", "b"),
            ("g2.r9.what", "list"),
            ("g2.r9.value", " a "),
            ("g0.r0.what", "kind"),
            ("g0.r0.value", "customer"),
            ("g0.r0.not", "1"),
            ("other", "x"),
            ("g0.r0.evil", "x"),
        ]
    )
    assert tell_rule(read_builder(form)) == All((Not(KIND), Any((InList("a"), InList("b")))))


@pytest.mark.parametrize(
    "row",
    [
        Row(what="kind", value="king"),
        Row(what="kind"),
        Row(what="list"),
        Row(what="consent", subject="pigeon"),
        Row(what="locale"),
        Row(what="attribute", value="x"),
        Row(what="attribute", subject="city"),
        Row(what="attribute", subject="city", operator="like", value="x"),
        Row(what="attribute", subject="age", operator="above", value="old"),
        Row(what="attribute", subject="age", operator="above", value="true"),
        Row(what="received"),
        Row(what="received", subject="campaign:news", days="0"),
        Row(what="received", subject="campaign:news", days="1e3"),
        Row(what="received", subject="campaign:news", days="99999"),
        Row(what="answered"),
        Row(what="nothing"),
    ],
)
def test_a_row_that_is_not_right_is_named(row: Row) -> None:
    good = Row(value="customer")
    with pytest.raises(InputError) as caught:
        tell_rule(Builder(groups=(Group(rows=(good,)), Group(rows=(good, row)))))
    assert caught.value.field == "g1.r1"
    assert caught.value.remedy


def test_numbers_are_numbers_and_long_digits_stay_text() -> None:
    def told(value: str) -> Rule:
        return tell_rule(Builder(groups=(Group(rows=(Row(what="attribute", subject="a", value=value),)),)))

    assert told("12") == Attribute("a", Operator.IS, 12)
    assert told("1.50") == Attribute("a", Operator.IS, 1.5)
    assert told("007") == Attribute("a", Operator.IS, "007")
    assert told("9" * 30) == Attribute("a", Operator.IS, "9" * 30)
    assert told("' OR 1=1 --") == Attribute("a", Operator.IS, "' OR 1=1 --")


def test_more_conditions_than_anybody_reads_are_refused() -> None:
    fields = [(f"g0.r{number}.what", "list") for number in range(101)]
    with pytest.raises(InputError, match="100 conditions"):
        read_builder(FormData(dict(fields)))
    rows = tuple(Row(what="list", value="a") for _ in range(101))
    with pytest.raises(InputError, match="100 conditions"):
        tell_rule(Builder(groups=(Group(rows=rows),)))


def test_a_value_without_end_is_cut() -> None:
    form = FormData([("g0.r0.what", "list"), ("g0.r0.value", "x" * 10_000)])
    assert len(read_builder(form).groups[0].rows[0].value) == 2_000


@pytest.mark.parametrize(
    ("act", "shape"),
    [
        ("add-row:0", [3, 1]),
        ("remove-row:0.1", [1, 1]),
        ("remove-row:1.0", [2, 0]),
        ("add-group", [2, 1, 1]),
        ("remove-group:0", [1]),
        ("remove-group:9", [2, 1]),
        ("remove-row:x", [2, 1]),
        ("", [2, 1]),
        ("drop-table", [2, 1]),
    ],
)
def test_buttons_change_the_form(act: str, shape: list[int]) -> None:
    row = Row(value="customer")
    builder = Builder(groups=(Group(rows=(row, row)), Group(join="any", rows=(row,))))
    assert [len(group.rows) for group in change_builder(builder, act).groups] == shape


def test_there_is_always_a_group_to_begin_with() -> None:
    assert change_builder(Builder(groups=(Group(),)), "remove-group:0").groups == (Group(),)
