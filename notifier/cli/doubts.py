"""Commands for messages in doubt and messages set aside: list, settle, send again."""

from dataclasses import asdict
from typing import Annotated

import typer

from notifier.cli.door import TEAM, in_transaction, who
from notifier.cli.releases import AsJson, RunNumber, Yes
from notifier.cli.show import confirm, say, say_json, say_table
from notifier.delivery.settle import decide, replay
from notifier.domain.doubt import Verdict
from notifier.store.database import Tx
from notifier.store.views import doubts as view

doubt = typer.Typer(no_args_is_help=True, help="Messages in doubt and messages set aside: list, settle, send again.")
Message = Annotated[int | None, typer.Option(metavar="NUMBER", help="Only this message, by its number in the run.")]


@doubt.command("list")
def show_doubts(as_json: AsJson = False) -> None:
    """List messages in doubt and messages set aside.

    - `notifier doubt list --json`
    """

    async def work(tx: Tx) -> tuple[list[view.DoubtLine], list[view.AsideLine]]:
        return await view.list_doubts(tx, TEAM), await view.list_set_aside(tx, TEAM)

    doubts, aside = in_transaction(work)
    if as_json:
        say_json({"doubts": [asdict(one) for one in doubts], "set_aside": [asdict(one) for one in aside]})
        return
    say_table(
        ("run", "campaign", "step", "channel", "in doubt", "decided by"),
        [
            (str(one.run_id), one.campaign_key, one.step, one.channel, one.count, "a person" if one.asks else "itself")
            for one in doubts
        ],
        ("in doubt",),
    )
    say()
    say_table(
        ("run", "campaign", "step", "channel", "set aside", "may go again", "reason"),
        [(str(one.run_id), one.campaign_key, one.step, one.channel, one.count, one.fresh, one.reason) for one in aside],
        ("set aside", "may go again"),
    )


@doubt.command()
def settle(
    run: RunNumber,
    outcome: Annotated[Verdict, typer.Option(help="What is true of them.")],
    message: Message = None,
    yes: Yes = False,
) -> None:
    """Say what is true of the messages in doubt of a run, or of one: sent, not sent, or not sent and again.

    - `notifier doubt settle 202603000001 --outcome sent`
    """
    confirm(f"Settle {'message ' + str(message) if message else 'all messages in doubt'} of run {run}?", yes=yes)
    count = in_transaction(lambda tx: decide(tx, run, outcome, who(), message_id=message))
    say(f"{count:,} settled as {outcome.value}.")


@doubt.command("replay")
def send_again(
    run: RunNumber,
    reason: Annotated[str, typer.Option(help="Only those set aside for exactly this reason.")] = "",
    message: Message = None,
    yes: Yes = False,
) -> None:
    """Send again what was set aside of a run; consent and addresses are checked again.

    - `notifier doubt replay 202603000001`
    """
    confirm(f"Send again what was set aside of run {run}?", yes=yes)
    count = in_transaction(lambda tx: replay(tx, run, who(), message_id=message, reason=reason))
    say(f"{count:,} go again.")


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.add_typer(doubt, name="doubt", rich_help_panel="Work")
