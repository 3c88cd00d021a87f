"""Commands for who comes in: users of the console, API keys of the bank's systems."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from notifier.cli.door import TEAM, ask_new_password, in_transaction, who
from notifier.cli.show import note, say, say_json, say_table
from notifier.store.database import Tx
from notifier.store.views.users import KeyLine, list_api_keys, list_users
from notifier.web.access import people
from notifier.web.access.keys import SCOPES, create_api_key
from notifier.web.access.keys import revoke_api_key as revoke_key_of
from notifier.web.access.passwords import ROLES, create_user, make_password

_PANEL = "Access"
AsJson = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]
Login = Annotated[str, typer.Argument(metavar="LOGIN", help="As `notifier user list` shows it.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make up a password and print it once.")]

user = typer.Typer(
    no_args_is_help=True,
    help="""Users of the console: who may log in, and as what.

    An author writes, tests and submits. An approver also releases what others made, an operator also looks after
    accounts and messages in trouble, an admin also looks after users and keys. A viewer only looks, an auditor reads
    the audit trail too. Two people are needed to reach a customer: begin with an author and an approver.
    """,
)
key = typer.Typer(no_args_is_help=True, help="API keys of users and of the bank's systems.")


@user.command("add")
def add_user(  # noqa: PLR0917 - one for each option
    login: Annotated[str, typer.Argument(metavar="LOGIN", help="What they type to log in.")],
    name: Annotated[str, typer.Option(help="What others see; else the login.")] = "",
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "author",
    email: Annotated[str, typer.Option(help="Where their test mails and alarms go.")] = "",
    phone: Annotated[str, typer.Option(help="Where their test messages and alarms go.")] = "",
    locale: Annotated[str, typer.Option(help="Language of the console, zh-CN or en.")] = "zh-CN",
    generate: Generate = False,
) -> None:
    """Add somebody who may log in; asks for the password, or reads it from standard input.

    - `notifier user add wang --name 王芳 --role approver --email wang@example.com --phone +12125550123`

    - `notifier user add wang --generate`

    - `pass show bank/wang | notifier user add wang`
    """
    password = make_password() if generate else ask_new_password()

    async def work(tx: Tx) -> None:
        await create_user(
            tx,
            login=login,
            password=password,
            name=name,
            by=who(),
            role=role,
            locale=locale,
            email=email,
            phone=phone,
            team_id=TEAM,
        )

    in_transaction(work)
    note(f"Added {login.strip().lower()}, {role}.")
    if generate:
        say(password)


@user.command("passwd")
def change_password(login: Login, generate: Generate = False) -> None:
    """Give a user another password and log them out everywhere; asks for it, or reads it from standard input.

    - `notifier user passwd wang`

    - `notifier user passwd wang --generate` prints one
    """
    password = make_password() if generate else ask_new_password()
    in_transaction(lambda tx: people.reset_password(tx, TEAM, login.strip().lower(), password, by=who()))
    note(f"{login} has another password and is logged out.")
    if generate:
        say(password)


@user.command("role")
def change_role(
    login: Login, role: Annotated[str, typer.Argument(metavar="ROLE", help=f"One of {', '.join(ROLES)}.")]
) -> None:
    """Give a user another role; they are logged out, and their API keys do no more than the role allows.

    Who becomes an approver still cannot release a run they made or changed. The last admin stays one.

    - `notifier user role wang approver`
    """
    in_transaction(lambda tx: people.change_role(tx, TEAM, login.strip().lower(), role, by=who()))
    say(f"{login} is {role}.")


@user.command("disable")
def disable(login: Login) -> None:
    """Let a user in no longer: they are logged out, their API keys are dead. What they did stays written down.

    - `notifier user disable wang`, and `notifier user enable wang` to let them in again
    """
    in_transaction(lambda tx: people.disable_user(tx, TEAM, login.strip().lower(), by=who()))
    say(f"{login} may no longer log in.")


@user.command("enable")
def enable(login: Login) -> None:
    """Let a disabled user in again, with the role and the password they had."""
    in_transaction(lambda tx: people.enable_user(tx, TEAM, login.strip().lower(), by=who()))
    say(f"{login} may log in.")


@user.command("list")
def show_users(as_json: AsJson = False) -> None:
    """List who may log in, as what, and where their tests and alarms go."""
    users = in_transaction(lambda tx: list_users(tx, TEAM))
    if as_json:
        say_json(users)
        return
    rows = [
        (one.login, one.name, one.role, one.locale, one.email, one.phone, "disabled" if one.is_disabled else "")
        for one in users
    ]
    say_table(("login", "name", "role", "locale", "email", "phone", ""), rows)


@key.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Which system uses it.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do, repeatable: {', '.join(SCOPES)}.")] = ["read"],  # noqa: B006
    login: Annotated[str, typer.Option("--user", metavar="LOGIN", help="The user it stands for; else a system.")] = "",
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; else never.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add an API key and print it: the only time it can be seen.

    A key with `--user` stands for that user: it does what their role allows at that moment and no more, and it is dead
    while they are disabled. Only such a key of an approver or admin may have the scope `release`, and what its user
    made it cannot release either. A key without a user belongs to a system and releases nothing.

    - `notifier key add core-banking --scope read --scope send --days 365`

    - `notifier key add chen-laptop --user chen --scope read --scope release`
    """
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    token = in_transaction(
        lambda tx: create_api_key(
            tx, name=name, scopes=scope, by=who(), login=login, expires_at=expires_at, team_id=TEAM
        )
    )
    if as_json:
        say_json({"key": token, "name": name, "scopes": scope, "user": login or None})
        return
    say(token)
    note("Keep it now: it cannot be shown again. Send it as `Authorization: Bearer …`.")


@key.command("list")
def show_keys(as_json: AsJson = False) -> None:
    """List the API keys, without their secrets."""
    keys = in_transaction(lambda tx: list_api_keys(tx, TEAM))
    if as_json:
        say_json(keys)
        return
    rows = [(str(one.id), one.name, one.login or "", " ".join(one.scopes), _used(one), _state(one)) for one in keys]
    say_table(("number", "name", "user", "scopes", "last used", "state"), rows)


def _used(one: KeyLine) -> str:
    return f"{one.used_at:%Y-%m-%d}" if one.used_at else "never"


def _state(one: KeyLine) -> str:
    if one.revoked_at:
        return "revoked"
    if one.is_user_disabled:
        return "user disabled"
    if one.expires_at is None:
        return "live"
    return f"{'expired' if one.expires_at < datetime.now(UTC) else 'until'} {one.expires_at:%Y-%m-%d}"


@key.command("revoke")
def revoke_key(number: Annotated[int, typer.Argument(help="The number `notifier key list` shows.")]) -> None:
    """End a key: from now on it opens nothing."""
    in_transaction(lambda tx: revoke_key_of(tx, TEAM, number, by=who()))
    say(f"Key {number} is revoked.")


def add_commands(app: typer.Typer) -> None:
    """Put this module's commands under `app`."""
    app.add_typer(user, name="user", rich_help_panel=_PANEL)
    app.add_typer(key, name="key", rich_help_panel=_PANEL)
