"""A bank, a template and shorthands the tests of rendering share."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from notifier.domain.channel import Channel, EmailContent, PostContent, SmsContent
from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template, Variable
from notifier.domain.text import Localized
from notifier.rendering.context import RenderContext
from notifier.rendering.render import CompiledTemplate, compile_template

BANK = Bank(
    name=Localized({"zh-CN": "江畔银行", "en": "Riverside Bank"}),
    short_name=Localized({"zh-CN": "江畔", "en": "Riverside"}),
    hotline="95XXX",
    website="https://www.riverside-bank.example",
    app_name=Localized({"zh-CN": "江畔手机银行", "en": "Riverside app"}),
    sms_signature=Localized({"zh-CN": "【江畔银行】", "en": "Riverside Bank: "}),
    sms_opt_out=Localized({"zh-CN": "拒收请回复R", "en": "Reply STOP to opt out"}),
    footer=Localized({"zh-CN": "上海市江畔路1号", "en": "1 Riverside Road, Shanghai"}),
    greeting=Localized({"zh-CN": "尊敬的{name}：", "en": "Dear {name},"}),
    greeting_unnamed=Localized({"zh-CN": "尊敬的客户：", "en": "Dear customer,"}),
    sender_email="notices@riverside-bank.example",
    reply_to="",
    link_domains=("riverside-bank.example",),
)

LAYOUT = """<!doctype html>
<html><head><style>
p { color: #333; margin: 0 } h1 { color: {{ bank.accent }} }
@media (max-width: 600px) { p { margin: 8px } }
</style></head><body>
<h1>{{ bank.name }}</h1>
{% block content %}{% endblock %}
<p>{{ bank.footer }}</p>
{% if links.unsubscribe %}<p><a href="{{ links.unsubscribe }}">x</a></p>{% endif %}
</body></html>
"""

BUTTONS = """{% macro button(url, text) %}<a class="button" href="{{ url }}">{{ text }}</a>{% endmacro %}
{% macro box() %}<div>{{ caller() }}</div>{% endmacro %}
"""

HTML = """{% extends "_layouts/email.html" %}
{% import "_layouts/buttons.html" as ui %}
{% block content %}
<p>{{ greeting }}</p>
<p>{{ inputs.closed_branches }} - {{ inputs.date|date }}</p>
{% if contact.attributes.branch %}<p>{{ contact.attributes.branch }}</p>{% endif %}
{% if links.online %}{% call ui.box() %}{{ ui.button(links.online, inputs.closed_branches) }}{% endcall %}{% endif %}
{% endblock %}
"""

TEXT = "{{ greeting }}\n\n{{ inputs.closed_branches }}, {{ inputs.date|date }}\n{% if links.unsubscribe %}{{ links.unsubscribe }}{% endif %}\n"

VARIABLES = (
    Variable(path="inputs.closed_branches", example={"zh-CN": "外滩支行", "en": "Bund branch"}),
    Variable(path="inputs.date", example=date(2026, 3, 12)),
    Variable(path="contact.attributes.branch", example="Jing'an", optional=True),
)


def notice(**changes: object) -> Template:
    """A complete template; `changes` replace fields."""
    files = {"_layouts/email.html": LAYOUT, "_layouts/buttons.html": BUTTONS}
    for locale in ("zh-CN", "en"):
        files |= {f"email.{locale}.html": HTML, f"email.{locale}.txt": TEXT}
    files |= {"sms.zh-CN.txt": "{{ inputs.closed_branches }}暂停营业。", "sms.en.txt": "{{ inputs.closed_branches }}."}
    files |= {"social.en.txt": "Closed: {{ inputs.closed_branches }}"}
    fields: dict[str, object] = {
        "key": "notice",
        "title": Localized({"en": "Notice"}),
        "purpose": Purpose.SERVICE,
        "variables": {variable.path: variable for variable in VARIABLES},
        "subject": Localized(
            {"zh-CN": "通报 {{ inputs.closed_branches }}", "en": "News: {{ inputs.closed_branches }}"}
        ),
        "files": files,
    }
    return Template(**(fields | changes))  # type: ignore[arg-type]


def text_template(source: str, **files: str) -> Template:
    """A template with one English post; further files by name, `__` for a dot."""
    named = {name.replace("__", "."): text for name, text in files.items()}
    return notice(
        files={"social.en.txt": source} | named,
        subject=Localized({}),
        variables={},
    )


def html_template(source: str, **files: str) -> Template:
    """A template with one English e-mail."""
    named = {name.replace("__", "."): text for name, text in files.items()}
    return notice(
        files={"email.en.html": source, "email.en.txt": "text"} | named,
        subject=Localized({"en": "Subject"}),
        variables={},
    )


def post(source: str, context: RenderContext | None = None, *, optional: tuple[str, ...] = ()) -> str:
    """The text a post source renders to."""
    variables = {path: Variable(path=path, example="x", optional=True) for path in optional}
    template = replace(text_template(source), variables=variables)
    content = compile_template(template, BANK).render(Channel.SOCIAL, "en", context or RenderContext())
    assert isinstance(content, PostContent)
    return content.text


def html(source: str, context: RenderContext | None = None, files: Mapping[str, str] | None = None) -> str:
    """The HTML an e-mail source renders to."""
    return email(compile_template(html_template(source, **(files or {})), BANK), context or RenderContext()).html


def email(compiled: CompiledTemplate, context: RenderContext, locale: str = "en") -> EmailContent:
    """One rendered e-mail."""
    content = compiled.render(Channel.EMAIL, locale, context)
    assert isinstance(content, EmailContent)
    return content


def sms(compiled: CompiledTemplate, context: RenderContext, locale: str = "en") -> SmsContent:
    """One rendered SMS."""
    content = compiled.render(Channel.SMS, locale, context)
    assert isinstance(content, SmsContent)
    return content


CONTEXT = RenderContext(
    name="Alex Chen",
    attributes={"branch": "Jing'an"},
    inputs={"closed_branches": {"zh-CN": "外滩支行", "en": "Bund branch"}, "date": date(2026, 3, 12)},
    links={"online": "https://www.riverside-bank.example/o?a=1&b=2"},
)
