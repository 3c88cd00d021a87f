"""Pause: a run of which too much comes back, or is called spam, stops by itself until a person looked at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from notifier.domain.causes import Cause, cause_of
from notifier.domain.message import RunId
from notifier.domain.pause import Bounds, Figures, first_of, passes
from notifier.domain.person import SCHEDULE
from notifier.domain.purpose import Purpose
from notifier.domain.run import RunState
from notifier.logs import get_logger
from notifier.planning.alarms import Alarm, raise_alarm
from notifier.planning.catalogue import get_campaign
from notifier.store import pauses, runs
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx
from notifier.store.pauses import Outcome
from notifier.store.runs import Run

log = get_logger()
_RECIPIENTS_FAULT = {Cause.BAD_ADDRESS, Cause.FULL}
_SAID = {
    "bounces": {
        "en": "{} % of its {} messages by {} came back or were rejected, more than {} %",
        "zh": "退回或被拒 {} %（共 {} 条，渠道 {}），超过 {} %",
    },
    "complaints": {
        "en": "{} % of its {} messages by {} were reported as spam, more than {} %",
        "zh": "被投诉 {} %（共 {} 条，渠道 {}），超过 {} %",
    },
}


async def pause_troubled_runs(database: Database) -> int:
    """Stop the running runs beyond a bound, once for a figure, and tell who answers for them; returns how many.

    Emergencies and single messages go on: there a pause does more harm; their people are told.
    """
    async with database.transaction() as tx:
        found = await pauses.list_outcomes(tx)
    paused = 0
    for run_id, outcomes in groupby(sorted(found, key=attrgetter("run_id")), key=attrgetter("run_id")):
        async with database.transaction() as tx:
            paused += await _judge(tx, run_id, add_figures(list(outcomes)))
    return paused


def add_figures(outcomes: Sequence[Outcome]) -> Mapping[str, Figures]:
    """The figures of one run by channel."""
    found = {}
    for channel in sorted({outcome.channel for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.channel == channel]
        returned = sum(one.count for one in own if one.state == "bounced")
        found[channel] = Figures(
            taken=returned + sum(one.count for one in own if one.state in {"accepted", "delivered"}),
            returned=returned,
            rejected=sum(
                one.count
                for one in own
                if one.state == "failed" and cause_of(one.state, one.reason) in _RECIPIENTS_FAULT
            ),
            complaints=sum(one.count for one in own if one.state == "complained"),
        )
    return found


async def _judge(tx: Tx, run_id: RunId, figures: Mapping[str, Figures]) -> bool:
    version = await get_campaign(tx, await runs.get_run(tx, run_id))
    bounds = first_of(version.campaign.pause, version.bank.pause)
    for is_sure in (False, True):  # looked at first without holding anything up
        run = await runs.get_run(tx, run_id, lock=is_sure)
        beyond = _find_beyond(figures, bounds, await pauses.get_paused_for(tx, run_id))
        if beyond is None or run.state != RunState.RUNNING:
            return False
    assert beyond is not None
    await pauses.add_paused_for(tx, run_id, {beyond.name: beyond.figure})
    await _act(tx, run, beyond.reason)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beyond:
    """A figure beyond its bound; `reason` in words by language."""

    name: str
    figure: float
    reason: Mapping[str, str]


def _find_beyond(figures: Mapping[str, Figures], bounds: Bounds, before: Mapping[str, float]) -> _Beyond | None:
    assert bounds.after is not None
    for channel, one in figures.items():
        for kind, figure, of, bound in (
            ("bounces", one.bounces_pct, one.known, bounds.bounces_pct),
            ("complaints", one.complaints_pct, one.taken, bounds.complaints_pct),
        ):
            name = f"{channel} {kind}"
            if of >= bounds.after and passes(figure, bound, before.get(name, 0.0)):
                values = (f"{figure:.2f}", of, channel, f"{bound:g}")
                reason = {language: text.format(*values) for language, text in _SAID[kind].items()}
                return _Beyond(name=name, figure=figure, reason=reason)
    return None


async def _act(tx: Tx, run: Run, reason: Mapping[str, str]) -> None:
    goes_on = run.purpose == Purpose.EMERGENCY or run.kind == "standing"
    if not goes_on:
        await runs.gate_claims(tx, run.id)
        await runs.set_run_state(tx, run.id, RunState.STOPPED, reason["en"])
    act, alarm = ("run.bound_passed", Alarm.BOUND_PASSED) if goes_on else ("run.paused", Alarm.PAUSED)
    subject, detail = f"run:{run.id}", {"problem": reason["en"]}
    await add_audit(tx, run.team_id, actor=SCHEDULE.name, act=act, subject=subject, detail=detail)
    await raise_alarm(tx, run, alarm, by=SCHEDULE, reason=reason)
    log.error(f"planning.{act.replace('.', '_')}", run=run.id, problem=reason["en"])
