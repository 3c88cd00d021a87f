"""Account alarms: a provider does not accept us any more; told once to those who can mend it, by other accounts."""

from collections.abc import Mapping
from dataclasses import asdict

from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.errors import NotifierError
from notifier.domain.note import ORIGIN, NoteKind, one_line
from notifier.domain.person import Role
from notifier.domain.spec import account_from_spec, bank_from_spec
from notifier.domain.template import Bank
from notifier.logs import get_logger
from notifier.planning.alarms import Texts, write_alarm
from notifier.store import definitions as stored
from notifier.store import notes as store
from notifier.store.database import Database, Tx
from notifier.store.notes import Addressee, NewNote
from notifier.store.paused_accounts import list_pauses, list_untold, take_untold

log = get_logger()
_MENDING = [Role.ADMIN.value, Role.OPERATOR.value]
_TEXTS: Mapping[str, Texts] = {
    "zh": Texts(
        subject="{account}：服务商不接受该账户，已暂停",
        lines=(
            "服务商不再接受账户“{account}”，通过它发送的消息已暂停。没有消息丢失，联系人不受影响。",
            "服务商的说明：{reason}",
            "每五分钟会自动试发一条。处理好之后可立即重试：{link}",
            "您是{bank}的操作员或管理员，因此收到本邮件。",
        ),
        short="账户“{account}”已暂停：{reason}。请处理：{link}",
    ),
    "en": Texts(
        subject="{account}: its provider does not accept it, so it pauses",
        lines=(
            "The provider no longer accepts the account “{account}”: what would leave by it waits. Nothing is lost.",
            "The provider says: {reason}",
            "One message tries it again every five minutes. Once it is mended, try it at once: {link}",
            "You get this because you operate or administer for {bank}.",
        ),
        short="Account “{account}” pauses: {reason}. Please mend it: {link}",
    ),
}


async def alarm_paused_accounts(database: Database) -> int:
    """Tell operators and administrators of each pause that a person has to end; returns how many notes."""
    async with database.transaction() as tx:
        untold = await list_untold(tx)
    queued = 0
    for team_id, account in untold:
        try:
            async with database.transaction() as tx:  # one at a time: what goes wrong with one silences no other
                reason = await take_untold(tx, team_id, account)
                queued += 0 if reason is None else await _tell(tx, team_id, account, reason)
        except NotifierError as error:
            log.error("planning.account_alarm_failed", account=account, error=type(error).__name__)
    return queued


async def _tell(tx: Tx, team_id: int, key: str, reason: str) -> int:
    found = {one.key: account_from_spec(one.spec) for one in await stored.list_latest(tx, team_id, "account")}
    return await tell_operators(tx, team_id, _TEXTS, reason, account=found.get(key, key))


async def tell_operators(
    tx: Tx,
    team_id: int,
    texts: Mapping[str, Texts],
    reason: str | Mapping[str, str],
    *,
    account: Account | str = "",
) -> int:
    """Queue an alarm to each operator and administrator; returns how many notes.

    `reason`: as a provider wrote it, or in our words by language. `account`: the one it is about; one retired since is called by its key.
    """
    bank = bank_from_spec((await stored.find_latest(tx, team_id, "bank", "bank")).spec)
    ways = await _working_accounts(tx, team_id)
    queued = 0
    for person in await store.list_addressees(tx, team_id, _MENDING, without=None):
        said = reason if isinstance(reason, str) else reason["zh" if person.locale.startswith("zh") else "en"]
        facts = {
            "account": one_line(
                account if isinstance(account, str) else account.title.get(person.locale, bank.default_locale)
            ),
            "reason": one_line(said),
            "bank": bank.name.get(person.locale, bank.default_locale),
            "link": f"{ORIGIN}/",
        }
        for note in _notes(person, bank, ways, texts=texts, facts=facts, team_id=team_id):
            await store.add_note(tx, note)
            queued += 1
    if not queued:
        log.warning("planning.alarm_reaches_nobody", account=account if isinstance(account, str) else account.key)
    return queued


def _notes(
    person: Addressee,
    bank: Bank,
    ways: Mapping[Channel, int],
    *,
    texts: Mapping[str, Texts],
    facts: Mapping[str, str],
    team_id: int,
) -> list[NewNote]:
    notes = []
    for channel, address in ((Channel.EMAIL, person.email), (Channel.SMS, person.phone)):
        content = write_alarm(texts, channel, facts, bank, locale=person.locale)
        if address and channel in ways and content is not None:
            notes.append(
                NewNote(
                    team_id=team_id,
                    kind=NoteKind.ALARM,
                    channel=channel,
                    address=address,
                    content=asdict(content),
                    locale=person.locale,
                    account_id=ways[channel],
                )
            )
    return notes


async def _working_accounts(tx: Tx, team_id: int) -> dict[Channel, int]:
    """By channel the first account that does not pause; where all do, the first: the note goes once it is mended."""
    paused = {pause.account for pause in await list_pauses(tx, team_id)}
    found = [(account_from_spec(one.spec), one.id) for one in await stored.list_latest(tx, team_id, "account")]
    ordered = sorted(found, key=lambda one: (one[0].key in paused, one[0].order, one[0].key))
    return {account.channel: number for account, number in reversed(ordered)}
