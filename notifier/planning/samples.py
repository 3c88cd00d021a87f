"""Samples: what a run's messages say to real contacts of its audience, with its own versions and inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from notifier.domain.audience import Bindings
from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel, Content
from notifier.domain.contact import Contact
from notifier.domain.errors import NotFound, RenderError
from notifier.domain.inputs import example_inputs, read_inputs
from notifier.domain.purpose import Purpose
from notifier.domain.spec import bank_from_spec, campaign_from_spec, survey_from_spec, template_from_spec
from notifier.domain.survey import Survey
from notifier.domain.template import Bank
from notifier.planning.audience import run_audience
from notifier.planning.preview import StepMaterial, channels_of, preview_message
from notifier.rendering.render import compile_template
from notifier.store import definitions as stored
from notifier.store.audience import compile_rule
from notifier.store.database import Tx
from notifier.store.runs import Run
from notifier.store.views.samples import FIRST, LocaleSamples, pick_samples

_ATTRIBUTE = "contact.attributes."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMaterial:
    """A run's pinned versions, ready to render; `missing`: inputs nobody filled yet, shown with their examples."""

    campaign: Campaign
    bank: Bank
    steps: Mapping[str, StepMaterial] = field(repr=False)
    missing: tuple[str, ...]

    def step(self, name: str) -> StepMaterial:
        """One step, or `NotFound`."""
        if name not in self.steps:
            raise NotFound(f"the campaign {self.campaign.key} has no step {name!r}")
        return self.steps[name]

    @property
    def attributes(self) -> tuple[str, ...]:
        """What the templates of its steps read of a contact, besides the name."""
        paths = {path for one in self.steps.values() for path in one.template.template.variables}
        return tuple(sorted(path.removeprefix(_ATTRIBUTE) for path in paths if path.startswith(_ATTRIBUTE)))


async def read_material(tx: Tx, run: Run, *, site: str = "") -> RunMaterial:
    """What the run's messages are made of. `site`: the public address, for links as long as the real ones.

    `DefinitionError` where a stored template can no longer be compiled.
    """
    campaign = campaign_from_spec((await stored.get_definition(tx, run.campaign_id)).spec)
    bank = bank_from_spec((await stored.get_definition(tx, run.pinned["bank"])).spec)
    examples = example_inputs(campaign)
    missing = tuple(name for name, wanted in campaign.inputs.items() if wanted.required and name not in run.inputs)
    inputs = read_inputs(campaign, {**{name: examples.get(name) for name in missing}, **run.inputs})
    steps = {
        step.name: StepMaterial(
            step=step,
            bank=bank,
            template=compile_template(
                template_from_spec((await stored.get_definition(tx, run.pinned["templates"][step.template])).spec), bank
            ),
            survey=await _survey(tx, run, step),
            purpose=campaign.purpose_of(step) or Purpose(run.purpose),
            topic=campaign.topic_of(step),
            inputs=inputs,
            drill=run.drill,
            site=site,
        )
        for step in campaign.steps
    }
    return RunMaterial(campaign=campaign, bank=bank, steps=steps, missing=missing)


async def _survey(tx: Tx, run: Run, step: Step) -> Survey | None:
    if not step.survey:
        return None
    return survey_from_spec((await stored.get_definition(tx, run.pinned["surveys"][step.survey])).spec)


async def pick_run_samples(tx: Tx, run: Run, material: RunMaterial) -> list[LocaleSamples]:
    """Contacts of the run's audience to look at its texts with; none where nobody is meant.

    `InputError` names an input the audience depends on that has no value yet.
    """
    rule = await run_audience(tx, run, material.campaign)
    where = compile_rule(
        rule,
        Bindings(inputs=read_inputs(material.campaign, run.inputs), run_id=run.id),
        team_id=run.team_id,
        default_locale=material.bank.default_locale,
        default_zone=material.bank.zone,
        first=FIRST,
    )
    return await pick_samples(tx, where, default_locale=material.bank.default_locale, attributes=material.attributes)


async def render_sample(  # noqa: PLR0917 - what a message is made of, in the order of saying it
    tx: Tx, run: Run, step: str, channel: Channel | str, locale: str, contact: Contact | None, *, site: str = ""
) -> Content:
    """One message of the run as sending would make it; its links to the service's own pages do nothing.

    `locale` "" = the contact's, else the bank's. Without a contact the template's example of one is named.
    `NotFound` where the run has no such step, `RenderError` where it has no such text or a value is missing.
    """
    material = (await read_material(tx, run, site=site)).step(step)
    return render_for(material, Channel(channel), locale, contact)


def render_for(material: StepMaterial, channel: Channel, locale: str, contact: Contact | None) -> Content:
    """See `render_sample`."""
    wanted = locale or (contact.locale if contact else "")
    if channel not in channels_of(material.step):
        raise RenderError(f"the step {material.step.name} does not go by {channel}")
    found = material.locale_for(channel, wanted)
    if found is None:
        raise RenderError(f"the template {material.step.template} has no {channel} text in {wanted}")
    return preview_message(material, channel, found, contact=contact)


def locales_of(samples: Sequence[LocaleSamples], bank: Bank) -> tuple[str, ...]:
    """The languages to show: those of the contacts, then those of the bank that nobody of them reads."""
    found = [one.locale for one in samples]
    return (*found, *(locale for locale in bank.locales if locale not in found))
