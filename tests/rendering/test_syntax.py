"""Only listed Jinja runs; everything else is refused with its place and a remedy before it does."""

import time

import pytest

from notifier.domain.text import Localized
from notifier.rendering.problems import Problem
from notifier.rendering.syntax import check_syntax
from tests.rendering.cases import html_template, notice, text_template

ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ contact.__class__ }}",
    "{{ contact['__class__'] }}",
    "{{ contact.name.__init__.__globals__ }}",
    "{{ inputs._private }}",
    "{{ inputs['_private'] }}",
    "{{ inputs.a|attr('__class__') }}",
    "{{ inputs.a|map(attribute='__class__')|list }}",
    "{{ [1]|groupby('__class__') }}",
    "{{ '{0.__class__}'.format(contact) }}",
    "{{ '{0.__class__}'|format(contact) }}",
    "{{ '%s'|format(contact) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ inputs.a % 3 }}",
    "{{ 'a' * 10**10 }}",
    "{{ inputs.a * 2 }}",
    "{{ 2 ** 99999999 }}",
    "{{ range(10) }}",
    "{% for i in range(999999999) %}{% endfor %}",
    "{{ lipsum(n=2000000) }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner }}",
    "{{ namespace(x=1) }}",
    "{{ dict(a=1) }}",
    "{{ self.__init__ }}",
    "{{ self }}",
    "{{ config }}",
    "{{ request }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages() }}",
    "{{ loop }}",
    "{{ contact.delete() }}",
    "{{ inputs.items() }}",
    "{{ inputs.a.upper() }}",
    "{{ inputs['a']() }}",
    "{{ (inputs.a)() }}",
    "{{ inputs[inputs.a] }}",
    "{{ inputs.a[0:5] }}",
    "{{ inputs.a|safe }}",
    "{{ inputs.a|tojson }}",
    "{{ inputs.a|center(999999999) }}",
    "{{ inputs.a|ljust(999999999) }}",
    "{{ inputs.a|indent(999999999) }}",
    "{{ inputs.a|wordwrap(1) }}",
    "{{ inputs.a|replace('', inputs.a) }}",
    "{{ inputs.a|slice(999999999)|list }}",
    "{{ inputs.a|batch(999999999) }}",
    "{{ inputs.a|xmlattr }}",
    "{{ inputs.a|pprint }}",
    "{{ inputs.a|each }}",
    "{{ inputs.a|unknown }}",
    "{{ inputs.a|default(*inputs.b) }}",
    "{{ inputs.a is callable }}",
    "{{ inputs.a is filter }}",
    "{{ {'a': 1} }}",
    "{{ contact }}",
    "{{ inputs }}",
    "{{ contact.attributes }}",
    "{% set x = contact.attributes %}{{ x.a }}",
    "{% set x = inputs %}{{ x.a }}",
    "{% set contact = inputs.a %}",
    "{% set x %}{{ inputs.a }}{% endset %}{{ x }}",
    "{% set x = inputs.a %}{% set y = x ~ x %}{{ y }}",
    "{% set x = inputs.a %}{% set x = x ~ x %}{{ x }}",
    "{% set ns.x = 1 %}",
    "{{ " + " ~ ".join(["inputs.a"] * 101) + " }}",
    "{{ " + " + ".join(["inputs.a"] * 101) + " }}",
    "{% filter upper %}x{% endfilter %}",
    "{% autoescape false %}{{ inputs.a }}{% endautoescape %}",
    "{% with x = 1 %}{{ x }}{% endwith %}",
    "{% do inputs.a %}",
    "{% raw %}unclosed",
    "{% for x in inputs.a recursive %}{{ loop(x) }}{% endfor %}",
    "{% for a in inputs.a %}{% for b in inputs.a %}{% for c in inputs.a %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for x in [" + "1," * 51 + "] %}{% endfor %}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro a() %}x{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ b() }}",
    "{% macro a() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call a() %}x{% endcall %}",
    "{% macro a() %}{% for x in inputs.a %}{{ caller() }}{% endfor %}{% endmacro %}{% call a() %}x{% endcall %}",
    "{% for i in inputs.a %}{% macro a() %}x{% endmacro %}{% endfor %}",
    "{% macro a() %}x{% endmacro %}{{ a()|upper }}",
    "{% macro a(x) %}x{% endmacro %}{{ a(a(1)) }}",
    "{% macro a(x) %}x{% endmacro %}{{ a(*inputs.a) }}",
    "{% macro _a() %}x{% endmacro %}",
    "{{ caller() }}",
    "{{ super() }}",
    "{% extends inputs.a %}",
    "{% include inputs.a %}",
    "{% include ['a', 'b'] %}",
    "{% include '/etc/passwd' %}",
    "{% include '../other/sms.en.txt' %}",
    "{% include 'social.en.txt' %}",
    "{% import 'os' as os %}",
    "{{ inputs.a",
    "{{ 1 if }}",
    "{% if %}",
    "\ue0000\ue001",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "x" * 200_001,
]


