"""Example values of a template: what checks, previews and the demo render."""

from collections.abc import Mapping
from typing import TypeVar

from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template
from notifier.rendering.context import LINKS, RenderContext, in_locale

T = TypeVar("T")

_NAMES = {"zh": "王小明", "en": "Alex Chen"}
_SURVEYS: dict[str, dict[str, object]] = {
    "zh": {"title": "满意度调查", "intro": "三个问题，约半分钟。", "question": "您对我们的服务满意吗？", "scale": 5},
    "en": {"title": "Your opinion", "intro": "Three questions.", "question": "How satisfied are you?", "scale": 5},
}


def example_context(template: Template, bank: Bank, locale: str, *, sparse: bool = False) -> RenderContext:
    """The declared examples in one locale; `sparse` leaves out the name and everything optional."""
    inputs: dict[str, object] = {}
    attributes: dict[str, object] = {}
    survey: dict[str, object] = dict(_in_language(_SURVEYS, locale))
    groups = {"inputs": inputs, "contact.attributes": attributes, "survey": survey}
    for path, variable in template.variables.items():
        group, _, name = path.rpartition(".")
        if group not in groups or (sparse and variable.optional):
            continue
        example = variable.example
        groups[group][name] = in_locale(example, locale, template) if isinstance(example, Mapping) else example
    purpose = template.purpose or Purpose.SERVICE
    return RenderContext(
        name="" if sparse else _example_name(template, locale),
        attributes=attributes,
        inputs=inputs,
        survey=survey,
        links=_sure_links(bank, purpose) if sparse else example_links(bank, purpose),
        purpose=purpose,
        step="example",
    )


def example_links(bank: Bank, purpose: Purpose) -> dict[str, str]:
    """Links as a message of this purpose gets them, under the bank's own site."""
    base = bank.website.rstrip("/")
    links = {name: f"{base}/{name[0]}/example" for name in LINKS}
    return links if purpose is Purpose.MARKETING else links | {"unsubscribe": ""}


def _sure_links(bank: Bank, purpose: Purpose) -> dict[str, str]:
    """Without those a message may lack; the one to a survey stays: only invitations use such a template."""
    sure = {"survey", "unsubscribe", "preferences"} if purpose is Purpose.MARKETING else {"survey"}
    return {name: url for name, url in example_links(bank, purpose).items() if name in sure}


def _example_name(template: Template, locale: str) -> str:
    declared = template.variables.get("contact.name")
    example = declared.example if declared else None
    if isinstance(example, Mapping):
        example = in_locale(example, locale, template)
    return str(example) if example else str(_in_language(_NAMES, locale))


def _in_language(texts: Mapping[str, T], locale: str) -> T:
    return texts.get(locale.partition("-")[0], texts["en"])
