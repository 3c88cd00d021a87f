"""Forecast: who a campaign or a run would reach if it went out now; nothing is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.audience import All, Bindings, Rule
from notifier.domain.campaign import Step
from notifier.domain.errors import InputError
from notifier.domain.inputs import check_value, default_inputs, read_inputs
from notifier.domain.purpose import RULES, Purpose
from notifier.domain.template import Bank
from notifier.planning.audience import narrow_audience, run_audience
from notifier.planning.catalogue import CampaignVersion, find_campaign
from notifier.planning.draft import check_list, run_purpose
from notifier.planning.schedule import next_occurrence
from notifier.store import clock
from notifier.store.audience import Fragment, compile_rule, count_audience
from notifier.store.database import Tx
from notifier.store.runs import Run
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
class _Audience:
    """Who is meant, by which version of a campaign."""

    team_id: int
    version: CampaignVersion
    meant: Rule
    bindings: Bindings
    purpose: str
    drill: bool = False


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
    bindings = Bindings(inputs=read_inputs(campaign, _known_inputs(version, given)))
    audience = _Audience(
        team_id=team_id,
        version=version,
        meant=narrow_audience(campaign, audience_list=audience_list),
        bindings=bindings,
        purpose=await run_purpose(tx, team_id, campaign, bindings.inputs),
    )
    starts_at = next_occurrence(campaign.schedule, await clock.now(tx), version.bank.zone)
    return await _forecast(tx, audience, starts_at)


async def forecast_run(tx: Tx, run: Run, version: CampaignVersion) -> Forecast:
    """The same for a run, with its inputs, its list and its segment; an exercise sends no posts.

    `InputError` names an input the audience depends on that nobody filled yet.
    """
    audience = _Audience(
        team_id=run.team_id,
        version=version,
        meant=await run_audience(tx, run, version.campaign),
        bindings=Bindings(inputs=read_inputs(version.campaign, run.inputs), run_id=run.id),
        purpose=run.purpose,
        drill=run.drill,
    )
    return await _forecast(tx, audience, None if run.at_once else run.nominal_at)


async def _forecast(tx: Tx, audience: _Audience, starts_at: datetime | None) -> Forecast:
    contacts = await count_audience(
        tx,
        audience.meant,
        audience.bindings,
        team_id=audience.team_id,
        default_locale=audience.version.bank.default_locale,
        default_zone=audience.version.bank.zone,
    )
    campaign = audience.version.campaign
    return Forecast(
        campaign=campaign.key,
        purpose=audience.purpose,
        contacts=contacts,
        starts_at=starts_at,
        steps=tuple([await _forecast_step(tx, audience, step) for step in campaign.steps]),
    )


def _known_inputs(version: CampaignVersion, given: Mapping[str, object]) -> dict[str, object]:
    campaign = version.campaign
    unknown = next((name for name in given if name not in campaign.inputs), None)
    if unknown is not None:
        raise InputError(unknown, "is not an input of this campaign", f"It has {', '.join(campaign.inputs) or 'none'}")
    checked = {name: check_value(campaign.inputs[name], value, version.bank) for name, value in given.items()}
    return {**default_inputs(campaign)[0], **checked}


async def _forecast_step(tx: Tx, audience: _Audience, step: Step) -> StepForecast:
    version, bindings = audience.version, audience.bindings
    own = version.campaign.purpose_of(step) or Purpose(audience.purpose)
    reach: list[Reach] = []
    if not step.is_post:
        reach = await count_reach(
            tx,
            _compile(All((audience.meant, step.audience)), bindings, audience.team_id, version.bank),
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
        accounts=() if audience.drill else step.accounts,
    )


def _compile(rule: Rule, bindings: Bindings, team_id: int, bank: Bank) -> Fragment:
    return compile_rule(
        rule, bindings, team_id=team_id, default_locale=bank.default_locale, default_zone=bank.zone, first=FIRST
    )


__all__ = ["Forecast", "Reach", "StepForecast", "forecast_campaign", "forecast_run"]
