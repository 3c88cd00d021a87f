"""Commands that stop a campaign, a channel or everything, show what a stop holds, and resume it."""

from dataclasses import asdict
from typing import Annotated

import typer

from notifier.cli.door import TEAM, ask_who, find_actor, in_transaction, who, with_rows
from notifier.cli.releases import As, AsJson, ring
from notifier.cli.show import WRONG_USAGE, complain, note, say, say_json, say_table
from notifier.domain.person import Person
from notifier.domain.stop import Extent, Scope, Stop, reckon
from notifier.planning.stops import lift_stop, stop_above
from notifier.settings import Settings
from notifier.store.database import Database, Tx
from notifier.store.stops import Held, list_held, list_in_force

Everything = Annotated[bool, typer.Option("--everything", help="All channels and campaigns, emergencies too.")]
OfChannel = Annotated[str, typer.Option("--channel", metavar="CHANNEL", help="email, sms or social.")]
OfCampaign = Annotated[str, typer.Option("--campaign", metavar="KEY", help="All runs of a campaign.")]
_PARTS = ("sent", "leaving", "in_doubt", "not_sent", "held")


def stop(  # noqa: PLR0917 - one for each option
    everything: Everything = False,
    channel: OfChannel = "",
    campaign: OfCampaign = "",
    reason: Annotated[str, typer.Option(help="Everybody reads it until it is resumed.")] = "",
    spare: Annotated[bool, typer.Option("--spare-emergencies", help="Emergencies go on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a campaign, a channel or everything: within a second nothing of it is handed over any more.

    Without a scope it shows what is stopped, and the exact account. One run is stopped with `notifier campaign stop`.

    - `notifier stop --everything --reason "wrong list"`, with `--spare-emergencies` if these may go on

    - `notifier stop --channel sms --reason "the gateway sends twice"`

    - `notifier stop` shows what is stopped; `notifier resume` lets it go on
    """
    if not (everything or channel or campaign):
        _show(in_transaction(_find), as_json=as_json)
        return
    extent = _read_extent(everything, channel, campaign, spare=spare)

    async def work(tx: Tx) -> list[tuple[Stop, list[Held]]]:
        made = await stop_above(tx, TEAM, extent, reason=reason, by=Person(name=who()))
        return [(made, await list_held(tx, TEAM, extent))]

    _show(in_transaction(work), as_json=as_json)
    note("`notifier stop` shows the account as it settles.")


def resume(everything: Everything = False, channel: OfChannel = "", campaign: OfCampaign = "", login: As = "") -> None:
    """Let go on what a stop holds; what expired meanwhile stays unsent. An approver, operator or administrator does it.

    - `notifier resume --everything --as chen`
    """
    wanted = _read_extent(everything, channel, campaign, spare=False)
    credentials = ask_who(login)

    async def work(settings: Settings, database: Database) -> int:
        by = await find_actor(database, credentials)
        async with database.transaction() as tx:
            found = [
                stop
                for stop in await list_in_force(tx, TEAM)
                if (stop.extent.scope, stop.extent.which) == (wanted.scope, wanted.which)
            ]
            for one in found:
                await lift_stop(tx, TEAM, one.id, by)
        await ring(settings)
        return len(found)

    lifted = with_rows(work)
    if not lifted:
        complain("that is not stopped. `notifier stop` shows what is")
        raise typer.Exit(1)
    say(f"{_called(wanted)} goes on." if lifted == 1 else f"{_called(wanted)} goes on: {lifted} stops were lifted.")


def _read_extent(everything: bool, channel: str, campaign: str, *, spare: bool) -> Extent:
    given = [name for name in (everything, channel, campaign) if name]
    if len(given) != 1:
        complain("say what: one of --everything, --channel CHANNEL, --campaign KEY")
        raise typer.Exit(WRONG_USAGE)
    scope = Scope.EVERYTHING if everything else Scope.CHANNEL if channel else Scope.CAMPAIGN
    return Extent(scope=scope, which=channel or campaign, spares_emergencies=spare)


async def _find(tx: Tx) -> list[tuple[Stop, list[Held]]]:
    return [(stop, await list_held(tx, TEAM, stop.extent, since=stop.at)) for stop in await list_in_force(tx, TEAM)]


def _show(found: list[tuple[Stop, list[Held]]], *, as_json: bool) -> None:
    if as_json:
        say_json([{**asdict(stop), "runs": [_facts(run) for run in held]} for stop, held in found])
        return
    if not found:
        say("Nothing is stopped.")
    for stop, held in found:
        say(
            f"{_called(stop.extent)} has been stopped since {stop.at:%Y-%m-%d %H:%M:%S} UTC by {stop.stopped_by}: {stop.reason}"
        )
        total = ("", "all", "", *asdict(reckon(*(run.counts for run in held))).values())
        rows = [(str(run.id), *tuple(_facts(run).values())[1:]) for run in held]  # a name, not a quantity
        say_table(("run", "campaign", "state", *_PARTS), [*rows, total], _PARTS)


def _facts(run: Held) -> dict[str, object]:
    return {"run": run.id, "campaign": run.campaign_key, "state": run.state, **asdict(run.reckoning)}


def _called(extent: Extent) -> str:
    what = "Everything" if extent.scope is Scope.EVERYTHING else f"{extent.scope.capitalize()} {extent.which}"
    return f"{what} (emergencies go on)" if extent.spares_emergencies else what


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.command(rich_help_panel="Work")(stop)
    app.command(rich_help_panel="Work")(resume)
