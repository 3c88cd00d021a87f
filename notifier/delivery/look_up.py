"""Look up: providers that can say are asked whether they took a message in doubt."""

import asyncio
from datetime import timedelta

from notifier.delivery.accounts import Accounts
from notifier.delivery.compose import Composer
from notifier.delivery.materials import Library
from notifier.delivery.show import show_message
from notifier.domain.channel import Channel, EmailContent, Sought
from notifier.domain.errors import NotifierError, SendError
from notifier.domain.event import STATE_AFTER, EventKind, ProviderEvent
from notifier.domain.keys import derive_keys
from notifier.domain.message import SENT, State, after_event
from notifier.logs import get_logger
from notifier.providers.base import LooksUp
from notifier.settings import Settings
from notifier.store import clock, posts
from notifier.store.callbacks import NewEvent, StateChange, add_events, change_states, heal_refs, lock_messages
from notifier.store.database import TRANSIENT, Database, Tx
from notifier.store.look_ups import MOST_TRIES, ToLookUp, keep_answer, take_to_look_up

log = get_logger()
LOOK_UP_AFTER = timedelta(minutes=2)
"""What a provider does not list by then, it did not take; until then a callback may settle the doubt."""

_AT_ONCE = 10
_LONGEST_S = 60.0


class LookUps:
    """Asks with the open accounts of a process."""

    def __init__(self, settings: Settings, database: Database, accounts: Accounts, library: Library) -> None:
        self._database, self._accounts, self._library = database, accounts, library
        self._composer = Composer(settings.public_url, derive_keys(settings.secret).links)

    async def channels(self) -> list[str]:
        """Of which an account can be asked."""
        providers = (await self._accounts.latest()).values()
        return sorted(
            {channel.value for one in providers if one.capabilities.looks_up for channel in one.capabilities.channels}
        )

    async def ask(self) -> int:
        """Ask about what is due; returns about how many messages."""
        if not (channels := await self.channels()):
            return 0
        async with self._database.transaction() as tx:
            due = await take_to_look_up(tx, channels, after=LOOK_UP_AFTER, limit=_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for sought in due:
                group.create_task(self._ask_about(sought))
        return len(due)

    async def _ask_about(self, sought: ToLookUp) -> None:
        try:
            async with asyncio.timeout(_LONGEST_S):
                account, found = await self._find(sought)
        except (SendError, TimeoutError) as error:
            log.warning("delivery.look_up_failed", run=sought.run_id, message=sought.id, tries=sought.tries)
            if sought.tries >= MOST_TRIES:
                await self._keep(sought, "cannot-say", str(error))
        except NotifierError as error:
            await self._keep(sought, "cannot-say", str(error))
        except TRANSIENT:
            raise
        except Exception as error:  # noqa: BLE001 - against its contract; it must not hold up the others
            log.error("delivery.look_up_failed", run=sought.run_id, message=sought.id, error=type(error).__name__)
        else:
            if found is None:
                await self._keep(sought, "not-found", "")
            else:
                await self._settle(sought, account, found)

    async def _find(self, sought: ToLookUp) -> tuple[str, ProviderEvent | None]:
        """By the account that had it; where nobody knows which one, all of the channel have to say that they do not."""
        what = await self._describe(sought)
        materials = await self._library.get(sought.run_id)
        asked = (
            [materials.accounts[sought.account]]
            if sought.account in materials.accounts
            else materials.accounts.values()
        )
        mute = False
        for definition_id in asked:
            account, provider = await self._accounts.get(definition_id)
            if account.channel is not Channel(sought.channel):
                continue
            if not isinstance(provider, LooksUp):
                mute = True
            elif (found := await provider.look_up(what)) is not None:
                return account.key, found
        if mute:
            raise NotifierError("an account that may have it cannot be asked")
        return "", None

    async def _describe(self, sought: ToLookUp) -> Sought:
        shown = await show_message(self._database, self._library, self._composer, sought.run_id, sought.id)
        if shown.content is None or shown.agrees is False or isinstance(shown.content, EmailContent) or not sought.to:
            raise NotifierError("what was sent, or to whom, cannot be told any more")
        materials = await self._library.get(sought.run_id)
        return Sought(
            public_id=self._composer.public_id(materials, sought.id),
            to=sought.to,
            text=shown.content.text,
            handed_at=sought.handed_at,
            known_refs=sought.known_refs,
        )

    async def _keep(self, sought: ToLookUp, answer: str, why: str) -> None:
        async with self._database.transaction() as tx:
            await keep_answer(tx, sought, answer)
            if answer == "not-found":
                await add_events(tx, [await _told(tx, sought, EventKind.LOOKED_UP, "the provider does not have it")])
        log.info("delivery.looked_up", run=sought.run_id, message=sought.id, answer=answer, why=why)

    async def _settle(self, sought: ToLookUp, account: str, found: ProviderEvent) -> None:
        async with self._database.transaction() as tx:
            await keep_answer(tx, sought, "found")
            locked = await lock_messages(tx, [(sought.run_id, sought.id)])
            current = State(locked[0].state)
            state = after_event(current, STATE_AFTER[found.kind])
            if state is not current:
                at = found.at or sought.handed_at if state in SENT else None
                reason = found.reason if state in (State.FAILED, State.BOUNCED) else ""
                await change_states(tx, [StateChange(message=locked[0], to_state=state, reason=reason, took_at=at)])
            await add_events(tx, [await _told(tx, sought, found.kind, found.reason, source=account, code=found.code)])
            await heal_refs(tx, [(sought.run_id, sought.id, found.provider_ref)])
            if found.url:
                await posts.set_post_url(tx, sought.run_id, sought.id, found.url)
        log.info("delivery.looked_up", run=sought.run_id, message=sought.id, answer="found")


async def _told(
    tx: Tx, sought: ToLookUp, kind: EventKind, reason: str, *, source: str = "", code: str = ""
) -> NewEvent:
    return NewEvent(
        run_id=sought.run_id,
        message_id=sought.id,
        event_key=f"looked-up:{sought.attempts}",
        kind=kind,
        at=await clock.now(tx),
        code=code,
        reason=reason,
        source=source,
    )
