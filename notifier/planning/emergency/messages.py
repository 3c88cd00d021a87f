"""Messages: what an emergency says on the phone, in the mail and in a post, while it is still being written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from notifier.domain.campaign import InputType
from notifier.domain.channel import Channel, Content
from notifier.domain.errors import InputError, RenderError
from notifier.domain.inputs import check_value, read_inputs
from notifier.domain.purpose import Purpose
from notifier.planning.catalogue import CampaignVersion, pin
from notifier.planning.draft import run_purpose
from notifier.planning.emergency.desk import EmergencyDesk
from notifier.planning.preview import StepMaterial, channels_of, preview_message
from notifier.store.database import Tx
from notifier.store.runs import Run

_UNWRITTEN = "____"  # stands in a preview for what nobody typed yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message as it would read; a `problem` in place of the content where it cannot be made."""

    step: str
    channel: Channel
    locale: str
    content: Content | None = field(repr=False)
    problem: str = ""


async def read_messages(
    tx: Tx,
    desk: EmergencyDesk,
    team_id: int,
    version: CampaignVersion,
    given: Mapping[str, object],
    *,
    drill: bool = False,
) -> list[Said]:
    """Every message as these inputs would make it now, by step, channel and language; gaps show as ____."""
    campaign = version.campaign
    pinned = (await pin(tx, team_id, campaign)).as_json()
    purpose = Purpose(await run_purpose(tx, team_id, campaign, given))
    inputs = read_inputs(campaign, _without_gaps(version, given))
    return await _read_steps(tx, desk, version, pinned, purpose=purpose, inputs=inputs, drill=drill)


async def read_run_messages(tx: Tx, desk: EmergencyDesk, run: Run, version: CampaignVersion) -> list[Said]:
    """Every message of a run in the versions it was made of."""
    inputs = read_inputs(version.campaign, _without_gaps(version, run.inputs))
    purpose = Purpose(run.purpose)
    return await _read_steps(tx, desk, version, run.pinned, purpose=purpose, inputs=inputs, drill=run.drill)


async def _read_steps(
    tx: Tx,
    desk: EmergencyDesk,
    version: CampaignVersion,
    pinned: Mapping[str, object],
    *,
    purpose: Purpose,
    inputs: Mapping[str, object],
    drill: bool,
) -> list[Said]:
    templates, bank_id = cast(Mapping[str, int], pinned["templates"]), cast(int, pinned["bank"])
    found: list[Said] = []
    for step in version.campaign.steps:
        material = StepMaterial(
            step=step,
            bank=version.bank,
            template=await desk.template(tx, templates[step.template], bank_id, version.bank),
            survey=None,
            purpose=version.campaign.purpose_of(step) or purpose,
            topic=version.campaign.topic_of(step),
            inputs=inputs,
            drill=drill,
        )
        found += [
            _say(material, channel, locale)
            for channel in channels_of(step)
            for locale in version.bank.locales
            if material.locale_for(channel, locale) == locale
        ]
    return found


def _say(material: StepMaterial, channel: Channel, locale: str) -> Said:
    step = material.step.name
    try:
        content = preview_message(material, channel, locale, contact=None)
    except RenderError as error:
        return Said(step=step, channel=channel, locale=locale, content=None, problem=str(error))
    return Said(step=step, channel=channel, locale=locale, content=content)


def _without_gaps(version: CampaignVersion, given: Mapping[str, object]) -> dict[str, object]:
    """Something for every text; a date nobody chose is left out, and its line says that it is missing."""
    filled: dict[str, object] = {}
    for name, wanted in version.campaign.inputs.items():
        value = given.get(name)
        if wanted.localized:
            texts = value if isinstance(value, Mapping) else {}
            filled[name] = {locale: texts.get(locale) or _UNWRITTEN for locale in version.bank.locales}
        elif value not in (None, ""):
            filled[name] = _or_gap(version, name, value)
        elif wanted.type in {InputType.TEXT, InputType.URL}:
            filled[name] = _UNWRITTEN
    return filled


def _or_gap(version: CampaignVersion, name: str, value: object) -> object:
    try:
        return check_value(version.campaign.inputs[name], value, version.bank)
    except InputError:
        return _UNWRITTEN if version.campaign.inputs[name].type is InputType.TEXT else None
