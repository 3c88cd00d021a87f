"""Commands for who comes in: users of the console, API keys of the bank's systems."""

import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from notifier.cli.door import TEAM, who, with_rows
from notifier.cli.show import WRONG_USAGE, complain, note, say, say_json, say_table
from notifier.domain.errors import NotFound
from notifier.settings import Settings
from notifier.store import access
from notifier.store.database import Database
from notifier.store.views.users import KeyLine, UserLine, list_api_keys, list_users
from notifier.web.access.keys import SCOPES, create_api_key
from notifier.web.access.passwords import ROLES, create_user

_PANEL = "Access"
AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]

user = typer.Typer(no_args_is_help=True, help="Users of the console.")
key = typer.Typer(no_args_is_help=True, help="API keys of the bank's systems.")


@user.command("add")
def add_user(
    login: Annotated[str, typer.Argument(help="What they type to log in.")],
    name: Annotated[str, typer.Option(help="What others see; else the login.")] = "",
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "author",
    locale: Annotated[str, typer.Option(help="Language of the console, zh-CN or en.")] = "zh-CN",
    generate: Annotated[bool, typer.Option("--generate", help="Make up a password and print it once.")] = False,
) -> None:
    """Add somebody who may log in; asks for the password, or reads it from standard input.

    - `notifier user add wang --name 王芳 --role approver`

    - `notifier user add wang --generate`

    - `pass show bank/wang | notifier user add wang`
    """
    password = secrets.token_urlsafe(12) if generate else _ask_password()

    async def work(_settings: Settings, database: Database) -> None:
        async with database.transaction() as tx:
            await create_user(tx, login=login, password=password, name=name, role=role, locale=locale, team_id=TEAM)

    with_rows(work)
    note(f"Added {login.strip().lower()}, {role}.")
    if generate:
        say(password)


def _ask_password() -> str:
    if sys.stdin.isatty():
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return given
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        complain("no password on standard input. Pipe one in, or use --generate")
        raise typer.Exit(WRONG_USAGE)
    return given


@user.command("list")
def show_users(as_json: AsJson = False) -> None:
    """List who may log in."""

    async def work(_settings: Settings, database: Database) -> list[UserLine]:
        async with database.transaction() as tx:
            return await list_users(tx, TEAM)

    users = with_rows(work)
    if as_json:
        say_json(users)
        return
    rows = [(one.login, one.name, one.role, one.locale, "disabled" if one.is_disabled else "") for one in users]
    say_table(("login", "name", "role", "locale", ""), rows)


@key.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Which system uses it.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do, repeatable: {', '.join(SCOPES)}.")] = ["read"],  # noqa: B006
    login: Annotated[str, typer.Option("--user", metavar="LOGIN", help="The user it stands for; else a system.")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; else never.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add an API key and print it: the only time it can be seen.

    - `notifier key add core-banking --scope read --scope send --days 365`
    """

    async def work(_settings: Settings, database: Database) -> str:
        expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
        async with database.transaction() as tx:
            return await create_api_key(
                tx, name=name, scopes=scope, by=who(), login=login, expires_at=expires_at, team_id=TEAM
            )

    token = with_rows(work)
    if as_json:
        say_json({"key": token, "name": name, "scopes": scope})
        return
    say(token)
    note("Keep it now: it cannot be shown again. Send it as `Authorization: Bearer …`.")


@key.command("list")
def show_keys(as_json: AsJson = False) -> None:
    """List the API keys, without their secrets."""

    async def work(_settings: Settings, database: Database) -> list[KeyLine]:
        async with database.transaction() as tx:
            return await list_api_keys(tx, TEAM)

    keys = with_rows(work)
    if as_json:
        say_json(keys)
        return
    rows = [(str(one.id), one.name, " ".join(one.scopes), _used(one), _state(one)) for one in keys]
    say_table(("number", "name", "scopes", "last used", "state"), rows)


def _used(one: KeyLine) -> str:
    return f"{one.used_at:%Y-%m-%d}" if one.used_at else "never"


def _state(one: KeyLine) -> str:
    if one.revoked_at:
        return "revoked"
    if one.expires_at is None:
        return "live"
    return f"{'expired' if one.expires_at < datetime.now(UTC) else 'until'} {one.expires_at:%Y-%m-%d}"


@key.command("revoke")
def revoke_key(number: Annotated[int, typer.Argument(help="The number `notifier key list` shows.")]) -> None:
    """End a key: from now on it opens nothing."""

    async def work(_settings: Settings, database: Database) -> None:
        async with database.transaction() as tx:
            if await access.find_api_key(tx, number) is None:
                raise NotFound(f"there is no API key {number}. `notifier key list` shows them")
            await access.revoke_api_key(tx, number)
            await access.add_audit(tx, TEAM, actor=who(), act="api-key-revoked", subject=str(number), detail={})

    with_rows(work)
    say(f"Key {number} is revoked.")


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.add_typer(user, name="user", rich_help_panel=_PANEL)
    app.add_typer(key, name="key", rich_help_panel=_PANEL)
