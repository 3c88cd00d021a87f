"""What a template gets to see of a message: an allow-list, built fresh for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from notifier.domain.purpose import Purpose
from notifier.domain.template import Bank, Template
from notifier.rendering.environment import Values

LINKS = ("unsubscribe", "preferences", "survey", "verify", "online")
MESSAGE_FACTS = ("purpose", "step", "locale")
CONTACT_FACTS = ("name", "locale", "attributes")
BANK_FACTS = ("name", "short_name", "hotline", "website", "app_name", "footer", "accent", "logo")
SURVEY_FACTS = ("title", "intro", "question", "scale")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderContext:
    """The values of one message. `inputs` are the run's, `values` the step's `with:`, which win.

    An input may be a mapping of locales to texts. Dates may be `date`, `datetime` or ISO 8601 text.
    """

    name: str = field(default="", repr=False)
    locale: str = ""  # of the contact; "" = that of the message
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, object] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict, repr=False)
    survey: Mapping[str, object] = field(default_factory=dict)
    purpose: Purpose = Purpose.SERVICE
    step: str = ""


def optional_paths(template: Template) -> frozenset[str]:
    """Variables that may be missing; a name and every link always may."""
    declared = {path for path, variable in template.variables.items() if variable.optional}
    return frozenset(declared | {"contact.name"} | {f"links.{name}" for name in LINKS})


def template_values(context: RenderContext, locale: str, template: Template, bank: Bank) -> dict[str, Any]:
    """The context of contract and check, in the message's locale."""
    return {
        **contact_values(context, locale, bank),
        "inputs": input_values(context, locale, template),
        "survey": Values("survey", context.survey),
        "message": Values("message", {"purpose": context.purpose.value, "step": context.step, "locale": locale}),
    }


def input_values(context: RenderContext, locale: str, template: Template) -> Values:
    """`inputs.*`: those of the run or the API send, and the step's."""
    inputs = {**context.inputs, **context.values}
    for name, value in inputs.items():
        if isinstance(value, Mapping):
            inputs[name] = in_locale(value, locale, template)
    return Values("inputs", inputs)


def contact_values(context: RenderContext, locale: str, bank: Bank) -> dict[str, Any]:
    """What differs from contact to contact; an empty name or attribute counts as missing."""
    attributes = {name: value for name, value in context.attributes.items() if value != ""}
    contact = {"name": context.name or None, "locale": context.locale or locale}
    contact_values = Values("contact", contact)
    contact_values["attributes"] = Values("contact.attributes", attributes)
    return {
        "contact": contact_values,
        "greeting": greeting(bank, locale, context.name),
        "links": Values("links", {name: url for name, url in context.links.items() if url}),
    }


def in_locale(texts: Mapping[str, object], locale: str, template: Template) -> object:
    """The text in `locale` or its declared fallback; None = missing, never another language in silence."""
    return texts.get(locale) or texts.get(template.fallback.get(locale, "")) or None


def greeting(bank: Bank, locale: str, name: str) -> str:
    """The line that opens a message, with and without a name."""
    if not name:
        return bank.greeting_unnamed.get(locale, bank.default_locale)
    return bank.greeting.get(locale, bank.default_locale).replace("{name}", name)
