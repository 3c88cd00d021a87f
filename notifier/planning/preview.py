"""Preview: what a campaign's messages will say, with its examples or one contact's own values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel, Content
from notifier.domain.contact import Contact
from notifier.domain.errors import InputError, NotFound
from notifier.domain.inputs import check_value, example_inputs, read_inputs
from notifier.domain.links import LinkKind
from notifier.domain.notation.node import did_you_mean
from notifier.domain.purpose import Purpose
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.planning.definitions.folder import Definitions
from notifier.rendering.context import RenderContext
from notifier.rendering.examples import example_context
from notifier.rendering.render import CompiledTemplate, compile_template
from notifier.rendering.stamp import stamp_exercise

_UNSIGNED = "x" * 16  # as long as a signature, so that an SMS counts the parts it will have; valid for nothing


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMaterial:
    """All that the messages of one step are made of. `site`: where links to the service's own pages seem to lead."""

    step: Step
    bank: Bank
    template: CompiledTemplate
    survey: Survey | None
    purpose: Purpose
    topic: str
    inputs: Mapping[str, object] = field(repr=False)
    drill: bool = False
    site: str = ""

    def locale_for(self, channel: Channel, wanted: str) -> str | None:
        """The locale a message is rendered in for who reads `wanted`; None = it cannot be."""
        default = self.bank.default_locale
        return self.template.template.locale_for(channel, wanted or default, default)


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
    material = StepMaterial(
        step=step,
        bank=found.bank.value,
        template=compile_template(found.templates[step.template].value, found.bank.value),
        survey=found.surveys[step.survey].value if step.survey else None,
        purpose=campaign.purpose_of(step) or Purpose.SERVICE,
        topic=campaign.topic_of(step),
        inputs=inputs,
    )
    asked = wanted.locale or (wanted.contact.locale if wanted.contact else "")
    for channel in channels_of(step):
        if wanted.channel not in {None, channel}:
            continue
        locale = material.locale_for(channel, asked)
        if locale is None:
            raise InputError("locale", f"{step.template} has no {channel} text in {asked}", "Leave it out")
        example = example_context(material.template.template, material.bank, locale)
        content = preview_message(
            replace(material, inputs={**example.inputs, **inputs}), channel, locale, contact=wanted.contact
        )
        yield Preview(step=step.name, channel=channel, locale=locale, content=content)


def channels_of(step: Step) -> tuple[Channel, ...]:
    """The ways its messages may travel."""
    return (Channel.SOCIAL,) if step.is_post else step.channels or step.by


def preview_message(material: StepMaterial, channel: Channel, locale: str, *, contact: Contact | None) -> Content:
    """One message in this locale of the template, as sending would make it but for its links.

    Without a contact with the template's example of one. `RenderError` names what is missing.
    """
    bank = material.bank
    context = RenderContext(
        locale=locale,
        inputs=material.inputs,
        values=material.step.values,
        links={} if channel is Channel.SOCIAL else _links(material),
        survey=_survey_facts(material.survey, locale, bank.default_locale) if material.survey else {},
        purpose=material.purpose,
        step=material.step.name,
    )
    if contact is not None:
        context = replace(context, name=contact.name, attributes=contact.attributes)
    elif channel is not Channel.SOCIAL:
        example = example_context(material.template.template, bank, locale)
        context = replace(context, name=example.name, attributes=example.attributes)
    content = material.template.render(channel, locale, context)
    return stamp_exercise(content, locale) if material.drill else content


def _links(material: StepMaterial) -> dict[str, str]:
    base = (material.site or material.bank.website).rstrip("/")
    links: dict[str, str] = {}
    if material.purpose is Purpose.MARKETING or material.topic:
        links["unsubscribe"] = f"{base}/u/{LinkKind.UNSUBSCRIBE}.preview0.example.{_UNSIGNED}"
        links["preferences"] = f"{base}/p/{LinkKind.PREFERENCES}.preview0.example.{_UNSIGNED}"
    if material.survey is not None:
        links["survey"] = f"{base}/s/{LinkKind.SURVEY}.example.{_UNSIGNED}"
    return links


def _survey_facts(survey: Survey, locale: str, default: str) -> dict[str, object]:
    first = survey.questions[0]
    texts = {"title": survey.title, "intro": survey.intro, "question": first.text}
    return {**{name: text.get(locale, default) for name, text in texts.items()}, "scale": first.scale}