@pytest.mark.parametrize("source", ESCAPES, ids=lambda source: str(source)[:60])
def test_what_is_not_on_the_list_is_refused(source: str) -> None:
    began = time.process_time()
    problems = check_syntax(text_template(source)).problems
    assert problems
    for problem in problems:
        assert problem.text
        assert problem.remedy
        assert problem.place.file == "templates/notice/social.en.txt"
    assert time.process_time() - began < 2


@pytest.mark.parametrize("source", ["{{ ''.__class__ }}", "{{ lipsum() }}", "{{ inputs.a|attr('x') }}"])
def test_subjects_and_layouts_are_held_to_the_same_list(source: str) -> None:
    subject = check_syntax(notice(subject=Localized({"en": source}))).problems
    assert [problem.place.file for problem in subject] == ["templates/notice/subject.en"]
    layout = check_syntax(text_template("x", **{"_layouts/a__txt": source})).problems
    assert {problem.place.file for problem in layout} == {"templates/_layouts/a.txt"}


@pytest.mark.parametrize(
    "source",
    [
        "{{ greeting }} {{ inputs.a|upper|truncate(10) }} {{ bank.name }} {{ links.survey }} {{ message.step }}",
        "{% if inputs.a and not inputs.b or inputs.c > 3 %}x{% elif inputs.d is defined %}y{% else %}z{% endif %}",
        "{% for x in inputs.list if x %}{{ loop.index }}{{ x }}{% if not loop.last %}, {% endif %}{% else %}-{% endfor %}",
        "{% for x in ['a', 'b'] %}{% for y in inputs.list %}{{ x ~ y }}{% endfor %}{% endfor %}",
        "{% set x = inputs.a|default('y') %}{{ x }}",
        "{{ inputs.list[0] }} {{ inputs['a'] }} {{ inputs.d.year - 1 }} {{ -inputs.n / 2 // 1 }}",
        "{{ 'a' if inputs.a == 'b' else 'c' }}{{ inputs.a in ['x', 'y'] }}",
        "{% macro line(text, end='') %}{{ text }}{{ end }}{% endmacro %}{{ line(inputs.a, end='.') }}",
        "{% include 'part.txt' %}",
        "{% from 'part.txt' import m %}{{ m(1) }}",
        "{% import 'part.txt' as parts with context %}{{ parts.m(1) }}",
        "{# remark #}{% raw %}{{ literal }}{% endraw %}",
        "{% if survey %}{{ survey.title }}{% endif %}",
    ],
)
def test_what_a_bank_needs_is_allowed(source: str) -> None:
    part = "{% macro m(x) %}{{ x }}{% endmacro %}"
    assert check_syntax(text_template(source, part__txt=part)).problems == ()


def test_a_layout_with_blocks_super_and_caller_is_allowed() -> None:
    assert check_syntax(notice()).problems == ()
    layout = "{% block a %}x{% endblock %}"
    source = '{% extends "_layouts/l.html" %}{% block a %}{{ super() }}y{% endblock %}'
    assert check_syntax(html_template(source, **{"_layouts/l__html": layout})).problems == ()


def test_html_and_text_cannot_draw_each_other_in() -> None:
    assert _texts("{% include 'part.txt' %}", part__txt="{{ contact.name }}") == [
        "HTML draws in HTML only, text draws in text only"
    ]
    assert _texts("{% include 'part' %}", part="{{ contact.name }}") == [
        "HTML draws in HTML only, text draws in text only"
    ]


def test_files_that_draw_each_other_in_without_end_are_refused() -> None:
    problems = check_syntax(
        text_template("{% include 'a.txt' %}", a__txt="{% include 'b.txt' %}", b__txt="{% include 'a.txt' %}")
    ).problems
    assert any("deep" in problem.text for problem in problems)


def test_work_is_counted_through_loops_and_files() -> None:
    loop = "{% for a in inputs.a %}{% for b in inputs.a %}{% include 'part.txt' %}{% endfor %}{% endfor %}"
    assert check_syntax(text_template(loop, part__txt="x")).problems == ()
    heavy = "{{ inputs.a }}" * 100
    (problem,) = check_syntax(text_template(loop, part__txt=heavy)).problems
    assert "too much work" in problem.text


def test_many_inclusions_of_little_are_counted_in_little_time() -> None:
    many = "{% include 'NEXT' %}" * 400
    files = {f"p{depth}__txt": many.replace("NEXT", f"p{depth + 1}.txt") for depth in range(4)}
    began = time.process_time()
    problems = check_syntax(text_template("{% include 'p0.txt' %}", **files, p4__txt="x")).problems
    assert problems
    assert time.process_time() - began < 5


def test_a_problem_says_line_column_and_what_to_write() -> None:
    (problem,) = check_syntax(text_template("first\n  {{ lipsum }}")).problems
    assert str(problem.place) == "templates/notice/social.en.txt:2:6"
    assert problem.text == "`lipsum` is unknown"
    assert "inputs" in problem.remedy


def test_every_problem_is_told_at_once() -> None:
    assert len(check_syntax(text_template("{{ a }}\n{{ b }}\n{{ inputs.c|safe }}")).problems) == 3


def _texts(source: str, **files: str) -> list[str]:
    problems: tuple[Problem, ...] = check_syntax(html_template(source, **files)).problems
    return [problem.text for problem in problems]
