"""Whether Twilio has a message whose answer was lost: its list of messages, read and changed in nothing."""

from datetime import datetime, timedelta
from typing import Any

from twilio.base.exceptions import TwilioException, TwilioRestException  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from notifier.domain.channel import Sought
from notifier.domain.errors import OutcomeUnknown
from notifier.domain.event import ProviderEvent
from notifier.providers.twilio.callbacks import KIND_OF
from notifier.providers.twilio.codes import CODES, refusal

_PAGE = 20
_MOST_PAGES = 5
_CLOCKS_APART = timedelta(minutes=5)  # theirs and the ledger's
_TRIAL = "Sent from your Twilio trial account - "


async def look_up(client: Client, sought: Sought) -> ProviderEvent | None:
    """The message to this number with this text; None where Twilio lists no message to it that could be ours.

    Not filtered by DateSent: what still waits for its turn at Twilio has none. The newest come first, so the list is
    read until it is older than the message.
    """
    try:
        listed = await _list_since(client, sought, sought.handed_at - _CLOCKS_APART)
    except TwilioRestException as error:
        raise refusal(error.status, str(error.code), error.msg) from error
    except TwilioException as error:
        raise OutcomeUnknown("Twilio lists no messages", code="garbage") from error
    new = [one for one in listed if one.sid not in sought.known_refs]
    ours = [one for one in new if _plain(str(one.body).removeprefix(_TRIAL)) == _plain(sought.text)]
    if not new:
        return None
    if not ours:  # another system's, or ours with its text hidden or rewritten
        raise OutcomeUnknown("Twilio sent this number something else at that time", code="look-up")
    return _event(min(ours, key=lambda one: one.date_created), sought)


async def _list_since(client: Client, sought: Sought, since: datetime) -> list[Any]:
    found: list[Any] = []
    page = None
    for _ in range(_MOST_PAGES):
        asked = client.messages.page_async(to=sought.to, page_size=_PAGE) if page is None else page.next_page_async()
        page = await asked
        messages = list(page)
        if any(not isinstance(one.date_created, datetime) for one in messages):
            raise OutcomeUnknown("Twilio's list has no dates", code="garbage")
        fresh = [one for one in messages if one.date_created >= since]
        found += [one for one in fresh if one.direction != "inbound"]
        if len(fresh) < len(messages) or not page.next_page_url:
            return found
    raise OutcomeUnknown("Twilio lists too many messages to this number", code="look-up")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _event(found: Any, sought: Sought) -> ProviderEvent:
    status, code = str(found.status), str(found.error_code or "")
    meaning = CODES.get(code) if status in ("undelivered", "failed") else None
    if status not in KIND_OF:
        raise OutcomeUnknown("Twilio has it in a state we do not know", code="look-up")
    return ProviderEvent(
        public_id=sought.public_id,
        provider_ref=str(found.sid),
        event_key=f"looked-up:{found.sid}",
        kind=meaning.event if meaning else KIND_OF[status],
        code=code,
        reason=meaning.text if meaning else "found by asking the provider",
    )
