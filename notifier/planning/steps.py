"""The steps of a run: everything a claim must know about each, written when the run is released."""

from datetime import UTC, datetime, timedelta

from notifier.domain.campaign import Campaign, Step
from notifier.domain.inputs import read_inputs
from notifier.domain.purpose import POST_EXPIRES, RULES, Purpose
from notifier.planning.catalogue import CampaignVersion
from notifier.planning.schedule import LARGEST_OFFSET, step_local_time
from notifier.store.database import Tx
from notifier.store.run_steps import NewStep, add_steps
from notifier.store.runs import Run


async def write_steps(tx: Tx, run: Run, version: CampaignVersion) -> None:
    """Keep the steps of the run as it stands."""
    await add_steps(tx, run.id, make_steps(run, version))


def make_steps(run: Run, version: CampaignVersion) -> list[NewStep]:
    """All steps of the run as it stands; of a standing run the first alone. Every input has to be filled."""
    meant = version.campaign.steps[:1] if run.kind == "standing" else version.campaign.steps
    return [
        _new_step(step, position, run=run, version=version, starts=_starts_at(step, run, version))
        for position, step in enumerate(meant, 1)
    ]


def _new_step(step: Step, position: int, *, run: Run, version: CampaignVersion, starts: datetime) -> NewStep:
    campaign = version.campaign
    purpose = campaign.purpose_of(step) or Purpose(run.purpose)
    rules = RULES[purpose]
    at_contact = starts.tzinfo is None
    return NewStep(
        step=step.name,
        position=position,
        template_id=run.pinned["templates"][step.template],
        survey_id=run.pinned["surveys"][step.survey] if step.survey else None,
        purpose=purpose.value,
        topic=campaign.topic_of(step),
        lane=rules.lane,
        in_doubt="ask" if step.is_post else rules.in_doubt.value,
        consent=rules.consent.value,
        open_from=None if step.is_post else rules.open_from,
        open_until=None if step.is_post else rules.open_to,
        expires=_expires(campaign, step, purpose),
        plan_at=starts.replace(tzinfo=UTC) - LARGEST_OFFSET if at_contact else starts,
        due_at=None if at_contact else starts,
        due_local=starts if at_contact else None,
        closes=step.closes,
    )


def _starts_at(step: Step, run: Run, version: CampaignVersion) -> datetime:
    """Aware: this instant; naive: this local time of each contact. What counts from now is an instant for all."""
    zone = version.campaign.schedule.zone
    return step_local_time(
        step,
        nominal_at=run.nominal_at,
        inputs=read_inputs(version.campaign, run.inputs),
        zone="bank" if run.at_once and zone == "contact" and step.anchor is None else zone,
        bank_zone=version.bank.zone,
    )


def _expires(campaign: Campaign, step: Step, purpose: Purpose) -> timedelta:
    longest = POST_EXPIRES if step.is_post else RULES[purpose].expires
    return min(longest, campaign.expires or longest)


def useless_after(run: Run, version: CampaignVersion) -> datetime:
    """When the messages of the first step have expired: whoever releases the run later is too late."""
    campaign, step = version.campaign, version.campaign.steps[0]
    return run.nominal_at + _expires(campaign, step, campaign.purpose_of(step) or Purpose(run.purpose))
