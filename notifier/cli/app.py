"""All commands under one name."""

from importlib.metadata import version
from typing import Annotated

import typer

from notifier.cli import access, campaigns, contacts, definitions, doubts, inspect, preview, serve, stops
from notifier.cli.door import CommandGroup
from notifier.cli.show import say

app = typer.Typer(
    name="notifier",
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"notifier {version('notifier')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Notifier tells a bank's customers what they need to know, by e-mail, SMS and post, and hears how it went.

    Begin with `notifier demo`: it brings its own PostgreSQL and Redis, sample campaigns and made-up customers.

    Exit codes: 0 done, 1 failed, 2 a definition or an argument is wrong. Settings: docs/settings.md.
    """


for _room in (serve, definitions, contacts, campaigns, stops, doubts, preview, inspect, access):
    _room.add_commands(app)
