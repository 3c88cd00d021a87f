"""Plan: freeze the audience of a run, then write the messages of each step when it is due."""

import asyncio
from dataclasses import dataclass, field

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
from notifier.store.messages.plan import (
    CHUNK,
    Part,
    StepPlan,
    StepRow,
    hand_out,
    lock_step,
    plan_chunk,
    plan_posts,
    take_part,
)
from notifier.store.run_steps import DueStep, list_due_steps
from notifier.store.runs import Run

log = get_logger()
PLANNERS = 2
"""Planners of one process: a second one uses PostgreSQL's second core."""
_FREEZE_FIRST = 3  # the first free parameter of `freeze_recipients`
_PLAN_FIRST = 10  # and of `plan_chunk`
_PLANNED_IN = {"scheduled", "running"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What one call of `plan_due` did."""

    steps: int
    messages: int


async def plan_due(database: Database, *, chunk: int = CHUNK, planners: int = PLANNERS) -> Planned:
    """Plan every step whose time has come; resumable, and safe to run twice at once.

    What is due is looked up again after each chunk: an emergency does not wait until a large campaign is planned.
    A step that cannot be planned stops its run with the problem; the others go on.
    """
    team = _Planners(database, chunk)
    ended = await asyncio.gather(*(team.plan() for _ in range(planners)), return_exceptions=True)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return Planned(steps=len(team.done), messages=team.messages)


async def plan_part(database: Database, run_id: RunId, step_name: str, *, chunk: int = CHUNK) -> int | None:
    """Plan the next chunk of a step; returns how many messages were written, None where there is nothing to do here."""
    step = await _open_step(database, run_id, step_name, chunk=chunk)
    return None if step is None else await _plan_next(database, step)


@dataclass(slots=True)
class _Planners:
    """Planners that share what is due: chunks of one step, or different steps."""

    database: Database
    chunk: int
    done: set[DueStep] = field(default_factory=set)
    messages: int = 0
    opening: dict[DueStep, asyncio.Event] = field(default_factory=dict)

    async def plan(self) -> None:
        """Work until nothing is due that no other planner has."""
        passed: set[DueStep] = set()
        while (due := await self._next(passed)) is not None:
            try:
                written = await self._plan_part(due)
            except TRANSIENT:
                raise
            except Exception as error:  # noqa: BLE001 - one run's trouble must not stand before all others
                await _halt(self.database, due.run_id, error)
                written = None
            if written is None:
                passed.add(due)
            else:
                self.done.add(due)
                self.messages += written

    async def _next(self, passed: set[DueStep]) -> DueStep | None:
        while True:
            async with self.database.transaction() as tx:
                due = [step for step in await list_due_steps(tx) if step not in passed]
            if not due:
                return None
            if free := [step for step in due if step not in self.opening]:
                return free[0]
            await self.opening[due[0]].wait()  # its audience is being frozen; then there is work for all

    async def _plan_part(self, due: DueStep) -> int | None:
        self.opening[due] = asyncio.Event()
        try:
            step = await _open_step(self.database, due.run_id, due.step, chunk=self.chunk)
        finally:
            self.opening.pop(due).set()
        return None if step is None else await _plan_next(self.database, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenStep:
    """A step whose audience is frozen and of which parts are left."""

    run: Run
    row: StepRow
    step: Step
    version: CampaignVersion


async def _open_step(database: Database, run_id: RunId, step_name: str, *, chunk: int) -> _OpenStep | None:
    """Freeze the audience if nobody has, and give one more part out; None where nothing of the step is left here."""
    async with database.transaction() as tx:
        row = await lock_step(tx, run_id, step_name)
        if row is None or row.state == "planned":
            return None
        run = await runs.get_run(tx, run_id, lock=True)
        if run.state not in _PLANNED_IN:
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
        if not await hand_out(tx, run_id, step_name, chunk=None if step.is_post else chunk):
            return None
    return _OpenStep(run=run, row=row, step=step, version=version)


async def _plan_next(database: Database, step: _OpenStep) -> int | None:
    """Write the messages of one part; None where others have them all.

    The run is not locked: a stop need not wait for it. What is written after a cancellation is cancelled by the tick.
    """
    async with database.transaction() as tx:
        if (await runs.get_run(tx, step.run.id)).state not in _PLANNED_IN:
            return None
        part = await take_part(tx, step.run.id, step.row.step)
        if part is None:
            return None
        written = await _plan_part(tx, step, part)
    log.info("planning.part_planned", run=step.run.id, step=step.row.step, messages=written)
    return written


async def _halt(database: Database, run_id: RunId, error: Exception) -> None:
    problem = str(error) if isinstance(error, NotifierError) else f"unexpected {type(error).__name__}"
    log.error("planning.run_halted", run=run_id, problem=problem)
    async with database.transaction() as tx:
        if (await runs.get_run(tx, run_id, lock=True)).state in _PLANNED_IN:
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


async def _plan_part(tx: Tx, opened: _OpenStep, part: Part) -> int:
    run, step, version = opened.run, opened.step, opened.version
    if step.is_post:
        return await plan_posts(tx, run, step.name, list(step.accounts))
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
    return await plan_chunk(tx, run, opened.row, part, plan)


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
