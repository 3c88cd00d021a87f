"""One run as its page shows it: what was planned and what became of it, why, by whom, and compared with others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import ceil
from typing import Any

from starlette.responses import Response

from notifier.domain.campaign import Campaign
from notifier.domain.errors import Conflict, InputError
from notifier.domain.inputs import read_inputs
from notifier.domain.message import Sums, add_up
from notifier.domain.run import OPEN, OVER, RunState
from notifier.domain.survey import Survey
from notifier.feedback.satisfaction import Satisfaction, satisfaction
from notifier.store import clock
from notifier.store.releases import find_release
from notifier.store.surveys import Window
from notifier.store.tallies import Tally, read_tallies
from notifier.store.views.messages import list_messages
from notifier.store.views.runs import (
    RunFigures,
    RunLine,
    StepLine,
    compare_runs,
    count_notes,
    find_wait,
    get_run_line,
    list_acts,
    list_steps,
)
from notifier.web.console.campaigns import flatten_inputs
from notifier.web.console.causes import CauseLine, group_causes
from notifier.web.console.moments import tell_due, tell_start, tell_wait
from notifier.web.console.names import read_names
from notifier.web.console.sentences import tell_step
from notifier.web.console.show import Page

_PAGE = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run's counts as its page shows them: planned = sent + not sent + waiting."""

    sums: Sums
    rows: Sequence[tuple[StepLine, Sequence[tuple[str, Mapping[str, int]]]]]
    causes: Sequence[CauseLine]
    states: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """What became of a run's messages when it was stopped or cancelled; the parts add up to all of them."""

    arrived: int
    with_provider: int  # taken, nothing heard since, or on the wire when it was stopped
    not_sent: int
    still_here: int  # these wait for a resume, or were cancelled


