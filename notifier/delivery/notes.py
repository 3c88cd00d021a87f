"""Drain notes: what the house writes to itself leaves through the same accounts, once, and is told to nobody else."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from notifier.delivery.accounts import Accounts
from notifier.delivery.show import read_content
from notifier.domain.account import Account
from notifier.domain.channel import Channel, Content, EmailContent, Outgoing, SmsContent
from notifier.domain.errors import NeverAgain, NotifierError, OutcomeUnknown, TryAgain
from notifier.domain.links import LinkKind, sign_link
from notifier.domain.note import ORIGIN, NoteState
from notifier.domain.spec import bank_from_spec
from notifier.domain.template import Bank
from notifier.logs import get_logger
from notifier.providers.base import Provider
from notifier.rendering.mime import build_mime
from notifier.rendering.sms import count_parts
from notifier.store import definitions as stored
from notifier.store import notes as store
from notifier.store.database import Database
from notifier.store.notes import ClaimedNote

log = get_logger()
_AT_ONCE = 8
_MOST_TRIES = 6
_LONGEST_WAIT_S = 300.0
_LONGEST_SEND_S = store.LEASE_S * 2 / 3
_VALID_S = 3_600
UNKNOWN = "it may have left: the answer was lost, so it is not sent again"
_NO_REPORTS = ""  # a note is in no ledger: nothing is to be reported about it


def note_token(key: bytes, note_id: int) -> str:
    """The public id of a note; no message has it."""
    return sign_link(key, LinkKind.NOTE, note_id)


class NoteSender:
    """Sends notes with the accounts of a process."""

    def __init__(self, database: Database, accounts: Accounts, *, public_url: str, key: bytes) -> None:
        self._database, self._accounts = database, accounts
        self._public_url, self._key = public_url, key

    async def drain(self, *, budget: int = 500) -> int:
        """Send what is queued, alarms first, at most about `budget` notes; returns how many were handed over.

        Each is committed as `sending` before it leaves, and whatever is then not known to have failed is not repeated.
        """
        async with self._database.transaction() as tx:
            if given_up := await store.give_up_notes(tx, UNKNOWN):
                log.warning("delivery.notes_given_up", count=given_up)
        sent = 0
        while sent < budget:
            async with self._database.transaction() as tx:
                claimed = await store.claim_notes(tx, _AT_ONCE)
            if not claimed:
                break
            async with asyncio.TaskGroup() as group:
                for note in claimed:
                    group.create_task(self._send(note))
            sent += len(claimed)
        return sent

    async def _send(self, note: ClaimedNote) -> None:
        try:
            outgoing, provider = await self._prepare(note)
        except NotifierError as error:
            await self._finish(note, NoteState.FAILED, str(error))
            return
        try:
            async with asyncio.timeout(_LONGEST_SEND_S):
                await provider.send(outgoing)
        except TryAgain as error:
            await self._postpone(note, error)
        except NeverAgain as error:
            await self._finish(note, NoteState.FAILED, error.reason)
        except (OutcomeUnknown, TimeoutError):
            await self._finish(note, NoteState.FAILED, UNKNOWN)
        except Exception as error:  # noqa: BLE001 - against its contract; it may have sent
            log.error("delivery.provider_failed", provider=provider.name, error=type(error).__name__)
            await self._finish(note, NoteState.FAILED, UNKNOWN)
        else:
            await self._finish(note, NoteState.SENT)

    async def _finish(self, note: ClaimedNote, state: NoteState, problem: str = "") -> None:
        async with self._database.transaction() as tx:
            await store.finish_note(tx, note.id, state, problem)
        log.info("delivery.note_finished", note=note.id, kind=note.kind, state=state.value)

    async def _postpone(self, note: ClaimedNote, error: TryAgain) -> None:
        """The provider said "not now": it surely does not have it."""
        if note.tries >= _MOST_TRIES:
            await self._finish(note, NoteState.FAILED, f"{error.reason} (tried {note.tries} times)")
            return
        after_s = min(max(error.after_s, 2.0**note.tries), _LONGEST_WAIT_S)
        async with self._database.transaction() as tx:
            await store.postpone_note(tx, note.id, after_s, error.reason)

    async def _prepare(self, note: ClaimedNote) -> tuple[Outgoing, Provider]:
        account, provider = await self._accounts.get(note.account_id)
        async with self._database.transaction() as tx:
            bank = bank_from_spec((await stored.find_latest(tx, note.team_id, "bank", "bank")).spec)
        outgoing = self._outgoing(note, account, bank)
        if provider.capabilities.takes_mime and isinstance(outgoing.content, EmailContent):
            outgoing = outgoing.with_mime(_mime(note, outgoing, outgoing.content))
        return outgoing, provider

    def _outgoing(self, note: ClaimedNote, account: Account, bank: Bank) -> Outgoing:
        return Outgoing(
            public_id=note_token(self._key, note.id),
            channel=Channel(note.channel),
            to=note.address,
            sender=account.sender or bank.sender_email,
            sender_name=bank.name.get(note.locale, bank.default_locale),
            reply_to=bank.reply_to,
            content=_at_home(note.channel, note.content, self._public_url),
            callback_url=_NO_REPORTS,
            validity_s=_VALID_S,
        )


def _at_home(channel: str, kept: Mapping[str, Any], public_url: str) -> Content:
    """The content with this installation's address where its writer left a place for it."""
    texts = {
        name: value.replace(ORIGIN, public_url) if isinstance(value, str) else value for name, value in kept.items()
    }
    content = read_content(Channel(channel), texts)
    if isinstance(content, SmsContent):
        count = count_parts(content.text)
        return replace(content, parts=count.parts, encoding=count.encoding)
    return content


def _mime(note: ClaimedNote, outgoing: Outgoing, content: EmailContent) -> bytes:
    """Like any message of ours (RFC 3834: auto-generated), but nothing one could unsubscribe from."""
    return build_mime(
        content,
        sender=outgoing.sender,
        sender_name=outgoing.sender_name,
        to=outgoing.to,
        message_id=f"{outgoing.public_id}@{outgoing.sender.rpartition('@')[2]}",
        date=note.created_at,
        reply_to=outgoing.reply_to,
    )
