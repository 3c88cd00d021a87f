"""Plan: freeze the audience of a run, then write the messages of each step when it is due."""

from dataclasses import dataclass

from notifier.domain.audience import Bindings, Rule
from notifier.domain.campaign import Step
from notifier.domain.channel import Channel
from notifier.domain.errors import NotFound, NotifierError
from notifier.domain.inputs import read_inputs
from notifier.domain.message import RunId
from notifier.domain.purpose import Purpose
from notifier.logs import get_logger
from notifier.planning.audience import run_audience
from notifier.planning.catalogue import CampaignVersion, get_campaign
from notifier.planning.release import call_back, release_problem
from notifier.store import runs
from notifier.store.access import add_audit
from notifier.store.audience import Fragment, compile_rule
from notifier.store.database import TRANSIENT, Database, Tx
from notifier.store.messages.plan import CHUNK, StepPlan, StepRow, finish_step, lock_step, plan_chunk, plan_posts
from notifier.store.run_steps import DueStep, list_due_steps
from notifier.store.runs import Run

log = get_logger()
_FREEZE_FIRST = 3  # the first free parameter of `freeze_recipients`
_PLAN_FIRST = 9  # and of `plan_chunk`


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one call of `plan_due` did."""

    steps: int
    messages: int


async def plan_due(database: Database, *, chunk: int = CHUNK) -> Planned:
    """Plan every step whose time has come; resumable, and safe to run twice at once.

    What is due is looked up again after each chunk: an emergency does not wait until a large campaign is planned.
    A step that cannot be planned stops its run with the problem; the others go on.
    """
    passed: set[DueStep] = set()
    done: set[DueStep] = set()
    messages = 0
    while True:
        async with database.transaction() as tx:
            due = [step for step in await list_due_steps(tx) if step not in passed]
        if not due:
            return Planned(steps=len(done), messages=messages)
        try:
            written = await plan_part(database, due[0].run_id, due[0].step, chunk=chunk)
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - one run's trouble must not stand before all others
            await _halt(database, due[0].run_id, error)
            written = None
        if written is None:
            passed.add(due[0])
        else:
            done.add(due[0])
            messages += written


async def plan_part(database: Database, run_id: RunId, step_name: str, *, chunk: int = CHUNK) -> int | None:
    """Plan the next chunk of a step; returns how many messages were written, None where there is nothing to do here."""
    async with database.transaction() as tx:
        row = await lock_step(tx, run_id, step_name)
        if row is None or row.state == "planned":
            return None
        run = await runs.get_run(tx, run_id, lock=True)
        if run.state not in {"scheduled", "running"}:
            return None
        version = await get_campaign(tx, run)
        if run.frozen_at is None:
            if problem := await release_problem(tx, run, version):
                await call_back(tx, run, problem)
                return None
            await freeze_audience(tx, run, version)
        step = next((step for step in version.campaign.steps if step.name == step_name), None)
        if step is None:
            raise NotFound(f"the campaign {run.campaign_key} has no step {step_name!r}")
        written, more = await _plan_chunk(tx, run, row, step=step, version=version, chunk=chunk)
        if not more:
            await finish_step(tx, run_id, step_name)
    log.info("planning.part_planned", run=run_id, step=step_name, messages=written, more=more)
    return written


async def _halt(database: Database, run_id: RunId, error: Exception) -> None:
    problem = str(error) if isinstance(error, NotifierError) else f"unexpected {type(error).__name__}"
    log.error("planning.run_halted", run=run_id, problem=problem)
    async with database.transaction() as tx:
        if (await runs.get_run(tx, run_id, lock=True)).state in {"scheduled", "running"}:
            await runs.set_run_state(tx, run_id, "stopped", f"could not be planned: {problem}")


async def freeze_audience(tx: Tx, run: Run, version: CampaignVersion) -> int:
    """The contacts meant and the accounts of all posts become recipients; returns how many contacts."""
    campaign = version.campaign
    where = _compile(await run_audience(tx, run, campaign), run, version, first=_FREEZE_FIRST)
    accounts = sorted({account for step in campaign.steps for account in step.accounts})
    count = await runs.freeze_recipients(tx, run, where.sql, list(where.params), accounts)
    log.info("planning.audience_frozen", run=run.id, recipients=count)
    await _audit_override(tx, run, version)
    return count


async def _audit_override(tx: Tx, run: Run, version: CampaignVersion) -> None:
    """An emergency that goes to people who opted out leaves a trace of how many they are."""
    campaign, inherited = version.campaign, Purpose(run.purpose)
    urgent = [step for step in campaign.steps if (campaign.purpose_of(step) or inherited) is Purpose.EMERGENCY]
    channels = sorted({channel.value for step in urgent for channel in step.channels or step.by})
    if not version.bank.emergency_overrides_opt_out or not channels:
        return
    detail = {"campaign": campaign.key, "recipients": await runs.count_opted_out(tx, run.id, channels)}
    await add_audit(
        tx, run.team_id, actor=run.launched_by, act="run.opt_outs_overridden", subject=f"run:{run.id}", detail=detail
    )


async def _plan_chunk(
    tx: Tx, run: Run, row: StepRow, *, step: Step, version: CampaignVersion, chunk: int
) -> tuple[int, bool]:
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
    return await plan_chunk(tx, run, row, plan, chunk=chunk)


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