def make_progress(steps: Sequence[StepLine], tallies: Sequence[Tally], causes: Sequence[CauseLine] = ()) -> Progress:
    """Adds tallies up per step and channel."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    total: dict[str, int] = {}
    for tally in tallies:
        states = counts.setdefault((tally.step, tally.channel), {})
        states[tally.state] = states.get(tally.state, 0) + tally.count
        total[tally.state] = total.get(tally.state, 0) + tally.count
    rows = [
        (step, [(channel, found) for (name, channel), found in counts.items() if name == step.step]) for step in steps
    ]
    return Progress(sums=add_up(total), rows=rows, causes=causes, states=total)


def tell_halt(states: Mapping[str, int]) -> Halt:
    """The account after a stop, from messages by state."""

    def count(*names: str) -> int:
        return sum(states.get(name, 0) for name in names)

    return Halt(
        arrived=count("delivered"),
        with_provider=count("accepted", "sending", "uncertain"),
        not_sent=count("bounced", "failed", "expired", "refused"),
        still_here=count("queued", "to-post", "cancelled"),
    )


async def run_page(
    page: Page,
    run_id: int,
    *,
    state: str = "",
    after: int = 0,
    done: str = "",
    typed: Mapping[str, str] | None = None,
    problem: InputError | Conflict | None = None,
) -> Response:
    """The page of a run; `typed` and `problem` come from a form that was wrong."""
    run = await get_run_line(page.tx, page.team_id, run_id)
    campaign = await page.catalogue.campaign_version(page.tx, run.campaign_id)
    titles = {account.key: account.title for account in await page.catalogue.accounts(page.tx, page.team_id)}
    steps = await list_steps(page.tx, run_id)
    return page.show(
        "run.html",
        422 if isinstance(problem, InputError) else 409 if problem else 200,
        campaign=campaign,
        is_over=run.state in OVER,
        is_open=run.state in OPEN,
        starts=tell_start(run, page.words),
        after=after,
        done=done,
        inputs=tell_inputs(page, campaign, run),
        values=typed if typed is not None else flatten_inputs(campaign, run.inputs),
        problem=problem,
        problem_field=problem.field if isinstance(problem, InputError) else "",
        steps=[(step, tell_step(step, page.words, titles)) for step in campaign.steps],
        templates=list(dict.fromkeys((step.template_key, step.template_version) for step in steps)),
        acts=await list_acts(page.tx, page.team_id, run_id),
        release=await find_release(page.tx, run_id),
        notes=await count_notes(page.tx, run_id),
        surveys=await _surveys(page, run),
        figures=await _compare(page, run),
        **await live_values(page, run),
        **await list_values(page, run_id, state=state, after=after),
    )


async def live_values(page: Page, run: RunLine) -> dict[str, Any]:
    """What changes while a run goes."""
    tallies = await read_tallies(page.tx, run.id)
    wait = await find_wait(page.tx, run.id) if run.state == "running" else None
    progress = make_progress(await list_steps(page.tx, run.id), tallies, group_causes(tallies, page.words))
    return {
        "run": run,
        "progress": progress,
        "dues": {step.step: tell_due(step, page.words) for step, _ in progress.rows},
        "wait": tell_wait(wait, page.words) if wait else "",
        "undo_s": undo_s(run, await clock.now(page.tx)),
        "halt": tell_halt(progress.states) if run.state in {"stopped", "cancelled"} and progress.states else None,
        "names": await read_names(page),
    }


def undo_s(run: RunLine, now: datetime) -> int:
    """Whole seconds within which its release can be undone; 0 = it cannot be."""
    if run.state != RunState.SCHEDULED or run.held_until is None:
        return 0
    return max(0, ceil((run.held_until - now).total_seconds()))


async def list_values(page: Page, run_id: int, *, state: str, after: int) -> dict[str, Any]:
    """One page of messages."""
    found = await list_messages(page.tx, page.team_id, run_id, state=state, after=after, limit=_PAGE + 1)
    more = found[_PAGE - 1].id if len(found) > _PAGE else None
    return {"messages": found[:_PAGE], "more": more, "state": state}


async def live_parts(page: Page, run: RunLine, *, state: str, after: int) -> dict[str, str]:
    """The parts of the page that are sent again whenever they changed."""
    values = await live_values(page, run) | await list_values(page, run.id, state=state, after=after)
    values["is_open"], values["is_over"] = run.state in OPEN, run.state in OVER
    parts = {name: page.render(f"part/{name}.html", **values) for name in ("progress", "acts", "messages", "undo")}
    return parts if run.state in OPEN else {"begun": run.state, **parts}  # a page opened before loads itself anew


async def _surveys(page: Page, run: RunLine) -> list[tuple[Survey, Satisfaction]]:
    """The run's surveys with what this run was answered."""
    keys = dict.fromkeys(step.survey_key for step in await list_steps(page.tx, run.id) if step.survey_key)
    found = []
    for key in keys:
        _, survey = await page.catalogue.survey(page.tx, page.team_id, key)
        window = Window(run_id=run.id)
        found.append((survey, await satisfaction(page.tx, survey, window=window, team_id=page.team_id, comments=0)))
    return found


async def _compare(page: Page, run: RunLine) -> list[RunFigures]:
    """This run and earlier ones of its campaign; nothing where there is only this one."""
    if run.kind == "standing" or run.frozen_at is None:
        return []
    found = await compare_runs(page.tx, page.team_id, run.id)
    return found if len(found) > 1 else []


def tell_inputs(page: Page, campaign: Campaign, run: RunLine) -> list[tuple[str, str]]:
    """Each input's label with its value in words."""

    def tell(name: str, value: Any) -> str:
        if isinstance(value, Mapping):
            return str(value.get(page.locale) or next(iter(value.values()), ""))
        if isinstance(value, datetime):
            return page.words.wall(value)
        if isinstance(value, date):
            return page.words.day(value)
        wanted = campaign.inputs.get(name)
        return page.say(wanted.choice_called(value)) if wanted and value in wanted.choices else str(value)

    labels = {name: page.say(wanted.label) for name, wanted in campaign.inputs.items()}
    return [(labels.get(name, name), tell(name, value)) for name, value in read_inputs(campaign, run.inputs).items()]
