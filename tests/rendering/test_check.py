"""Check finds what would go wrong later, and survives what would kill it."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal

import pytest

from notifier.domain.purpose import Purpose
from notifier.domain.template import Template, Variable
from notifier.domain.text import Localized
from notifier.rendering.bounded import check_in_subprocess
from notifier.rendering.carry import from_json, to_json
from notifier.rendering.check import check_template
from notifier.rendering.problems import Severity
from tests.rendering.cases import BANK, notice, text_template


def texts(template: Template) -> list[str]:
    return [problem.text for problem in check_template(template, BANK)]


def variables(*declared: Variable) -> Mapping[str, Variable]:
    return {variable.path: variable for variable in declared}


def social(source: str, *declared: Variable) -> Template:
    return notice(files={"social.en.txt": source}, subject=Localized({}), variables=variables(*declared))


def test_a_good_template_has_no_problem() -> None:
    assert check_template(notice(), BANK) == []


def test_a_variable_must_be_declared() -> None:
    (problem, *_) = check_template(social("ab\n{{ inputs.week }}"), BANK)
    assert str(problem.place) == "templates/notice/social.en.txt:2:4"
    assert problem.text == "`inputs.week` is not declared"
    assert problem.remedy == "Add `inputs.week: {example: …}` under variables"


def test_a_declared_variable_must_be_used() -> None:
    assert texts(social("x", Variable(path="inputs.week", example=1))) == ["`inputs.week` is declared but never used"]


def test_only_run_and_contact_values_can_be_declared() -> None:
    assert texts(social("{{ bank.name }}", Variable(path="bank.name", example=1))) == ["`bank.name` cannot be declared"]


@pytest.mark.parametrize("path", ["bank.secret", "links.admin", "contact.email", "message.id", "survey.answers"])
def test_what_no_message_has_is_said_so(path: str) -> None:
    assert f"`{path}` does not exist" in texts(social("{% if " + path + " %}x{% endif %}"))


def test_every_locale_is_rendered_with_the_examples() -> None:
    only_chinese = Variable(path="inputs.a", example={"zh-CN": "好"})
    template = notice(
        files={"social.en.txt": "{{ inputs.a }}", "social.zh-CN.txt": "{{ inputs.a }}"},
        subject=Localized({}),
        variables=variables(only_chinese),
    )
    problems = check_template(template, BANK)
    assert {problem.place.file for problem in problems} == {"templates/notice/social.en.txt"}
    assert "inputs.a is not set" in problems[0].text


def test_optional_variables_are_also_left_out() -> None:
    tier = Variable(path="contact.attributes.tier", example="gold", optional=True)
    (problem,) = check_template(social("{{ contact.attributes.tier }}", tier), BANK)
    assert "without a name and the optional variables" in problem.text
    assert "contact.attributes.tier is not set" in problem.text
    assert texts(social("{{ contact.attributes.tier|default('-') }}", tier)) == []


def test_a_text_that_needs_a_name_is_found() -> None:
    (problem,) = check_template(social("Dear {{ contact.name }}"), BANK)
    assert "contact.name is not set" in problem.text


def test_a_dear_sms_is_a_remark_not_an_error() -> None:
    template = notice(files={"sms.zh-CN.txt": "汉" * 140}, subject=Localized({}), variables={})
    (problem,) = check_template(template, BANK)
    assert problem.severity is Severity.REMARK
    assert problem.text.startswith("takes 3 parts (146 characters, UCS-2)")


def test_html_text_and_subject_belong_together() -> None:
    template = notice(files={"email.en.html": "<p>x</p>", "email.de.txt": "x"}, subject=Localized({}), variables={})
    found = texts(template)
    assert {"has no plain text beside it", "has no HTML beside it", "has no subject in en"} <= set(found)
    assert texts(notice(files={}, subject=Localized({}), variables={})) == ["has no text"]


def test_marketing_mail_must_offer_the_way_out() -> None:
    files = {"email.en.html": "<p>x</p>", "email.en.txt": "x {{ links.unsubscribe }}"}
    fields: dict[str, object] = {"purpose": Purpose.MARKETING, "subject": Localized({"en": "s"}), "variables": {}}
    (problem,) = check_template(notice(files=files, **fields), BANK)
    assert problem.place.file == "templates/notice/email.en.html"
    assert problem.text == "is marketing without an unsubscribe link"
    assert check_template(notice(purpose=Purpose.MARKETING), BANK) == []


@pytest.mark.parametrize("link", ["online", "verify", "preferences", "unsubscribe"])
def test_a_link_that_not_every_message_has_must_be_asked_for(link: str) -> None:
    found = check_template(social(f"{{{{ links.{link} }}}}"), BANK)
    assert any(f"links.{link} is not set" in problem.text for problem in found)
    assert check_template(social(f"x{{% if links.{link} %}}{{{{ links.{link} }}}}{{% endif %}}"), BANK) == []
    assert check_template(social("{{ links.survey }}"), BANK) == []


@pytest.mark.parametrize(
    "markup",
    [
        "<script>x</script>",
        '<link href="/etc/passwd" rel="stylesheet">',
        '<style>@import "http://127.0.0.1/x.css"</style>',
        '<img src="http://example.com/pixel.gif">',
        '<p onclick="x">x</p>',
        '<iframe src="https://example.com"></iframe>',
    ],
)
def test_markup_that_loads_or_runs_something_is_refused(markup: str) -> None:
    template = notice(
        files={"email.en.html": markup, "email.en.txt": "x"}, subject=Localized({"en": "s"}), variables={}
    )
    assert any("in an e-mail" in text for text in texts(template))


def test_a_case_survives_the_way_to_the_process_and_back() -> None:
    assert from_json(to_json(notice(), BANK)) == (notice(), BANK)


def test_examples_of_every_kind_survive_too() -> None:
    examples: list[object] = [
        date(2026, 3, 12),
        datetime(2026, 3, 12, 9, tzinfo=UTC),
        clock(9, 30),
        Decimal("1.50"),
        {"en": "x", "zh-CN": "y"},
        [1, "a", None],
        2.5,
        True,
    ]
    declared = [Variable(path=f"inputs.v{number}", example=example) for number, example in enumerate(examples)]
    template = social("x", *declared)
    assert from_json(json.loads(json.dumps(to_json(template, BANK))))[0] == template


def test_the_process_finds_the_same() -> None:
    assert check_in_subprocess(notice(), BANK) == []
    bad = social("{{ inputs.week }}{{ contact.name }}")
    assert check_in_subprocess(bad, BANK) == check_template(bad, BANK)


BOMBS = [
    "{{ 'a' * 10**10 }}",
    "{{ '%1000000000d' % 1 }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ lipsum(n=2000000) }}",
    "{{ 'x'|center(9999999999) }}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ " + "-" * 90_000 + "1 }}",
    "{% if 1 %}" * 20_000,
    "{% if 1 %}" * 150 + "x" + "{% endif %}" * 150,
    "{{ [" + "1," * 60_000 + "] }}",
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: str(source)[:40])
def test_a_bomb_is_refused_within_seconds(source: str) -> None:
    began = time.monotonic()
    problems = check_in_subprocess(text_template(source), BANK)
    assert problems
    assert problems[0].severity is Severity.ERROR
    assert time.monotonic() - began < 20  # a busy machine; without the limits it would be minutes


@pytest.mark.parametrize(("timeout_s", "memory_mb"), [(2, 30), (0, 2048)])
def test_a_template_that_needs_more_than_the_limits_is_refused(timeout_s: float, memory_mb: int) -> None:
    heavy = {f"part{number}__txt": "{{ inputs.a }}" * 14_000 for number in range(20)}
    (problem,) = check_in_subprocess(text_template("x", **heavy), BANK, timeout_s=timeout_s, memory_mb=memory_mb)
    assert problem.text.startswith("takes more than")
    assert problem.remedy
