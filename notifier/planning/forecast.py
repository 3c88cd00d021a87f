"""Forecast: who a campaign would reach if it were launched now; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.audience import All, Bindings, Rule
from notifier.domain.campaign import Step
from notifier.domain.errors import InputError
from notifier.domain.inputs import check_value, default_inputs, read_inputs
from notifier.domain.purpose import RULES, Purpose
from notifier.domain.template import Bank
from notifier.planning.catalogue import CampaignVersion, find_campaign
from notifier.planning.launch import check_list, run_purpose
from notifier.planning.plan import narrow_audience
from notifier.planning.schedule import next_occurrence
from notifier.store import clock
from notifier.store.audience import Fragment, compile_rule, count_audience
from notifier.store.database import Tx
from notifier.store.views.forecast import FIRST, Reach, count_reach


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """One step. `at_most`: a condition or later answers will leave out some of these."""

    step: str
    template: str
    purpose: str
    pick_first: bool
    sample_pct: float
    at_most: bool
    reach: tuple[Reach, ...]
    accounts: tuple[str, ...]

    @property
    def messages(self) -> int:
        """Messages that would be sent, after the sample; posts count one per account."""
        return len(self.accounts) + sum(round(one.reachable * self.sample_pct / 100) for one in self.reach)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A campaign as it would go out; `starts_at` is None where it waits for a launch."""

    campaign: str
    purpose: str
    contacts: int
    starts_at: datetime | None
    steps: tuple[StepForecast, ...]


async def forecast_campaign(
    tx: Tx, team_id: int, campaign_key: str, given: Mapping[str, object], *, audience_list: str = ""
) -> Forecast:
    """Counts of now, before duplicate addresses. Inputs may be missing unless the audience depends on them.

    `audience_list`: only the contacts of this imported list. `NotFound` where there is no such campaign,
    `InputError` naming an input that is wrong or missing.
    """
    version = await find_campaign(tx, team_id, campaign_key)
    campaign = version.campaign
    await check_list(tx, team_id, audience_list)
    meant = narrow_audience(campaign, audience_list)
    bindings = Bindings(inputs=read_inputs(campaign, _known_inputs(version, given)))
    purpose = await run_purpose(tx, campaign, bindings.inputs)
    contacts = await count_audience(
        tx,
        meant,
        bindings,
        team_id=team_id,
        default_locale=version.bank.default_locale,
        default_zone=version.bank.zone,
    )
    steps = [
        await _forecast_step(tx, team_id, step, version=version, meant=meant, bindings=bindings, purpose=purpose)
        for step in campaign.steps
    ]
    return Forecast(
        campaign=campaign.key,
        purpose=purpose,
        contacts=contacts,
        starts_at=next_occurrence(campaign.schedule, await clock.now(tx), version.bank.zone),
        steps=tuple(steps),
    )


def _known_inputs(version: CampaignVersion, given: Mapping[str, object]) -> dict[str, object]:
    campaign = version.campaign
    unknown = next((name for name in given if name not in campaign.inputs), None)
    if unknown is not None:
        raise InputError(unknown, "is not an input of this campaign", f"It has {', '.join(campaign.inputs) or 'none'}")
    checked = {name: check_value(campaign.inputs[name], value, version.bank) for name, value in given.items()}
    return {**default_inputs(campaign)[0], **checked}


async def _forecast_step(
    tx: Tx, team_id: int, step: Step, *, version: CampaignVersion, meant: Rule, bindings: Bindings, purpose: str
) -> StepForecast:
    own = version.campaign.purpose_of(step) or Purpose(purpose)
    reach: list[Reach] = []
    if not step.is_post:
        reach = await count_reach(
            tx,
            _compile(All((meant, step.audience)), bindings, team_id, version.bank),
            channels=[channel.value for channel in step.channels or step.by],
            pick_first=bool(step.by),
            topic=version.campaign.topic_of(step),
            consent=RULES[own].consent.value,
            overrides_opt_out=own is Purpose.EMERGENCY and version.bank.emergency_overrides_opt_out,
        )
    return StepForecast(
        step=step.name,
        template=step.template,
        purpose=own.value,
        pick_first=bool(step.by),
        sample_pct=step.sample_pct,
        at_most=step.condition is not None,
        reach=tuple(reach),
        accounts=step.accounts,
    )


def _compile(rule: Rule, bindings: Bindings, team_id: int, bank: Bank) -> Fragment:
    return compile_rule(
        rule, bindings, team_id=team_id, default_locale=bank.default_locale, default_zone=bank.zone, first=FIRST
    )


__all__ = ["Forecast", "Reach", "StepForecast", "forecast_campaign"]
