"""Commands for campaigns and their runs: look, count, launch, watch, stop."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from notifier.cli import releases
from notifier.cli.door import TEAM, ask_who, find_actor, in_transaction, who, with_rows
from notifier.cli.forecasts import say_forecast, step_facts
from notifier.cli.inputs import read_inputs, read_moment
from notifier.cli.releases import As, AsJson, RunNumber, Yes, ring, run_facts, say_state
from notifier.cli.show import confirm, describe_counts, say, say_json, say_table
from notifier.domain.inputs import example_inputs
from notifier.domain.person import Person
from notifier.planning.catalogue import CampaignVersion, find_bank, find_campaign, list_campaigns
from notifier.planning.control import cancel_run, resume_run, stop_run
from notifier.planning.draft import Draft, fill_inputs
from notifier.planning.forecast import Forecast, forecast_campaign
from notifier.planning.launch import launch_campaign
from notifier.planning.release import undo_release
from notifier.planning.schedule import next_occurrence, to_local
from notifier.settings import Settings
from notifier.store import clock
from notifier.store.database import Database, Tx
from notifier.store.runs import Run
from notifier.store.tallies import Tally, read_tallies
from notifier.store.views.runs import RunLine, StepLine, get_run_line, list_runs, list_steps

Key = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its key, as `notifier campaign list` shows.")]
Given = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", metavar="NAME=VALUE", help="Repeatable; NAME.LOCALE=TEXT for a text per language."),
]
InputFile = Annotated[Path | None, typer.Option("--inputs", metavar="FILE", help="Inputs as a YAML or JSON mapping.")]
Example = Annotated[bool, typer.Option("--example", help="Start from the examples in the definition.")]

campaign = typer.Typer(
    no_args_is_help=True, help="Campaigns and their runs: list, forecast, launch, release, watch, stop."
)


@campaign.command("list")
def show_campaigns(as_json: AsJson = False) -> None:
    """List the campaigns in use and when each goes out next.

    - `notifier campaign list`
    """

    async def work(tx: Tx) -> tuple[list[CampaignVersion], datetime]:
        return await list_campaigns(tx, TEAM), await clock.now(tx)

    versions, now = in_transaction(work)
    if as_json:
        say_json([_campaign_facts(version, now) for version in versions])
        return
    rows = [[str(fact) for fact in _campaign_facts(version, now).values()] for version in versions]
    say_table(("campaign", "title", "purpose", "next start", "inputs", "steps"), rows)


def _campaign_facts(version: CampaignVersion, now: datetime) -> dict[str, object]:
    found, bank = version.campaign, version.bank
    starts_at = next_occurrence(found.schedule, now, bank.zone)
    return {
        "campaign": found.key,
        "title": found.title.get(bank.default_locale, bank.default_locale),
        "purpose": found.purpose.value if found.purpose else f"as run in `{found.inherits}`",
        "next_start": _local(starts_at, bank.zone) if starts_at else "on demand",
        "inputs": " ".join(found.inputs),
        "steps": " ".join(step.name for step in found.steps),
    }


def _local(at: datetime, zone: str) -> str:
    return f"{to_local(at, zone):%Y-%m-%d %H:%M} {zone}"


@campaign.command()
def forecast(
    key: Key, given: Given = None, inputs: InputFile = None, example: Example = False, as_json: AsJson = False
) -> None:
    """Say whom a campaign would reach now, by step and channel, and why others not. Nothing is sent.

    - `notifier campaign forecast branch-closure-alert --input branch=静安支行`
    """
    values = read_inputs(given or [], inputs)

    async def work(tx: Tx) -> Forecast:
        start = example_inputs((await find_campaign(tx, TEAM, key)).campaign) if example else {}
        return await forecast_campaign(tx, TEAM, key, start | values)

    found = in_transaction(work)
    if as_json:
        say_json({**asdict(found), "steps": [step_facts(step) for step in found.steps]})
    else:
        say_forecast(found)


@campaign.command()
def launch(  # noqa: PLR0913, PLR0917 - one for each option
    key: Key,
    given: Given = None,
    inputs: InputFile = None,
    example: Example = False,
    at: Annotated[str, typer.Option(metavar="TIME", help="2026-03-12T09:00 in the bank's zone; else now.")] = "",
    list_key: Annotated[str, typer.Option("--list", metavar="KEY", help="Only contacts of this imported list.")] = "",
    segment: Annotated[str, typer.Option(metavar="KEY", help="Only contacts of this segment.")] = "",
    drill: Annotated[bool, typer.Option("--drill", help="An exercise: stamped as one, never to customers.")] = False,
    login: As = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make a run of a campaign: says whom it reaches, asks who launches it, then submits it for release.

    What can reach a customer or the public goes out when another person releases it, `notifier campaign release`.
    What reaches only employees goes out at once. The password is asked for, or is the first line of standard input.

    - `notifier campaign launch measures-notice --inputs week.yaml --at 2026-03-16T09:00 --as lin`

    - `notifier campaign launch measures-notice --example` tries it with the examples

    - `pass show bank/lin | notifier campaign launch branch-closure-alert --example --as lin --yes`
    """
    values, credentials = read_inputs(given or [], inputs), ask_who(login)

    async def work(settings: Settings, database: Database) -> Run:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            start = example_inputs((await find_campaign(tx, TEAM, key)).campaign) if example else {}
            starts_at = read_moment(at, (await find_bank(tx, TEAM)).zone) if at else None
            expected = await forecast_campaign(tx, TEAM, key, start | values, audience_list=list_key)
        if not as_json:
            say_forecast(expected)
        confirm(f"Launch {key} {f'at {at}' if at else 'now'}?", yes=yes)
        draft = Draft(
            campaign_key=key,
            inputs=start | values,
            at=starts_at,
            audience_list=list_key,
            segment=segment,
            drill=drill,
        )
        async with database.transaction() as tx:
            run = await launch_campaign(tx, team_id=TEAM, draft=draft, by=by)
        await ring(settings)
        return run

    run = with_rows(work)
    if as_json:
        say_json(run_facts(run))
        return
    say_state(run)


