"""The starter pack as tests see it: definitions, and every message it can produce."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from notifier.domain.campaign import Campaign, Input, InputType, Step
from notifier.domain.channel import Channel, Content
from notifier.domain.purpose import Purpose
from notifier.domain.survey import Survey
from notifier.planning.definitions.folder import Definitions, load_definitions
from notifier.rendering.context import RenderContext
from notifier.rendering.render import CompiledTemplate, compile_template

ROOT = Path(__file__).parents[2]
LOCALES = ("zh-CN", "en")
SURVEY_LINK = "https://riverside-bank.example/s/s.3k2f.1z141z3.AbCdEfGhIjKlMnOp"
LONGEST_DATES: Mapping[InputType, object] = {
    InputType.DATE: "2026-12-31",
    InputType.DATETIME: "2026-12-31T23:59",
    InputType.RUN: 202603000001,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One rendered message and what it was made from."""

    name: str
    channel: Channel
    locale: str
    content: Content


@cache
def pack() -> Definitions:
    """The definitions in the checkout."""
    return load_definitions(ROOT)


@cache
def compiled(key: str) -> CompiledTemplate:
    """A template of the pack, ready to render."""
    return compile_template(pack().templates[key].value, pack().bank.value)


def messages(*, longest: bool = False, name: str = "") -> Iterator[Sent]:
    """Every step of every campaign in each channel and locale, with example inputs or the longest allowed."""
    for entry in pack().campaigns.values():
        for step in entry.value.steps:
            for locale in LOCALES:
                for inputs in example_inputs(entry.value, locale, longest=longest):
                    yield from _render(entry.value, step, locale, inputs, name)


def example_inputs(campaign: Campaign, locale: str, *, longest: bool = False) -> Iterator[dict[str, object]]:
    """One set of inputs for each choice there is."""
    given = {key: _value(field, locale, longest=longest) for key, field in campaign.inputs.items()}
    choices = [(key, choice) for key, field in campaign.inputs.items() for choice in field.choices]
    for key, choice in choices or [("", "")]:
        yield given | ({key: choice} if key else {})


def _value(field: Input, locale: str, *, longest: bool) -> object:
    if longest and field.type is InputType.TEXT:
        return ("网" if locale == "zh-CN" and field.localized else "w") * field.max_length
    if longest and field.type in LONGEST_DATES:
        return LONGEST_DATES[field.type]
    return field.example[locale] if isinstance(field.example, Mapping) else field.example


def _render(campaign: Campaign, step: Step, locale: str, inputs: dict[str, object], name: str) -> Iterator[Sent]:
    template = pack().templates[step.template].value
    purpose = template.purpose or campaign.purpose or Purpose.EMERGENCY
    survey = pack().surveys[step.survey].value if step.survey else None
    links = {"unsubscribe": "https://riverside-bank.example/u/x" if purpose is Purpose.MARKETING else ""}
    links |= {"preferences": "", "verify": "", "online": "", "survey": SURVEY_LINK if survey else ""}
    context = RenderContext(name=name, inputs=inputs, values=step.values, links=links, purpose=purpose, step=step.name)
    if survey:
        context = replace(context, survey=survey_facts(survey, locale))
    for channel in (*step.channels, *step.by, *([Channel.SOCIAL] if step.is_post else [])):
        content = compiled(step.template).render(channel, locale, context)
        yield Sent(name=f"{campaign.key}/{step.name}", channel=channel, locale=locale, content=content)


def survey_facts(survey: Survey, locale: str) -> dict[str, object]:
    """What its template sees of a survey."""
    first = survey.questions[0]
    texts = {"title": survey.title, "intro": survey.intro, "question": first.text}
    return {key: text.get(locale, locale) for key, text in texts.items()} | {"scale": first.scale}
