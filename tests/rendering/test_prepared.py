"""What a run prepares says exactly what rendering each message as a whole says, or fails with the same words."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel, Content, EmailContent
from notifier.domain.errors import RenderError
from notifier.domain.purpose import Purpose
from notifier.domain.template import Variable
from notifier.domain.text import Localized
from notifier.rendering.context import RenderContext
from notifier.rendering.mime import build_mime
from notifier.rendering.prepared import Prepared, Rendered
from notifier.rendering.render import CompiledTemplate, compile_template, content_hash
from notifier.rendering.skeleton import Letter
from notifier.rendering.stamp import stamp_exercise
from tests.rendering.cases import BANK, LAYOUT, html_template, text_template
from tests.starter.pack import LOCALES, compiled, example_inputs, pack, survey_facts

SITE = "https://notify.example.com"
PEOPLE = (
    "王小明",
    "Alex Chen",
    "",
    "Alex <b>Chen</b> & Co",
    "  \u202eA\u0000nna\n\n\nO'Neil\u3000 ",
    "a  b",
    "x" * 1001,
)
ORDINARY = ("王小明", "Alex Chen", "Alex <b>Chen</b> & \"Co\" 'Ltd'")
HREF = re.compile(r'href="(https?://[^"]+)"')
DATE = datetime(2026, 3, 12, 9, 0, tzinfo=UTC)

# From the day before skeletons came: stored messages are rendered again and held against their hash.
# A new text of the starter pack changes its line; nothing else may.
HASHES = {
    "ask-us/post": "9bafd31b3ace06ed",
    "branch-closure-alert/warn": "ef84e1544b36fe7f",
    "branch-closure-alert/post": "207f9261a63c8ac4",
    "correction-and-all-clear/inform": "2b9627620ce93076",
    "correction-and-all-clear/post": "7b356aedffd4aedb",
    "financial-tips/inform": "b4f7623aaf40ad05",
    "financial-tips/post": "95e490d7dad73157",
    "lecture/invite": "be5aec90998b625c",
    "lecture/remind": "42ffbf55ec8143fb",
    "lecture/feedback": "47ac49d3c4f53a8f",
    "measures-notice/inform": "1f0ab3aae2ff301e",
    "measures-notice/post": "68497551d83f5675",
    "measures-notice/understood": "22902312dc81de77",
    "monthly-satisfaction/ask": "9cf0a2ad7ca42076",
    "safe-operation-guide/part-1": "991a3be808bed0a8",
    "safe-operation-guide/part-2": "65b0bac6c73237e9",
    "safe-operation-guide/part-3": "49829fd916838073",
    "safe-operation-guide/part-4": "d1e56ca64ec2ed96",
    "safe-operation-guide/post-1": "15c9cd695aea3c21",
    "safe-operation-guide/post-2": "ac1627619e8c7833",
    "safe-operation-guide/post-3": "f5c6bfe014885d40",
    "safe-operation-guide/post-4": "194e519290f44e9b",
}
STEPS = [(entry.value, step) for entry in pack().campaigns.values() for step in entry.value.steps]
STARTER = pytest.mark.parametrize(("campaign", "step"), STEPS, ids=[f"{one.key}/{step.name}" for one, step in STEPS])


def contexts(campaign: Campaign, step: Step, locale: str, names: tuple[str, ...] = PEOPLE) -> Iterator[RenderContext]:
    """Messages of this step, to contacts with these names."""
    purpose = pack().templates[step.template].value.purpose or campaign.purpose or Purpose.EMERGENCY
    survey = pack().surveys[step.survey].value if step.survey else None
    for inputs in example_inputs(campaign, locale):
        for number, name in enumerate(names):
            links = {page: f"{SITE}/{page[0]}/{page[0]}.1.{number}.abc" for page in ("unsubscribe", "preferences")}
            links = links if purpose is Purpose.MARKETING or not survey else {}
            yield RenderContext(
                name=name,
                locale=locale,
                inputs=inputs,
                values=step.values,
                links=links | ({"survey": f"{SITE}/s/s.7.abc"} if survey else {}),
                survey=survey_facts(survey, locale) if survey else {},
                purpose=purpose,
                step=step.name,
            )


def channels(step: Step) -> tuple[Channel, ...]:
    return (*step.channels, *step.by, *([Channel.SOCIAL] if step.is_post else []))


def prepare(template: CompiledTemplate, channel: Channel, locale: str = "en", **how: bool) -> Prepared:
    return Prepared(template, channel, locale, **{"open_inputs": False, "stamped": False} | how)


def whole(template: CompiledTemplate, channel: Channel, locale: str, context: RenderContext) -> Content | str:
    """The content as rendered without anything prepared, or the words it fails with."""
    try:
        return template.render(channel, locale, context)
    except RenderError as error:
        return str(error)


def assert_same(rendered: Rendered, content: Content, links: Mapping[str, str]) -> None:
    """The same content, hash and, for an e-mail, the same bytes on the wire."""
    said = rendered.said
    assert (said.content if isinstance(said, Letter) else said) == content
    assert rendered.hash == content_hash(content, links)
    if isinstance(said, Letter) and isinstance(content, EmailContent):
        assert mime(said) == mime(content)
        assert set(said.skeleton.hrefs) == set(HREF.findall(content.html)) - {escape(url) for url in links.values()}
        moved = said.leading_to({href: f"{href}?汉&amp;t=1" for href in said.skeleton.hrefs})
        html = content.html
        for href in said.skeleton.hrefs:
            html = html.replace(f'href="{href}"', f'href="{href}?汉&amp;t=1"')
        assert moved.content == replace(content, html=html)
        assert mime(moved) == mime(moved.content)


def mime(content: EmailContent | Letter) -> bytes:
    return build_mime(content, sender="a@example.com", to="b@example.com", message_id="1@example.com", date=DATE)


def compare(prepared: Prepared, template: CompiledTemplate, channel: Channel, context: RenderContext) -> None:
    """One English message both ways."""
    wanted = whole(template, channel, "en", context)
    if isinstance(wanted, str):
        with pytest.raises(RenderError) as caught:
            prepared.render(context)
        assert str(caught.value) == wanted
    else:
        assert_same(prepared.render(context), wanted, context.links)


@STARTER
def test_the_starter_pack_keeps_its_hashes(campaign: Campaign, step: Step) -> None:
    names = ("", "王小明", "Alex <b>Chen</b> & Co", "  \u202eA\u0000nna\n\n\nO'Neil\u3000 ")
    digest = hashlib.sha256()
    for locale in LOCALES:
        for context in contexts(campaign, step, locale, names):
            for channel in channels(step):
                content = compiled(step.template).render(channel, locale, context)
                digest.update(content_hash(content, context.links))
    assert digest.hexdigest()[:16] == HASHES[f"{campaign.key}/{step.name}"]


@pytest.mark.parametrize("open_inputs", [False, True], ids=["run", "api"])
@pytest.mark.parametrize("stamped", [False, True], ids=["real", "exercise"])
@STARTER
def test_the_starter_pack_says_the_same_prepared(
    campaign: Campaign, step: Step, stamped: bool, open_inputs: bool
) -> None:
    for locale in LOCALES:
        for channel in channels(step):
            found = list(contexts(campaign, step, locale))
            runs = (
                [found] if open_inputs else [found[at : at + len(PEOPLE)] for at in range(0, len(found), len(PEOPLE))]
            )
            for run in runs:
                prepared = prepare(compiled(step.template), channel, locale, open_inputs=open_inputs, stamped=stamped)
                for context in run * 2:
                    wanted = compiled(step.template).render(channel, locale, context)
                    wanted = stamp_exercise(wanted, locale) if stamped else wanted
                    assert_same(prepared.render(context), wanted, context.links)


@STARTER
def test_the_starter_packs_mails_to_ordinary_contacts_come_from_a_skeleton(campaign: Campaign, step: Step) -> None:
    for locale in LOCALES:
        for open_inputs in (False, True):
            if Channel.EMAIL in channels(step):
                prepared = prepare(compiled(step.template), Channel.EMAIL, locale, open_inputs=open_inputs)
                said = [prepared.render(one).said for one in contexts(campaign, step, locale, ORDINARY)]
                assert all(isinstance(one, Letter) for one in said)


EXPRESSIONS = (
    "{{ contact.name }}",
    "{{ contact.name|default('you') }}",
    "{{ contact.name|upper }}",
    "{{ contact.name|truncate(4)|lower }}",
    "{{ contact.name|urlencode }}",
    "{{ contact.name|length }}",
    "{{ contact.name|first }}",
    "{{ contact.name ~ '!' }}",
    "{{ [contact.name, 'x']|join(', ') }}",
    "{{ contact.locale }}",
    "{{ greeting }}",
    "{{ greeting|default(contact.name) }}",
    "{{ 'x'|default(contact.name) }}{{ 7|round(contact.attributes.n) }}",
    "{{ contact.attributes.x }}",
    "{{ contact.attributes.x|int }}",
    "{{ contact.attributes.x|int + 1 }}",
    "{{ contact.attributes.x|money }}",
    "{{ contact.attributes.x|number(contact.attributes.n) }}",
    "{{ contact.attributes.x|date }}",
    "{{ contact.attributes.x|e }}",
    "{{ contact.attributes.x|trim }}",
    "{{ contact.attributes.x.year }}",
    "{{ contact.attributes.x[0] }}",
    "{{ -contact.attributes.n }}",
    "{% if contact.attributes.x %}yes {{ contact.attributes.x }}{% else %}no{% endif %}",
    "{% if contact.attributes.x is defined %}there{% endif %}",
    "{% if contact.attributes.x is none %}none{% endif %}{% if contact.attributes.x is string %}text{% endif %}",
    "{% if contact.attributes.x is number %}number{% endif %}{% if contact.attributes.n is even %}even{% endif %}",
    "{% if contact.attributes.x == 'gold' %}gold{% endif %}{% if 'gold' == contact.attributes.x %}gold{% endif %}",
    "{% if contact.attributes.x in ['gold', 7] %}in{% endif %}{% if 'g' in contact.attributes.x %}in{% endif %}",
    "{% if contact.attributes.n > 3 %}many{% endif %}{% if 3 < contact.attributes.n %}many{% endif %}",
    "{% if not contact.attributes.x %}without{% endif %}{{ contact.attributes.x or 'none' }}",
    "{% for one in contact.attributes.x %}{{ loop.index }}{{ one }} {% endfor %}",
    "{% for one in [contact.name, contact.attributes.x] %}{{ one }},{% endfor %}",
    "{% set shown = contact.attributes.x %}{{ shown }}{{ shown }}",
    "{% if 'g' in contact.attributes.x %}in{% endif %}",
    "{% if inputs.x %}yes{% endif %}",
    "{{ inputs.x }}{{ inputs.x|upper }}",
    "{% if inputs.x %}{{ inputs.x|default(contact.name) }}{% endif %}",
    "{{ links.survey }}{% if links.survey %}!{% endif %}",
    "{{ links.survey|upper }}",
    "{% if links.online %}{{ links.online }}{% endif %}",
    "{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(contact.attributes.x) }}{{ m(greeting) }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ contact.name }}{% endcall %}",
    "  {{ contact.attributes.x }}  \n\n\n{{ contact.attributes.n }} ",
)
HTML_EXPRESSIONS = (
    '<a href="https://riverside-bank.example/{{ contact.attributes.x }}?a=1&amp;b=2">x</a>',
    '<a href="{{ contact.attributes.x }}">x</a><a href="{{ links.online }}">y</a><a href="{{ links.survey }}">z</a>',
    '<a href="https://riverside-bank.example/a">x</a><a href="mailto:{{ contact.attributes.x }}">y</a>',
    '<p style="color: {{ contact.attributes.x }}">x</p>',
    "<style>p { color: {{ contact.attributes.x }} }</style><p>x</p>",
    "<{{ contact.attributes.x }}>",
    "<!-- {{ contact.attributes.x }} -->",
    "<title>{{ contact.attributes.x }}</title>",
)
GROUPS: tuple[tuple[object, ...], ...] = (
    (
        "gold",
        "a  b",
        " a",
        "a ",
        "a\nb",
        "\ta",
        "\u3000a",
        "a\u202fb",
        "\u202ea",
        "é<&'\">",
        "\ue000+0\ue001",
        "x" * 1001,
    ),
    ("gold", "7", "2026-03-12", "汉字", "https://a.example/gold", "red", "G", "=_" * 40, "gold"),
    ("", None, "gold", True, False, 1, 1.0, "", []),
    (Decimal("1.0"), Decimal("1.00"), Decimal(-7), Decimal("1.0")),
    (0, 5, 4, 0, -1, True),
    (0.0, -0.0, 2.5, float("nan"), 1e300),
    (date(2026, 3, 12), datetime(2026, 3, 12, 9, 0, tzinfo=UTC), date(2026, 3, 13)),
    (["a", "b"], [1], [], ["gold"], [None]),
)
RISKY = st.sampled_from(
    "  \n\r\t\0\u00a0\u2028\u202e\u3000\u200d\ue000\ue001\ue000+0\ue001<>&\"'{}%=/:;.,-0123456789gold汉字😀éA"
)
WORDS = st.text(RISKY, max_size=12)
VALUES = st.one_of(WORDS, st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.decimals(-9, 9, places=2))


def contact(name: str, x: object, n: object, own: object) -> RenderContext:
    """A contact, and the inputs of an API send to them."""
    links = {"survey": f"{SITE}/s/abc", "online": f"{SITE}/o/abc" if name else ""}
    return RenderContext(name=name, attributes={"x": x, "n": n}, inputs={"x": own}, links=links)


def bringing(value: object) -> RenderContext:
    """A contact who brings this value everywhere."""
    is_number = isinstance(value, int | float | Decimal)
    return contact(value if isinstance(value, str) else "Li", value, value if is_number else 4, value)


OPTIONAL = {
    path: Variable(path=path, example="x", optional=True) for path in ("contact.attributes.x", "contact.attributes.n")
}
BODIES = {
    source: compile_template(replace(text_template(f"a {source} z"), variables=OPTIONAL), BANK)
    for source in EXPRESSIONS
}


def mail(source: str) -> CompiledTemplate:
    """A mail with a layout around this."""
    html = LAYOUT.replace("{% block content %}{% endblock %}", source)
    return compile_template(replace(html_template(html), variables=OPTIONAL), BANK)


MAILS = {source: mail(source) for source in EXPRESSIONS + HTML_EXPRESSIONS}


def compare_all(template: CompiledTemplate, channel: Channel, people: Sequence[RenderContext]) -> None:
    """All of them in one run, and as API sends with inputs of their own."""
    for open_inputs in (False, True):
        prepared = prepare(template, channel, open_inputs=open_inputs)
        for one in people:
            compare(prepared, template, channel, one if open_inputs else replace(one, inputs=people[0].inputs))


@pytest.mark.parametrize("values", GROUPS, ids=lambda values: type(values[0]).__name__)
@pytest.mark.parametrize("source", EXPRESSIONS)
def test_a_text_says_the_same_prepared(source: str, values: tuple[object, ...]) -> None:
    compare_all(BODIES[source], Channel.SOCIAL, [bringing(value) for value in values])


@pytest.mark.parametrize("values", GROUPS, ids=lambda values: type(values[0]).__name__)
@pytest.mark.parametrize("source", EXPRESSIONS + HTML_EXPRESSIONS)
def test_a_mail_says_the_same_prepared(source: str, values: tuple[object, ...]) -> None:
    compare_all(MAILS[source], Channel.EMAIL, [bringing(value) for value in values])


@pytest.mark.parametrize("values", GROUPS[:2], ids=["odd", "plain"])
@pytest.mark.parametrize("subject", ["{{ contact.name }}", " {{ contact.attributes.x }} - {{ greeting }}" + "x" * 280])
def test_a_subject_says_the_same_prepared(subject: str, values: tuple[object, ...]) -> None:
    template = compile_template(replace(html_template("<p>x</p>"), subject=Localized({"en": subject})), BANK)
    compare_all(template, Channel.EMAIL, [bringing(value) for value in values])


def test_a_locale_the_template_does_not_speak_is_named() -> None:
    template = compile_template(text_template("x"), BANK)
    for channel, locale in ((Channel.SOCIAL, "fr"), (Channel.SMS, "en")):
        with pytest.raises(RenderError, match=f"the template notice has no {channel} text in {locale}"):
            prepare(template, channel, locale)


@settings(deadline=None)
@given(
    source=st.sampled_from(EXPRESSIONS + HTML_EXPRESSIONS),
    people=st.lists(st.builds(contact, WORDS, VALUES, VALUES, VALUES), min_size=2, max_size=6),
)
def test_whatever_contacts_bring_a_mail_says_the_same_prepared(source: str, people: list[RenderContext]) -> None:
    compare_all(MAILS[source], Channel.EMAIL, people)


@pytest.mark.parametrize(
    ("source", "values", "from_skeleton"),
    [
        ("{{ contact.attributes.x }}", [f"{number}" for number in range(99)], 99),
        ("{{ contact.attributes.x|upper }}", [f"{number}a" for number in range(99)], 99),
        ("{% if contact.attributes.x == '1' %}x{% endif %}", ["1", "2"] * 40, 80),
        ("{% if contact.attributes.x == '1' %}x{% endif %}", [f"{number}" for number in range(99)], 20),
    ],
    ids=["printed", "filtered", "few", "too-many"],
)
def test_skeletons_are_made_while_they_pay(source: str, values: list[str], from_skeleton: int) -> None:
    prepared = prepare(MAILS.get(source) or mail(source), Channel.EMAIL)
    found = [isinstance(prepared.render(bringing(value)).said, Letter) for value in values]
    assert sum(found) in {from_skeleton, from_skeleton - 1}
