"""What every command needs: settings, servers that are reached or started, and errors in words."""

import asyncio
import getpass
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from notifier.cli.show import FAILED, INTERRUPTED, WRONG_USAGE, complain, working
from notifier.domain.errors import (
    DefinitionError,
    DefinitionErrors,
    Forbidden,
    InputError,
    NotFound,
    NotifierError,
    ServiceError,
)
from notifier.domain.person import ACTING, Person, Role
from notifier.embedded import embedded_services
from notifier.logs import configure_logs
from notifier.settings import SECRET_KEY_LENGTH, Settings, load_settings
from notifier.store.database import Database, Tx, migrate, open_database
from notifier.store.views.schema import is_migrated
from notifier.web.access.passwords import find_person

T = TypeVar("T")
TEAM = 1


class CommandGroup(TyperGroup):
    """Commands whose errors are words and an exit code, never a stack trace."""

    def invoke(self, ctx: Any) -> Any:
        """1: it failed, 2: what was given is wrong, 130: interrupted."""
        try:
            return super().invoke(ctx)
        except NotifierError as error:
            complain(describe(error))
            raise typer.Exit(exit_code(error)) from None
        except (KeyboardInterrupt, asyncio.CancelledError):
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:  # the process edge
            is_for_typer = hasattr(error, "exit_code") or isinstance(error, (typer.Abort, BrokenPipeError))
            if is_for_typer or os.environ.get("NOTIFIER_LOG_LEVEL") == "debug":
                raise
            complain(
                f"{type(error).__name__}: {error}\n"
                "This should not happen. NOTIFIER_LOG_LEVEL=debug shows where it did; please report it."
            )
            raise typer.Exit(FAILED) from None


def describe(error: NotifierError) -> str:
    """The error in words; several errors with a line each."""
    if isinstance(error, DefinitionErrors):
        count = len(error.errors)
        return f"{count} {'error' if count == 1 else 'errors'} in the definitions\n{error}"
    if isinstance(error, NotFound) and str(error) == "there is no bank 'bank'":
        return "no definitions are in use yet. Run `notifier apply` first"
    return str(error)


def exit_code(error: NotifierError) -> int:
    """2 where the person gave something wrong, else 1."""
    return WRONG_USAGE if isinstance(error, (DefinitionError, DefinitionErrors, InputError)) else FAILED


def read_settings(**overrides: object) -> Settings:
    """The settings of a short command: its logs stay quiet. Options that were not given are None."""
    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    level = "debug" if settings.log_level == "debug" else "warning"
    configure_logs(form=settings.log_format, level=level)
    return settings


def read_service_settings(**overrides: object) -> Settings:
    """The settings of a process that stays: it logs as told."""
    settings = load_settings(**{name: value for name, value in overrides.items() if value is not None})
    configure_logs(form=settings.log_format, level=settings.log_level)
    return settings


def read_folder_settings() -> Settings:
    """The settings of a command that only reads files: nothing is written, no key is made."""
    return read_settings(secret_key="-" * SECRET_KEY_LENGTH)


def run(main: Coroutine[object, object, T], loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run to the end; SIGTERM ends it as Ctrl-C does, with everything closed."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(_stoppable(main))


async def _stoppable(main: Coroutine[object, object, T]) -> T:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await main


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Settings]:
    """The settings with the addresses of both servers; embedded ones are started and brought up to date."""
    async with embedded_services(settings) as services:
        if not settings.database_url:
            await migrate(services.database_url)
        yield settings.model_copy(update={"database_url": services.database_url, "redis_url": services.redis_url})


@asynccontextmanager
async def open_rows(settings: Settings) -> AsyncIterator[tuple[Settings, Database]]:
    """A database with today's schema, for a command that ends soon."""
    async with open_services(settings) as ready, open_database(ready.database_url, max_connections=4) as database:
        async with database.transaction() as tx:
            if not await is_migrated(tx):
                raise ServiceError("the database has no tables yet. Run `notifier migrate` first")
        yield ready, database


def with_rows(work: Callable[[Settings, Database], Coroutine[object, object, T]]) -> T:
    """Run `work` on an open database; starts and stops the embedded servers where nothing runs."""
    settings = read_settings()

    async def main() -> T:
        async with AsyncExitStack() as stack:
            with working("reaching PostgreSQL and Redis …"):
                ready, database = await stack.enter_async_context(open_rows(settings))
            return await work(ready, database)

    return run(main())


def in_transaction(work: Callable[[Tx], Awaitable[T]]) -> T:
    """Run `work` in one transaction on an open database."""

    async def main(_settings: Settings, database: Database) -> T:
        async with database.transaction() as tx:
            return await work(tx)

    return with_rows(main)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who says they act, and the password they say it with."""

    login: str
    password: str = field(repr=False)


def ask_who(login: str) -> Credentials:
    """The password of a user, and the login where it was not given: from the terminal, else from standard input.

    Without a terminal the first line of standard input is the password.
    """
    if sys.stdin.isatty():
        name = login or typer.prompt("Login", err=True)
        return Credentials(login=name, password=typer.prompt("Password", hide_input=True, err=True))
    if not login:
        complain("a user has to do this: say who with --as LOGIN, and give the password on standard input")
        raise typer.Exit(WRONG_USAGE)
    return Credentials(login=login, password=_read_password("Give it on the first line, or use a terminal"))


async def find_actor(database: Database, given: Credentials) -> Person:
    """The user who acts; `InputError` is the same for a wrong password as for an unknown login.

    `Forbidden` for a role that only looks.
    """
    user = await find_person(database, login=given.login, password=given.password)
    if user is None:
        raise InputError("--as", "login or password is wrong")
    found = Person(name=user.login, user_id=user.id, role=Role(user.role))
    if not found.may(ACTING):
        raise Forbidden(f"{user.login} is {user.role}: that role only looks")
    return found


def ask_new_password() -> str:
    """A new password from the terminal, typed twice, or the first line of standard input."""
    if sys.stdin.isatty():
        given: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return given
    return _read_password("Pipe one in, or use --generate")


def _read_password(remedy: str) -> str:
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        complain(f"no password on standard input. {remedy}")
        raise typer.Exit(WRONG_USAGE)
    return given


def who() -> str:
    """Who acts, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
