"""The sandbox holds by itself, also for a template nobody has checked."""

from datetime import date

import pytest
from jinja2 import TemplateError

from notifier.domain.errors import RenderError
from notifier.rendering.context import RenderContext, template_values
from notifier.rendering.environment import TemplateEnvironment, Values
from tests.rendering.cases import BANK, notice

CONTEXT = RenderContext(name="Alex", inputs={"a": "x", "day": date(2026, 3, 12), "list": ["p", "q"]})


def render(source: str) -> str:
    environment = TemplateEnvironment({"x.txt": source}, locale="en", bank=BANK, optional=frozenset())
    return environment.get_template("x.txt").render(template_values(CONTEXT, "en", notice(), BANK))


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ contact.__class__.__mro__ }}",
        "{{ contact['__class__'] }}",
        "{{ inputs.a.upper() }}",
        "{{ inputs.items() }}",
        "{{ inputs.day.replace(year=1) }}",
        "{{ inputs.day.resolution }}",
        "{{ inputs.a.x.y }}",
        "{{ greeting.join }}",
        "{{ bank.path }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ dict(a=1) }}",
        "{{ cycler }}",
        "{{ self.__init__.__globals__ }}",
        "{{ inputs.a|attr('__class__') }}",
        "{{ inputs.a|safe }}",
        "{{ inputs.a|replace('x', 'y') }}",
        "{{ inputs.a|map('upper') }}",
        "{% for x in inputs.a %}{{ x }}{% endfor %}",
        "{% for x in inputs %}{{ x }}{% endfor %}",
        "{% for x in inputs.list %}{{ loop.cycle('a', 'b') }}{% endfor %}",
        "{% for x in inputs.list %}{{ loop._recurse }}{% endfor %}",
        "{{ inputs }}",
        "{{ inputs.list[9] }}",
        "{{ contact.attributes }}",
    ],
)
def test_nothing_reaches_python(source: str) -> None:
    with pytest.raises((TemplateError, RenderError)):
        render(source)


def test_keys_items_and_facts_can_be_read() -> None:
    assert render("{{ inputs['a'] }}{{ inputs.list[1] }}{{ inputs.day.year }}") == "xq2026"
    assert render("{% for x in inputs.list %}{{ loop.index }}{{ x }}{% endfor %}") == "1p2q"


def test_only_macros_can_be_called() -> None:
    environment = TemplateEnvironment({"x.txt": "{{ v('x') }}"}, locale="en", bank=BANK, optional=frozenset())
    with pytest.raises(TemplateError):
        environment.get_template("x.txt").render(v=len)


def test_a_key_named_like_a_method_is_the_key() -> None:
    environment = TemplateEnvironment({"x.txt": "{{ v.items }}"}, locale="en", bank=BANK, optional=frozenset())
    assert environment.get_template("x.txt").render(v=Values("v", {"items": "mine"})) == "mine"
