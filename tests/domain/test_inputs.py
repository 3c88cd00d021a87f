"""Values given to a run: held against the campaign's inputs, normalised, read back."""

from datetime import date, datetime

import pytest

from notifier.domain.campaign import Campaign, Input, InputType
from notifier.domain.errors import InputError
from notifier.domain.inputs import default_inputs, example_inputs, read_inputs, validate_inputs
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank
from notifier.domain.text import Localized

WORD = Localized({"und": "x"})
BANK = Bank(
    name=WORD, short_name=WORD, hotline="1", website="https://bank.example", app_name=WORD, sms_signature=WORD,
    sms_opt_out=WORD, footer=WORD, greeting=WORD, greeting_unnamed=WORD, sender_email="a@bank.example",
    reply_to="a@bank.example", link_domains=("bank.example",),
)  # fmt: skip
INPUTS = (
    Input(name="text", type=InputType.TEXT, label=WORD, max_length=5, example="hello"),
    Input(name="both", type=InputType.TEXT, label=WORD, localized=True, required=False),
    Input(name="number", type=InputType.NUMBER, label=WORD, default=3),
    Input(name="day", type=InputType.DATE, label=WORD, required=False),
    Input(name="begins", type=InputType.DATETIME, label=WORD, required=False),
    Input(name="last_day", type=InputType.DATE, label=WORD, required=False, not_before="day"),
    Input(name="ends", type=InputType.DATETIME, label=WORD, required=False, not_before="begins"),
    Input(name="link", type=InputType.URL, label=WORD, required=False),
    Input(name="area", type=InputType.CHOICE, label=WORD, required=False, choices=("north", "all")),
    Input(name="earlier", type=InputType.RUN, label=WORD, required=False),
)
CAMPAIGN = Campaign(
    key="x", title=WORD, purpose=Purpose.SERVICE, inputs={given.name: given for given in INPUTS}, steps=()
)


def check(**given: object) -> dict[str, object]:
    return validate_inputs(CAMPAIGN, {"text": "a", **given}, BANK)


def test_defaults_fill_in_and_optional_ones_stay_out() -> None:
    assert check() == {"text": "a", "number": 3}
    assert check(day="", area=None) == {"text": "a", "number": 3}


def test_every_value_comes_back_as_plain_json() -> None:
    texts = {"zh-CN": "网点", "en": "shop"}
    found = check(
        both=texts, number="2.5", day=date(2026, 3, 12), begins="2026-03-12T19:00", area="all", earlier="202603000001",
        link="https://www.bank.example/a?b=c",
    )  # fmt: skip
    assert found == {
        "text": "a", "both": texts, "number": 2.5, "day": "2026-03-12", "begins": "2026-03-12T19:00",
        "area": "all", "earlier": 202603000001, "link": "https://www.bank.example/a?b=c",
    }  # fmt: skip
    assert read_inputs(CAMPAIGN, found) == {
        **found,
        "day": date(2026, 3, 12),
        "begins": datetime.fromisoformat("2026-03-12T19:00"),
    }


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("text", "", "text"),
        ("text", "too long", "text"),
        ("text", 5, "text"),
        ("text", "a\x00", "text"),
        ("txet", "a", "txet"),
        ("both", "one for all", "both"),
        ("both", {"zh-CN": "网点"}, "both.en"),
        ("both", {"zh-CN": "网点", "en": "  "}, "both.en"),
        ("both", {"zh-CN": "网点", "en": "a", "fr": "b"}, "both.fr"),
        ("number", "many", "number"),
        ("number", True, "number"),
        ("number", float("nan"), "number"),
        ("number", "inf", "number"),
        ("day", "12.3.2026", "day"),
        ("day", "2026-02-30", "day"),
        ("day", "20260312", "day"),
        ("begins", "2026-03-12", "begins"),
        ("begins", "2026-03-12T19:00+08:00", "begins"),
        ("begins", "2026-03-12Tnoon", "begins"),
        ("link", "http://bank.example/", "link"),
        ("link", "https://evilbank.example/", "link"),
        ("link", "https://bank.example@evil.example/", "link"),
        ("link", "https://evil.example\\.bank.example/", "link"),
        ("link", "https://[bank.example/", "link"),
        ("area", "south", "area"),
        ("earlier", -1, "earlier"),
        ("earlier", "x", "earlier"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: object, field: str) -> None:
    with pytest.raises(InputError) as caught:
        check(**{name: value})
    assert caught.value.field == field
    assert caught.value.remedy


def test_an_end_does_not_precede_its_start() -> None:
    check(day="2026-03-12", last_day="2026-03-12")
    check(last_day="2026-03-12")  # nothing to precede
    check(begins="2026-03-12T19:00", ends="2026-03-12T19:00:30")
    with pytest.raises(InputError, match=r"^last_day: lies before 2026-03-12. Choose 2026-03-12 or later") as caught:
        check(day="2026-03-12", last_day="2026-03-11")
    assert caught.value.field == "last_day"
    with pytest.raises(InputError, match=r"^ends: lies before 2026-03-12 19:00"):
        check(begins="2026-03-12T19:00", ends="2026-03-12T18:59")


def test_a_run_nobody_filled_has_its_defaults_and_says_what_lacks() -> None:
    assert default_inputs(CAMPAIGN) == ({"number": 3}, False)


def test_examples_fill_a_preview() -> None:
    assert example_inputs(CAMPAIGN) == {"text": "hello", "number": 3}