@campaign.command()
def status(
    run: Annotated[int | None, typer.Argument(metavar="[RUN]", help="A run's number; else the newest runs.")] = None,
    key: Annotated[str, typer.Option("--campaign", metavar="CAMPAIGN", help="Only runs of this campaign.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the newest runs, or one run with its steps and what became of its messages.

    - `notifier campaign status`

    - `notifier campaign status 202603000001 --json`
    """
    if run is None:
        found, zone = in_transaction(lambda tx: _find_runs(tx, key))
        _show_runs(found, zone, as_json)
        return

    async def work(tx: Tx) -> tuple[RunLine, list[StepLine], list[Tally], str]:
        line, zone = await get_run_line(tx, TEAM, run), (await find_bank(tx, TEAM)).zone
        return line, await list_steps(tx, run), await read_tallies(tx, run), zone

    line, steps, tallies, zone = in_transaction(work)
    _show_run(line, steps, tallies, zone=zone, as_json=as_json)


async def _find_runs(tx: Tx, key: str) -> tuple[list[RunLine], str]:
    return await list_runs(tx, TEAM, campaign_key=key), (await find_bank(tx, TEAM)).zone


def _show_runs(runs: list[RunLine], zone: str, as_json: bool) -> None:
    if as_json:
        say_json([asdict(one) for one in runs])
        return
    rows = [
        (str(one.id), one.campaign_key, one.state, _moment(one.nominal_at, zone), describe_counts(one.counts))
        for one in runs
    ]
    say_table(("run", "campaign", "state", f"starts ({zone})", "messages"), rows)


def _show_run(line: RunLine, steps: list[StepLine], tallies: list[Tally], *, zone: str, as_json: bool) -> None:
    if as_json:
        say_json(
            {**asdict(line), "steps": [asdict(one) for one in steps], "messages": [asdict(one) for one in tallies]}
        )
        return
    say(f"run {line.id} of {line.campaign_key}: {line.state}, {line.recipients:,} recipients, by {line.launched_by}")
    if line.problem:
        say(f"problem: {line.problem}")
    say_table(
        ("step", "state", f"due ({zone})", "template"),
        [(one.step, one.state, _due(one, zone), f"{one.template_key} v{one.template_version}") for one in steps],
    )
    say()
    rows = [(one.step, one.channel, one.state, one.count, one.reason) for one in tallies]
    say_table(("step", "channel", "state", "messages", "reason"), rows, ("messages",))


def _due(step: StepLine, zone: str) -> str:
    if step.due_local:
        return f"{step.due_local:%Y-%m-%d %H:%M} at the contact"
    return _moment(step.due_at, zone) if step.due_at else ""


def _moment(at: datetime, zone: str) -> str:
    return f"{to_local(at, zone):%Y-%m-%d %H:%M}"


@campaign.command()
def stop(run: RunNumber) -> None:
    """Halt a run: from now on no message of it leaves; what is on the wire is finished.

    - `notifier campaign stop 202603000001`, later `resume` or `cancel`
    """
    in_transaction(lambda tx: stop_run(tx, run, who()))
    say(f"Run {run} is stopped.")


@campaign.command()
def resume(run: RunNumber, login: As = "") -> None:
    """Let a stopped run go on; what expired meanwhile stays unsent.

    - `notifier campaign resume 202603000001`

    - with `--as chen`, an approver, operator or administrator, where the service stopped it by itself
    """
    credentials = ask_who(login) if login else None

    async def work(_: Settings, database: Database) -> None:
        by = await find_actor(database, credentials) if credentials else Person(name=who())
        async with database.transaction() as tx:
            await resume_run(tx, run, by)

    with_rows(work)
    say(f"Run {run} goes on.")


@campaign.command()
def undo(run: RunNumber) -> None:
    """Take a release back before anything leaves; the campaign says for how long that can be, `undo: 30s`.

    The run waits for another release.
    """
    in_transaction(lambda tx: undo_release(tx, run, Person(name=who())))
    say(f"Run {run} waits to be released again.")


@campaign.command()
def cancel(run: RunNumber, yes: Yes = False) -> None:
    """End a run for good; messages not yet sent are cancelled. There is no way back."""
    confirm(f"Cancel run {run} for good?", yes=yes)
    count = in_transaction(lambda tx: cancel_run(tx, run, who()))
    say(f"Run {run} is cancelled, with {count:,} messages that had not been sent.")


@campaign.command()
def fill(run: RunNumber, given: Given = None, inputs: InputFile = None, login: As = "") -> None:
    """Give a waiting run its inputs; another person releases it, then it goes out at its time.

    A recurring campaign with required inputs makes its run early and waits: last week's text never goes out by itself.

    - `notifier campaign fill 202603000001 --inputs week.yaml --as lin`
    """
    values, credentials = read_inputs(given or [], inputs), ask_who(login)

    async def work(_settings: Settings, database: Database) -> Run:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            return await fill_inputs(tx, run, values, by)

    say_state(with_rows(work))


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`, with those that let runs out."""
    releases.add_to(campaign)
    app.add_typer(campaign, name="campaign", rich_help_panel="Work")
