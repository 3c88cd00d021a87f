"""The command that shows what a campaign will say."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from notifier.cli.door import TEAM, read_folder_settings, with_rows
from notifier.cli.inputs import read_inputs
from notifier.cli.show import note, say, say_json
from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.contact import Contact
from notifier.domain.errors import InputError, NotFound, ServiceError
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.preview import Preview, Wanted, preview_campaign
from notifier.settings import Settings
from notifier.store.contacts import get_contact
from notifier.store.database import Database


def preview(  # noqa: PLR0913, PLR0917 - one for each option
    key: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its key, `campaign:` in its file.")],
    contact: Annotated[
        str, typer.Option(metavar="ID", help="External id of a real contact; else made-up values.")
    ] = "",
    channel: Annotated[Channel | None, typer.Option(help="Only this one.")] = None,
    locale: Annotated[str, typer.Option(help="zh-CN, en, …; else the contact's, else the bank's.")] = "",
    step: Annotated[str, typer.Option(help="Only this one.")] = "",
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="NAME=VALUE", help="Instead of the example; repeatable."),
    ] = None,
    inputs: Annotated[Path | None, typer.Option("--inputs", metavar="FILE", help="Inputs as a YAML mapping.")] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Folder of definitions; else as for `notifier check`.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the e-mail's HTML here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for scripts.")] = False,
) -> None:
    """Render a campaign's messages from its files and print them, so that its author reads what customers will read.

    Needs no database unless a real contact is named. Nothing is sent and links lead nowhere.

    - `notifier preview measures-notice --channel sms --locale en`

    - `notifier preview monthly-satisfaction --html mail.html`

    - `notifier preview branch-closure-alert --contact 10001 -i branch=静安支行`
    """
    found = load_definitions(directory or read_folder_settings().definitions)
    person = with_rows(lambda _settings, database: _find_contact(_settings, database, contact)) if contact else None
    wanted = Wanted(step=step, channel=channel, locale=locale, contact=person, inputs=read_inputs(given or [], inputs))
    shown = preview_campaign(found, key, wanted)
    if html:
        _write_html(html, shown)
    if as_json:
        say_json([{**asdict(one), "content": asdict(one.content)} for one in shown])
        return
    for one in shown:
        _say_message(one)


async def _find_contact(_settings: Settings, database: Database, external_id: str) -> Contact:
    async with database.transaction() as tx:
        stored = await get_contact(tx, TEAM, external_id)
    if stored is None:
        raise NotFound(f"there is no contact with the external id `{external_id}`")
    return stored.contact


def _write_html(path: Path, shown: list[Preview]) -> None:
    mails = [one.content for one in shown if isinstance(one.content, EmailContent)]
    if len(mails) != 1:
        raise InputError("--html", f"there are {len(mails)} e-mails here", "Choose one with --step")
    try:
        path.write_text(mails[0].html, encoding="utf-8")
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror}") from error
    note(f"Written to {path}.")


def _say_message(one: Preview) -> None:
    content = one.content
    cost = f", {content.parts} parts, {content.encoding}" if isinstance(content, SmsContent) else ""
    say(f"── {one.step} · {one.channel} · {one.locale}{cost} ──")
    if isinstance(content, EmailContent):
        say(f"Subject: {content.subject}\n")
    say(content.text.rstrip("\n") + "\n")


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.command(rich_help_panel="Definitions")(preview)
