"""Preview: what a campaign's messages will say, with its examples or one contact's own values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel, Content
from notifier.domain.contact import Contact
from notifier.domain.errors import InputError, NotFound
from notifier.domain.inputs import check_value, example_inputs, read_inputs
from notifier.domain.notation.node import did_you_mean
from notifier.domain.purpose import Purpose
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.planning.definitions.folder import Definitions
from notifier.rendering.context import RenderContext
from notifier.rendering.examples import example_context
from notifier.rendering.render import compile_template


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to show; empty means all steps, all channels, the bank's or the contact's language."""

    step: str = ""
    channel: Channel | None = None
    locale: str = ""
    contact: Contact | None = None
    inputs: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One message as it would be sent; links lead nowhere."""

    step: str
    channel: Channel
    locale: str
    content: Content


def preview_campaign(found: Definitions, key: str, wanted: Wanted) -> list[Preview]:
    """By step and channel. `NotFound`, `InputError`, `RenderError` or `DefinitionError` say what is wrong."""
    if key not in found.campaigns:
        raise NotFound(f"there is no campaign `{key}`. {did_you_mean(key, found.campaigns)}")
    campaign, bank = found.campaigns[key].value, found.bank.value
    steps = [step for step in campaign.steps if wanted.step in {"", step.name}]
    if not steps:
        raise InputError(
            "step", f"there is no `{wanted.step}`", did_you_mean(wanted.step, [s.name for s in campaign.steps])
        )
    inputs = read_inputs(campaign, _inputs(campaign, bank, wanted.inputs or {}))
    shown = [one for step in steps for one in _preview_step(found, campaign, step, inputs, wanted)]
    if not shown:
        raise InputError("channel", f"no step of {key} goes by {wanted.channel}", "Leave it out to see all")
    return shown


def _inputs(campaign: Campaign, bank: Bank, given: Mapping[str, object]) -> dict[str, object]:
    for name in given:
        if name not in campaign.inputs:
            raise InputError(name, "is not an input of this campaign", did_you_mean(name, campaign.inputs))
    checked = {name: check_value(campaign.inputs[name], value, bank) for name, value in given.items()}
    return {**example_inputs(campaign), **checked}


def _preview_step(
    found: Definitions, campaign: Campaign, step: Step, inputs: Mapping[str, object], wanted: Wanted
) -> Iterator[Preview]:
    bank, template = found.bank.value, found.templates[step.template].value
    compiled = compile_template(template, bank)
    survey = found.surveys[step.survey].value if step.survey else None
    contact_locale = wanted.contact.locale if wanted.contact else ""
    for channel in _channels(step):
        if wanted.channel not in {None, channel}:
            continue
        asked = wanted.locale or contact_locale or bank.default_locale
        locale = template.locale_for(channel, asked, bank.default_locale)
        if locale is None:
            raise InputError("locale", f"{template.key} has no {channel} text in {asked}", "Leave it out")
        example = example_context(template, bank, locale)
        context = _context(example, campaign, step, survey, bank=bank, locale=locale, contact=wanted.contact)
        context = replace(context, inputs={**example.inputs, **inputs}, values=step.values)
        yield Preview(step=step.name, channel=channel, locale=locale, content=compiled.render(channel, locale, context))


def _channels(step: Step) -> tuple[Channel, ...]:
    return (Channel.SOCIAL,) if step.is_post else step.channels or step.by


def _context(
    example: RenderContext,
    campaign: Campaign,
    step: Step,
    survey: Survey | None,
    *,
    bank: Bank,
    locale: str,
    contact: Contact | None,
) -> RenderContext:
    purpose = campaign.purpose_of(step) or Purpose.SERVICE
    base = bank.website.rstrip("/")
    opt_out = f"{base}/u/example" if purpose is Purpose.MARKETING or campaign.topic_of(step) else ""
    links = {**example.links, "unsubscribe": opt_out, "survey": f"{base}/s/example" if survey else ""}
    context = replace(example, purpose=purpose, step=step.name, links=links)
    if survey is not None:
        context = replace(context, survey=_survey_facts(survey, locale, bank.default_locale))
    if contact is not None:
        context = replace(context, name=contact.name, locale=contact.locale, attributes=contact.attributes)
    return context


def _survey_facts(survey: Survey, locale: str, default: str) -> dict[str, object]:
    first = survey.questions[0]
    texts = {"title": survey.title, "intro": survey.intro, "question": first.text}
    return {**{name: text.get(locale, default) for name, text in texts.items()}, "scale": first.scale}
