"""When something goes out, in words: at once, at an instant, at a wall time of each contact, or not before."""

from datetime import datetime

from notifier.store.views.overview import OpenRun, Upcoming
from notifier.store.views.runs import RunLine, StepLine, Wait
from notifier.web.console.words import Words

_QUIET_HOURS = "quiet-hours"


_UNRELEASED = frozenset({"draft", "waiting", "submitted"})


def tell_start(run: RunLine | OpenRun, t: Words, *, now: datetime | None = None) -> str:
    """When a run starts or started; with `now` also that its time passed while it was not released."""
    if run.at_once and run.state in {"draft", "submitted"}:
        return t("as soon as it is released")
    at = t.moment(run.nominal_at)
    if now is not None and is_late(run.state, run.nominal_at, now):
        return t("%(at)s (late: starts when it is released)", at=at)
    return at


def is_late(state: str, at: datetime, now: datetime) -> bool:
    """Whether a run that is not released yet should have begun."""
    return state in _UNRELEASED and at < now


def tell_due(step: StepLine | Upcoming, t: Words) -> str:
    """When a step is due."""
    if step.due_local is not None:
        return t("%(at)s, local time of each contact", at=t.wall(step.due_local))
    return t.moment(step.due_at)


def tell_wait(wait: Wait, t: Words) -> str:
    """Until when the queue of a run waits, and why."""
    until, latest = t.moment(wait.until), t.moment(wait.latest)
    if wait.is_local and wait.wall is not None:
        return t("the rest goes at %(at)s, local time of each contact", at=t.wall(wait.wall))
    if wait.reason == _QUIET_HOURS and until == latest:
        return t("waits until %(at)s: quiet hours", at=until)
    if wait.reason == _QUIET_HOURS:
        return t(
            "waits until %(at)s, the last until %(latest)s: quiet hours in the contacts' zones", at=until, latest=latest
        )
    if wait.reason:
        return t("put off until %(at)s: %(reason)s", at=until, reason=t(wait.reason))
    return t("waits until %(at)s", at=until)
