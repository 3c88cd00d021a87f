"""The words themselves: values that files and tables hold, text in several languages, templates, surveys."""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from datetime import timedelta

import pytest

from notifier import domain
from notifier.domain.account import Account, SecretRef
from notifier.domain.audience import EVERYBODY, All, Answered, Any, Attribute, History, InputRef, Not, Operator, Rule
from notifier.domain.campaign import Campaign, Condition, Schedule, Step
from notifier.domain.channel import Channel, EmailContent, Outgoing
from notifier.domain.contact import Contact, ContactKind
from notifier.domain.event import STATE_AFTER, EventKind, ProviderEvent
from notifier.domain.message import State
from notifier.domain.survey import Question, QuestionType, Survey
from notifier.domain.template import Template
from notifier.domain.text import Localized

CANARY = "canary@example.com"
TITLE = Localized({"en": "Title"})


def domain_classes() -> Iterator[type]:
    for module in pkgutil.iter_modules(domain.__path__):
        name = f"{domain.__name__}.{module.name}"
        members = inspect.getmembers(importlib.import_module(name), inspect.isclass)
        yield from (kind for _, kind in members if kind.__module__ == name)


def template(*names: str, fallback: dict[str, str] | None = None) -> Template:
    files = dict.fromkeys(names, "")
    return Template(key="x", title=TITLE, purpose=None, subject=TITLE, files=files, fallback=fallback or {})


# --- rules of the room -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(set(domain_classes()), key=str))
def test_every_word_has_a_meaning_and_every_record_is_frozen(kind: type) -> None:
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")
    if dataclasses.is_dataclass(kind):
        assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert "__slots__" in vars(kind)


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ({"zh-CN": "你好", "en": "Hello"}, "Hello"),
        ({"zh-CN": "你好", "fr": "Salut"}, "你好"),
        ({"zh-CN": "你好", "en": ""}, "你好"),
        ({"fr": "Salut"}, "Salut"),
        ({}, ""),
    ],
)
def test_text_is_shown_in_the_locale_else_the_default_else_any(texts: dict[str, str], shown: str) -> None:
    assert Localized(texts).get("en", "zh-CN") == shown


# --- audience --------------------------------------------------------------------------------------------------------


def test_a_rule_is_a_value_that_can_be_compared_and_hashed() -> None:
    def build() -> Rule:
        city = Attribute("city", Operator.IN, ("Shanghai", "Suzhou"))
        corrected = History(what="received", run=InputRef("corrects"), within=timedelta(days=6))
        return All((Any((city, Answered(survey="lecture", value="yes"))), Not(corrected)))

    assert build() == build()
    assert hash(build()) == hash(build())
    assert build() != EVERYBODY == All(())


def test_operators_are_spelled_as_in_the_files() -> None:
    words = "is in contains above at_least below at_most present"
    assert [operator.value for operator in Operator] == words.split()


# --- campaign --------------------------------------------------------------------------------------------------------


def test_a_campaign_without_rule_or_schedule_is_for_everybody_on_demand() -> None:
    step = Step(name="inform", template="x", channels=(Channel.EMAIL,))
    campaign = Campaign(key="x", title=TITLE, purpose=None, steps=(step,))
    assert campaign.audience == step.audience == EVERYBODY
    assert campaign.schedule == Schedule()
    assert campaign.schedule.start is None
    assert (step.sample_pct, step.after) == (100.0, timedelta())


def test_a_step_with_accounts_is_a_post() -> None:
    assert Step(name="post", template="x", accounts=("wechat",)).is_post
    assert not Step(name="inform", template="x", channels=(Channel.SMS,)).is_post


def test_conditions_ask_only_for_what_is_certain() -> None:
    assert [condition.value for condition in Condition] == ["not-delivered", "not-acknowledged", "not-answered"]


# --- templates -------------------------------------------------------------------------------------------------------


def test_locales_of_a_template_are_those_of_its_files() -> None:
    files = (
        "email.zh-CN.html",
        "email.zh-CN.txt",
        "email.en.txt",
        "sms.zh-CN.txt",
        "sms.en.txt",
        "_layouts/email.html",
    )
    assert template(*files).locales(Channel.EMAIL) == {"zh-CN"}
    assert template(*files).locales(Channel.SMS) == {"zh-CN", "en"}
    assert template(*files).locales(Channel.SOCIAL) == frozenset()


@pytest.mark.parametrize(
    ("wanted", "default", "found"),
    [("en", "zh-CN", "en"), ("zh-TW", "en", "zh-CN"), ("fr", "en", "en"), ("fr", "de", None), ("", "en", "en")],
)
def test_a_locale_falls_back_as_declared_then_to_the_banks(wanted: str, default: str, found: str | None) -> None:
    bilingual = template("sms.zh-CN.txt", "sms.en.txt", fallback={"zh-TW": "zh-CN"})
    assert bilingual.locale_for(Channel.SMS, wanted, default) == found


# --- surveys ---------------------------------------------------------------------------------------------------------


def test_a_survey_finds_its_questions_by_key() -> None:
    question = Question(key="rating", type=QuestionType.RATING, text=TITLE)
    survey = Survey(key="x", title=TITLE, intro=TITLE, thanks=TITLE, questions=(question,))
    assert survey.question("rating") is question
    assert survey.question("other") is None


# --- events ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EventKind.OPENED, EventKind.CLICKED, EventKind.COMPLAINED, EventKind.OPTED_OUT])
def test_what_a_machine_or_the_contact_did_moves_no_message(kind: EventKind) -> None:
    assert kind not in STATE_AFTER


def test_providers_cannot_queue_claim_or_cancel() -> None:
    assert set(STATE_AFTER.values()) == {State.ACCEPTED, State.DELIVERED, State.BOUNCED, State.FAILED}


# --- personal data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        Contact(external_id="1", name=CANARY, email=CANARY, phone=CANARY, attributes={"city": CANARY}),
        Outgoing(
            public_id="m.1.2.x",
            channel=Channel.EMAIL,
            to=CANARY,
            sender="bank",
            content=EmailContent(subject=CANARY, html=CANARY, text=CANARY),
            mime=CANARY.encode(),
        ),
        ProviderEvent(public_id="", event_key="1", kind=EventKind.BOUNCED_HARD, reason=f"<{CANARY}> unknown"),
        Account(key="email", title=TITLE, channel=Channel.EMAIL, provider="smtp", settings={"user": CANARY}),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_mask_personal_data_when_printed(record: object) -> None:
    assert "canary" not in repr(record)


def test_accounts_name_their_secrets_and_hold_none() -> None:
    account = Account(
        key="email",
        title=TITLE,
        channel=Channel.EMAIL,
        provider="smtp",
        secrets={"password": SecretRef("SMTP_PASSWORD")},
    )
    assert {field.name for field in dataclasses.fields(SecretRef)} == {"env"}
    assert account.secrets["password"].env == "SMTP_PASSWORD"


def test_kinds_of_contacts_are_spelled_as_in_the_files() -> None:
    assert [kind.value for kind in ContactKind] == ["customer", "employee", "working-group"]
