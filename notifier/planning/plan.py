"""Plan: freeze the audience of a run, then write the messages of each step when it is due."""

from dataclasses import dataclass

from notifier.domain.audience import All, Bindings, InList, Rule
from notifier.domain.campaign import Campaign, Step
from notifier.domain.channel import Channel
from notifier.domain.inputs import read_inputs
from notifier.domain.message import RunId
from notifier.logs import get_logger
from notifier.planning.catalogue import CampaignVersion, get_campaign
from notifier.store import runs
from notifier.store.audience import Fragment, compile_rule
from notifier.store.database import Database, Tx
from notifier.store.messages.plan import StepPlan, StepRow, finish_step, lock_step, plan_chunk, plan_posts
from notifier.store.runs import Run

log = get_logger()
_FREEZE_FIRST = 3  # the first free parameter of `freeze_recipients`
_PLAN_FIRST = 9  # and of `plan_chunk`


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one call of `plan_due` did."""

    steps: int
    messages: int


async def plan_due(database: Database) -> Planned:
    """Plan every step whose time has come; resumable, and safe to run twice at once."""
    async with database.transaction() as tx:
        due = await runs.list_due_steps(tx)
    messages = 0
    for found in due:
        messages += await plan_step(database, found.run_id, found.step)
    return Planned(steps=len(due), messages=messages)


async def plan_step(database: Database, run_id: RunId, step_name: str) -> int:
    """Plan one step in chunks, a transaction each; returns how many messages were written."""
    written, more = 0, True
    while more:
        async with database.transaction() as tx:
            run = await runs.get_run(tx, run_id, lock=True)
            row = await lock_step(tx, run_id, step_name)
            if row.state == "planned" or run.state not in {"scheduled", "running"}:
                return written
            version = await get_campaign(tx, run.team_id, run.campaign_id)
            if run.frozen_at is None:
                await freeze_audience(tx, run, version)
            step = next(step for step in version.campaign.steps if step.name == step_name)
            count, more = await _plan_part(tx, run, row, step=step, version=version)
            if not more:
                await finish_step(tx, run_id, step_name)
        written += count
    log.info("planning.step_planned", run=run_id, step=step_name, messages=written)
    return written


async def freeze_audience(tx: Tx, run: Run, version: CampaignVersion) -> int:
    """The contacts meant and the accounts of all posts become recipients; returns how many contacts."""
    campaign = version.campaign
    where = _compile(run_audience(campaign, run), run, version, first=_FREEZE_FIRST)
    accounts = sorted({account for step in campaign.steps for account in step.accounts})
    count = await runs.freeze_recipients(tx, run, where.sql, list(where.params), accounts)
    log.info("planning.audience_frozen", run=run.id, recipients=count)
    return count


def run_audience(campaign: Campaign, run: Run) -> Rule:
    """The campaign's audience, or the imported list the run was launched for within it."""
    return All((campaign.audience, InList(run.audience_list))) if run.audience_list else campaign.audience


async def _plan_part(tx: Tx, run: Run, row: StepRow, *, step: Step, version: CampaignVersion) -> tuple[int, bool]:
    if step.is_post:
        return await plan_posts(tx, run, step.name, list(step.accounts)), False
    narrowed = _compile(step.audience, run, version, first=_PLAN_FIRST)
    plan = StepPlan(
        channels=tuple(Channel(channel).value for channel in step.channels or step.by),
        pick_first=bool(step.by),
        where=narrowed.sql,
        params=list(narrowed.params),
        sample_pct=step.sample_pct,
        condition=step.condition.value if step.condition else "",
        survey_key=step.survey,
        zone=version.bank.zone,
    )
    return await plan_chunk(tx, run, row, plan)


def _compile(rule: Rule, run: Run, version: CampaignVersion, *, first: int) -> Fragment:
    bindings = Bindings(inputs=read_inputs(version.campaign, run.inputs), run_id=run.id)
    return compile_rule(
        rule,
        bindings,
        team_id=run.team_id,
        default_locale=version.bank.default_locale,
        default_zone=version.bank.zone,
        first=first,
    )
