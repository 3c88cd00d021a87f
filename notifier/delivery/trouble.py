"""Accounts in trouble: those that pause, those that cannot be opened, those whose provider puts messages off."""

from dataclasses import dataclass

from notifier.delivery.accounts import Accounts
from notifier.domain.causes import Cause, cause_of_words
from notifier.domain.errors import InputError
from notifier.store.database import Database
from notifier.store.definitions import list_latest
from notifier.store.paused_accounts import Pause, list_pauses
from notifier.store.views.accounts import AccountTrouble, list_troubles

_OURS = "account"  # the code of what our own side cannot do


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProblem:
    """What is wrong with an account. `key` is empty where no account carries the channel at all."""

    key: str
    channel: str
    reason: str
    cause: Cause | None  # None: our own settings, not the provider
    waiting: int  # messages seen waiting for it
    run_id: int | None
    pause: Pause | None = None  # given nothing but a message to try it with


async def list_account_problems(database: Database, accounts: Accounts, *, team_id: int) -> list[AccountProblem]:
    """By account. Opens every account of the team that is not open yet, which does no I/O."""
    async with database.transaction() as tx:
        definitions = await list_latest(tx, team_id, "account")
        troubles = await list_troubles(tx, team_id)
        pauses = {pause.account: pause for pause in await list_pauses(tx, team_id)}
    found = {trouble.account: _of_trouble(trouble) for trouble in troubles if trouble.account}
    unnamed = [_of_trouble(trouble) for trouble in troubles if not trouble.account]
    for definition in definitions:
        try:
            await accounts.get(definition.id)
        except InputError as error:
            waiting = [trouble for trouble in unnamed if trouble.reason == str(error)]
            found[definition.key] = AccountProblem(
                key=definition.key,
                channel=str(definition.spec.get("channel", "")),
                reason=str(error),
                cause=None,
                waiting=sum(trouble.waiting for trouble in waiting),
                run_id=next((trouble.run_id for trouble in waiting), None),
            )
    channels = {definition.key: str(definition.spec.get("channel", "")) for definition in definitions}
    for key, pause in pauses.items():
        found[key] = _of_pause(pause, found.get(key), channels.get(key, ""))
    told = {problem.reason for problem in found.values()}
    return [*found.values(), *(problem for problem in unnamed if problem.reason not in told)]


def _of_pause(pause: Pause, known: AccountProblem | None, channel: str) -> AccountProblem:
    return AccountProblem(
        key=pause.account,
        channel=channel,
        reason=pause.reason,
        cause=cause_of_words(pause.reason),
        waiting=known.waiting if known else 0,
        run_id=known.run_id if known else None,
        pause=pause,
    )


def _of_trouble(trouble: AccountTrouble) -> AccountProblem:
    return AccountProblem(
        key=trouble.account,
        channel=trouble.channel,
        reason=trouble.reason,
        cause=None if trouble.code == _OURS else cause_of_words(trouble.reason),
        waiting=trouble.waiting,
        run_id=trouble.run_id,
    )
