"""A forecast as it is printed: whom each step reaches, and why others not."""

from collections.abc import Sequence
from dataclasses import asdict

from notifier.cli.show import describe_counts, say, say_table
from notifier.planning.forecast import Forecast, StepForecast


def step_facts(step: StepForecast) -> dict[str, object]:
    """A step for a script."""
    reach = [{**asdict(one), "reachable": one.reachable} for one in step.reach]
    return {**asdict(step), "reach": reach, "messages": step.messages}


def say_forecast(found: Forecast) -> None:
    """For a person."""
    say(f"{found.campaign}: {found.contacts:,} contacts meant, purpose {found.purpose}")
    rows: list[Sequence[object]] = []
    for step in found.steps:
        rows += [(step.step, f"post {account}", "", 1, "") for account in step.accounts]
        rows += [(step.step, one.channel, one.meant, one.reachable, describe_counts(one.refused)) for one in step.reach]
    say_table(("step", "by", "meant", "reachable", "why others not"), rows, ("meant", "reachable"))
    for step in found.steps:
        if step.sample_pct < 100:
            say(f"{step.step}: a sample of {step.sample_pct:g} %, about {step.messages:,} messages")
        if step.at_most:
            say(f"{step.step}: at most these; whom it leaves out is known when it is due")
