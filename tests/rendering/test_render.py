"""A template and a contact's values become exactly the content that was meant, or an error that names the gap."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from notifier.domain.channel import Channel, Content, EmailContent, PostContent
from notifier.domain.errors import DefinitionError, RenderError
from notifier.domain.purpose import Purpose
from notifier.domain.text import Localized
from notifier.rendering.cleaning import clean_text
from notifier.rendering.context import RenderContext
from notifier.rendering.html import HtmlShapes, inline_css
from notifier.rendering.render import compile_template, content_hash
from tests.rendering.cases import BANK, CONTEXT, LAYOUT, email, html, html_template, notice, post, sms, text_template

NOTICE = compile_template(notice(), BANK)
TWO = compile_template(html_template("<p>{{ inputs.a }}|</p><p>{{ inputs.b }}</p>"), BANK)
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}{% raw %}&\"'"


def test_an_email_has_subject_html_and_text_in_its_locale() -> None:
    content = email(NOTICE, CONTEXT)
    assert content.subject == "News: Bund branch"
    assert content.text == "Dear Alex Chen,\n\nBund branch, March 12, 2026\n"
    assert "<p style=" in content.html
    assert "Jing&#39;an" in content.html
    chinese = email(NOTICE, CONTEXT, "zh-CN")
    assert chinese.subject == "通报 外滩支行"
    assert "2026年3月12日" in chinese.html
    assert "江畔银行" in chinese.html


@pytest.mark.parametrize("links", [{}, {"survey": ""}])
def test_a_link_that_is_not_there_can_be_asked_for_but_never_printed(links: dict[str, str]) -> None:
    context = replace(CONTEXT, links=links)
    assert post("{% if links.survey %}{{ links.survey }}{% else %}none{% endif %}", context) == "none"
    with pytest.raises(RenderError, match=r"links\.survey is not set"):
        post("Answer: {{ links.survey }}", context)


def test_the_greeting_works_without_a_name() -> None:
    nobody = replace(CONTEXT, name="")
    assert email(NOTICE, nobody).text.startswith("Dear customer,")
    assert "尊敬的客户：" in email(NOTICE, nobody, "zh-CN").html


def test_styles_move_into_the_elements_and_media_queries_stay() -> None:
    rendered = email(NOTICE, CONTEXT).html
    assert 'style="color: #0b5d5e;"' in rendered
    assert "@media" in rendered


def test_styles_are_inlined_as_they_would_be_in_the_finished_mail() -> None:
    source = LAYOUT.replace("{% block content %}{% endblock %}", '<p title="{{ inputs.a }}">{{ inputs.b }}</p>')
    values = {"a": "x & <y>", "b": "汉 \" '"}
    whole = source
    for name, value in (
        ("bank.accent", BANK.accent),
        ("bank.name", "Riverside Bank"),
        ("bank.footer", BANK.footer.texts["en"]),
    ):
        whole = whole.replace("{{ " + name + " }}", value)
    whole = whole.replace("{{ inputs.a }}", "x &amp; &lt;y&gt;").replace("{{ inputs.b }}", "汉 &#34; &#39;")
    whole = whole[: whole.index("{% if")] + "</body></html>\n"
    # Only the spelling of escapes and of the last line end may differ.
    rendered = html(source, RenderContext(inputs=values))
    assert unescape(rendered).split() == unescape(inline_css(whole)).split()


def test_a_value_that_inlining_would_touch_is_inlined_with_the_finished_mail() -> None:
    source = "<html><head><style>p { color: {{ inputs.colour }} }</style></head><body><p>x</p><p>y</p></body></html>"
    for colour in ("red", "blue"):
        rendered = html(source, RenderContext(inputs={"colour": colour}))
        assert rendered.count(f'<p style="color: {colour};">') == 2


def test_every_branch_has_its_own_shape() -> None:
    source = "<p>{% if inputs.n > 1 %}many {{ inputs.a }}{% else %}one {{ inputs.a }}{{ inputs.a }}{% endif %}</p>"
    compiled = compile_template(html_template(source), BANK)
    for number, expected in ((1, "one xx"), (2, "many x"), (1, "one yy"), (2, "many y")):
        value = expected[-1]
        rendered = email(compiled, RenderContext(inputs={"n": number, "a": value})).html
        assert expected in rendered


def test_a_layout_compiled_while_a_mail_renders_keeps_its_own_words() -> None:
    files = {
        "_layouts/l.html": "<p>{{ 'fixed' }}</p>{% block content %}{% endblock %}",
        "_layouts/m.html": "{% macro m(x) %}<b>{{ 'word' }}{{ x }}</b>{% endmacro %}",
    }
    source = (
        '{% extends "_layouts/l.html" %}{% from "_layouts/m.html" import m %}'
        "{% block content %}<i>{{ inputs.a }}</i>{{ m(inputs.b) }}{% endblock %}"
    )
    compiled = compile_template(html_template(source, **files), BANK)
    for first, second in (("1", "2"), ("3", "4")):
        rendered = email(compiled, RenderContext(inputs={"a": first, "b": second})).html
        assert f"<p>fixed</p><i>{first}</i><b>word{second}</b>" in rendered


def test_shapes_are_bounded_in_number() -> None:
    shapes = HtmlShapes()
    for number in range(200):
        assert f"<p>{number} v</p>" in shapes.fill(f"<p>{number} \ue0000\ue001</p>", ["v"])


def test_an_sms_carries_the_signature_and_marketing_its_way_out() -> None:
    assert sms(NOTICE, CONTEXT).text == "Riverside Bank: Bund branch."
    assert sms(NOTICE, CONTEXT, "zh-CN").text == "【江畔银行】外滩支行暂停营业。"
    marketing = replace(CONTEXT, purpose=Purpose.MARKETING)
    assert sms(NOTICE, marketing).text == "Riverside Bank: Bund branch. Reply STOP to opt out"
    assert sms(NOTICE, marketing, "zh-CN").text == "【江畔银行】外滩支行暂停营业。拒收请回复R"


def test_parts_are_counted_on_the_rendered_text() -> None:
    long = replace(CONTEXT, inputs={**CONTEXT.inputs, "closed_branches": "汉" * 70})
    content = sms(NOTICE, long, "zh-CN")
    assert (content.parts, content.encoding) == (2, "UCS-2")


def test_an_sms_of_more_than_ten_parts_is_refused() -> None:
    with pytest.raises(RenderError, match="parts"):
        sms(NOTICE, replace(CONTEXT, inputs={**CONTEXT.inputs, "closed_branches": "汉" * 700}))


def test_a_quote_from_a_word_processor_does_not_double_the_price() -> None:
    assert sms(NOTICE, replace(CONTEXT, inputs={**CONTEXT.inputs, "closed_branches": "Jing’an"})).encoding == "GSM-7"


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"inputs": {"date": date(2026, 3, 12)}}, "inputs.closed_branches"),
        ({"inputs": {"closed_branches": "x", "date": None}}, "inputs.date"),
        ({"inputs": {"closed_branches": {"fr": "x"}, "date": date(2026, 3, 12)}}, "inputs.closed_branches"),
    ],
)
def test_a_missing_value_is_named_and_nothing_is_rendered(missing: dict[str, object], named: str) -> None:
    with pytest.raises(RenderError, match=named):
        NOTICE.render(Channel.EMAIL, "en", replace(CONTEXT, **missing))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    [
        "{{ contact.name }}",
        "{{ contact.attributes.tier }}",
        "{{ contact.attributes.empty }}",
        "{{ contact.attributes.none }}",
        "{{ inputs.none }}",
        "{{ inputs.none|upper }}",
        "{{ inputs.none|date }}",
        "{{ inputs.none|money }}",
        "{{ inputs.none|number }}",
        "{{ inputs.none|join }}",
        "{{ inputs.none ~ 'x' }}",
        "{{ inputs.none > 1 }}",
        "{% if inputs.none %}x{% endif %}",
        "{% for x in inputs.none %}x{% endfor %}",
        "{{ survey.title }}",
        "{{ none }}",
        "{{ true }}",
        "{{ inputs.list }}",
        "{{ inputs.list[7] }}",
        "{{ inputs.none.more }}",
    ],
)
def test_nothing_is_never_printed(source: str) -> None:
    context = RenderContext(attributes={"empty": "", "none": None}, inputs={"none": None, "list": [1]})
    with pytest.raises(RenderError, match=r"set|printed|needs|number|expect") as caught:
        post(f"text {source}", context)
    assert "Traceback" not in str(caught.value)


def test_an_optional_value_may_be_asked_for_but_not_printed() -> None:
    optional = ("contact.attributes.tier",)
    source = "{% if contact.attributes.tier %}{{ contact.attributes.tier }}{% else %}-{% endif %}"
    assert post(source, optional=optional) == "-"
    assert post(source, RenderContext(attributes={"tier": "gold"}), optional=optional) == "gold"
    assert post("{{ 'a' if contact.attributes.tier == 'gold' else 'b' }}", optional=optional) == "b"
    assert post("{{ 'a' if contact.attributes.tier != 'gold' else 'b' }}", optional=optional) == "a"
    assert post("{{ contact.attributes.tier|default('-') }}", optional=optional) == "-"
    assert post("{{ contact.name|default('you') }}") == "you"
    assert post("{% if contact.name is defined %}x{% endif %}{% if survey %}y{% endif %}.") == "."
    with pytest.raises(RenderError, match=r"contact\.attributes\.tier is not set"):
        post("{{ contact.attributes.tier }}", optional=optional)


def test_an_error_names_the_line() -> None:
    with pytest.raises(RenderError, match=r"social\.en\.txt line 3: inputs\.gone is not set"):
        post("a\n\n{{ inputs.gone }}")


def test_an_error_never_shows_a_value() -> None:
    with pytest.raises(RenderError) as caught:
        post("{{ inputs.a + 1 }}", RenderContext(inputs={"a": "secret"}))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "source",
    [
        "{{ inputs.a / 0 }}",
        "{{ 'x'|number }}",
        "{{ 'x'|date }}",
        "{{ 5|date }}",
        "{{ '9:00'|date }}",
        "{{ inputs.d|time }}",
    ],
)
def test_a_value_of_the_wrong_kind_is_an_error_of_that_message(source: str) -> None:
    with pytest.raises(RenderError):
        post(source, RenderContext(inputs={"a": 1, "d": date(2026, 1, 1)}))


def test_hostile_data_is_inert_in_html_and_literal_in_text() -> None:
    context = RenderContext(name=HOSTILE, inputs={"a": HOSTILE})
    rendered = html('<p title="{{ inputs.a }}">{{ contact.name }}{{ inputs.a|upper }}{{ inputs.a|e }}</p>', context)
    assert "<script" not in rendered.lower()
    assert rendered.count("&lt;script&gt;") >= 3
    assert "&amp;lt;" not in rendered
    assert "{{ 7*7 }}" in rendered
    assert post("{{ contact.name }}", context) == HOSTILE
    macro = "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{{ m(inputs.a) }}"
    assert "&lt;script&gt;" in html(macro, context)


def test_control_and_direction_characters_do_not_travel() -> None:
    context = RenderContext(name="A\0\x1b\u202eB\u2066\ud800", inputs={"a": "x\r\ny\u2028z\x85w"})
    assert post("{{ contact.name }} {{ inputs.a }}", context) == "AB\ufffd x\ny\nz\nw"
    compiled = compile_template(notice(subject=Localized({"en": "{{ inputs.closed_branches }}"})), BANK)
    injected = replace(CONTEXT, inputs={**CONTEXT.inputs, "closed_branches": "a\r\nBcc: b@example.com\0\u2028c\u202e"})
    assert email(compiled, injected).subject == "a Bcc: b@example.com c"


def test_data_cannot_pretend_to_be_the_renderers_marks() -> None:
    context = RenderContext(name="\ue0001\ue001", inputs={"a": "other"})
    assert "<p>\ufffd1\ufffdother</p>" in html("<p>{{ contact.name }}{{ inputs.a }}</p>", context)


@settings(deadline=None)
@given(st.text(max_size=50), st.text(max_size=50))
def test_no_value_leaks_into_the_place_of_another(first: str, second: str) -> None:
    rendered = email(TWO, RenderContext(inputs={"a": first, "b": second})).html
    expected = f"<p>{escape(clean_text(first))}|</p><p>{escape(clean_text(second))}</p>"
    assert expected in rendered


@pytest.mark.parametrize(
    ("expression", "locale", "expected"),
    [
        ("inputs.d|date", "en", "March 12, 2026"),
        ("inputs.d|date", "zh-CN", "2026年3月12日"),
        ("inputs.iso|date", "zh-CN", "2026年3月12日"),
        ("inputs.at|time", "zh-CN", "17:30"),
        ("inputs.at|datetime", "zh-CN", "2026年3月12日 17:30"),
        ("inputs.at|datetime", "en", "March 12, 2026, 5:30\u202fPM"),
        ("inputs.d|datetime", "en", "March 12, 2026"),
        ("inputs.clock|time", "zh-CN", "09:00"),
        ("inputs.sum|number", "en", "1,234,567.5"),
        ("inputs.sum|number(2)", "en", "1,234,567.50"),
        ("inputs.sum|number(0)", "zh-CN", "1,234,568"),
        ("inputs.sum|money", "zh-CN", "¥1,234,567.50"),
        ("'12.5'|money('USD')", "en", "$12.50"),
        ("inputs.d.year + 1", "en", "2027"),
        ("inputs.words|join(', ')", "en", "a, b"),
        ("message.purpose ~ '/' ~ message.step ~ '/' ~ message.locale", "en", "service/inform/en"),
        ("contact.locale", "en", "fr"),
    ],
)
def test_values_are_written_as_the_locale_writes_them(expression: str, locale: str, expected: str) -> None:
    template = notice(files={f"social.{locale}.txt": "{{ " + expression + " }}"}, subject=Localized({}), variables={})
    inputs = {
        "d": date(2026, 3, 12),
        "iso": "2026-03-12",
        "at": datetime(2026, 3, 12, 9, 30, tzinfo=UTC),
        "clock": "09:00",
        "sum": Decimal("1234567.5"),
        "words": ["a", "b"],
    }
    context = RenderContext(inputs=inputs, locale="fr", step="inform")
    content = compile_template(template, BANK).render(Channel.SOCIAL, locale, context)
    assert content == PostContent(text=expected)


def test_the_values_of_a_step_join_the_inputs_and_win() -> None:
    context = RenderContext(inputs={"part": 1, "a": "x"}, values={"part": 2})
    assert post("{{ inputs.part }}{{ inputs.a }}", context) == "2x"


def test_another_language_is_used_only_where_the_fallback_says_so() -> None:
    files = {"social.zh-TW.txt": "{{ inputs.a }}"}
    context = RenderContext(inputs={"a": {"zh-CN": "好", "en": "good"}})
    declared = notice(files=files, subject=Localized({}), fallback={"zh-TW": "zh-CN"})
    assert compile_template(declared, BANK).render(Channel.SOCIAL, "zh-TW", context) == PostContent(text="好")
    silent = compile_template(notice(files=files, subject=Localized({})), BANK)
    with pytest.raises(RenderError, match=r"inputs\.a"):
        silent.render(Channel.SOCIAL, "zh-TW", context)


def test_a_locale_without_a_file_is_an_error_that_says_so() -> None:
    with pytest.raises(RenderError, match="has no social text in zh-CN"):
        NOTICE.render(Channel.SOCIAL, "zh-CN", CONTEXT)


@pytest.mark.parametrize(
    ("channel", "source"),
    [(Channel.SMS, " \n"), (Channel.SOCIAL, "{# nothing #}"), (Channel.EMAIL, "{{ inputs.blank }}")],
)
def test_an_empty_message_is_an_error(channel: Channel, source: str) -> None:
    files = {"sms.en.txt": source, "social.en.txt": source, "email.en.html": "<p>x</p>", "email.en.txt": "x"}
    compiled = compile_template(notice(files=files, subject=Localized({"en": source})), BANK)
    with pytest.raises(RenderError, match="empty"):
        compiled.render(channel, "en", RenderContext(inputs={"blank": " "}))


def test_output_is_capped() -> None:
    with pytest.raises(RenderError, match="5000"):
        post("x" * 5001)
    big = "x" * 19_000
    loop = "{% for i in inputs.list %}<p>{{ inputs.big }}</p>{% endfor %}"
    with pytest.raises(RenderError, match="500 kB"):
        html(loop, RenderContext(inputs={"list": list(range(50)), "big": big}))
    with pytest.raises(RenderError, match="500 kB"):
        post(loop, RenderContext(inputs={"list": list(range(50)), "big": big}))
    with pytest.raises(RenderError, match="at most 50 items"):
        post(loop, RenderContext(inputs={"list": list(range(51)), "big": big}))
    with pytest.raises(RenderError, match="longer than"):
        post("{{ inputs.big }}", RenderContext(inputs={"big": "x" * 20_001}))


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any connection made while this stands fails the test."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    yield
    monkeypatch.undo()


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x.css", "file://{path}", "{path}"])
def test_inlining_reads_no_file_and_no_network(target: str, tmp_path: Path, sealed: None) -> None:
    sheet = tmp_path / "x.css"
    sheet.write_text("p { color: red }")
    address = target.format(path=sheet)
    source = f'<html><head><link rel="stylesheet" href="{address}"><style>@import "{address}";</style></head><body><p>x</p></body></html>'
    assert "red" not in inline_css(source)


def test_the_hash_tells_contents_apart_and_ignores_the_signed_part_of_links() -> None:
    first = replace(
        CONTEXT, links={"online": "https://example.com/o?a=1&t=abc", "unsubscribe": "https://example.com/u/abc"}
    )
    second = replace(
        CONTEXT, links={"online": "https://example.com/o?a=1&t=xyz", "unsubscribe": "https://example.com/u/xyz"}
    )
    hashes = {content_hash(email(NOTICE, context), context.links) for context in (first, second)}
    assert len(hashes) == 1
    assert len(hashes.pop()) == 32
    others: list[Content] = [
        email(NOTICE, CONTEXT),
        sms(NOTICE, CONTEXT),
        PostContent(text=sms(NOTICE, CONTEXT).text),
        email(NOTICE, CONTEXT, "zh-CN"),
    ]
    assert len({content_hash(content) for content in others}) == len(others)


def test_fields_cannot_run_into_each_other_in_the_hash() -> None:
    one = EmailContent(subject="ab", html="c", text="d")
    two = EmailContent(subject="a", html="bc", text="d")
    assert content_hash(one) != content_hash(two)


def test_a_template_that_breaks_the_rules_does_not_compile() -> None:
    with pytest.raises(DefinitionError, match=r"templates/notice/social\.en\.txt:2:13: the filter `safe`"):
        compile_template(text_template("a\n{{ 'x'|safe }}".replace("'x'", "inputs.a")), BANK)


@pytest.mark.parametrize("source", ["{% if 1 %}" * 150 + "x" + "{% endif %}" * 150])
def test_what_python_cannot_compile_is_a_definition_error(source: str) -> None:
    with pytest.raises(DefinitionError, match="cannot be compiled"):
        compile_template(text_template(source), BANK)


def test_a_mail_without_its_plain_text_is_an_error() -> None:
    template = notice(files={"email.en.html": "<p>x</p>"}, subject=Localized({"en": "s"}), variables={})
    with pytest.raises(RenderError, match=r"email\.en\.txt is missing"):
        compile_template(template, BANK).render(Channel.EMAIL, "en", CONTEXT)


def test_a_subject_may_be_written_in_the_fallback() -> None:
    files = {"email.zh-TW.html": "<p>x</p>", "email.zh-TW.txt": "x"}
    template = notice(files=files, subject=Localized({"zh-CN": "主题"}), fallback={"zh-TW": "zh-CN"}, variables={})
    assert email(compile_template(template, BANK), RenderContext(), "zh-TW").subject == "主题"


def test_an_unknown_locale_formats_as_english() -> None:
    template = notice(files={"social.xx-YY.txt": "{{ inputs.n|number }}"}, subject=Localized({}), variables={})
    content = compile_template(template, BANK).render(Channel.SOCIAL, "xx-YY", RenderContext(inputs={"n": 1000}))
    assert content == PostContent(text="1,000")


def test_macros_see_the_bank_without_being_given_it() -> None:
    files = {"_layouts/m.html": "{% macro m() %}<b>{{ bank.hotline }}</b>{% endmacro %}"}
    source = '{% from "_layouts/m.html" import m %}<p>{{ m() }}</p>'
    assert "<b>95XXX</b>" in html(source, files=files)
