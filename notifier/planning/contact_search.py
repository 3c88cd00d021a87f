"""One search box: a customer's number, an address, or a part of a name."""

from dataclasses import replace

from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.planning.contact_import.values import read_email, read_phone
from notifier.store.database import Tx
from notifier.store.views.contacts import ContactLine, Wanted, find_contacts, lower_case

LONGEST = 200


async def search_contacts(
    tx: Tx, team_id: int, text: str, wanted: Wanted, *, region: str, key: bytes, after: int = 0, limit: int = 25
) -> list[ContactLine]:
    """The contacts with this id or address exactly; where there are none, those with these parts in their name.

    Everything in `wanted` holds besides. Up to `limit` with an id above `after`, ordered by id.
    """
    sought = text.strip()
    if len(sought) > LONGEST:
        raise InputError("search", f"longer than {LONGEST} characters", "Search for less.")
    if not sought:
        return await find_contacts(tx, team_id, wanted, after=after, limit=limit)
    exact = replace(wanted, external_id=sought, keys=_keys(sought, region, key))
    found = await find_contacts(tx, team_id, exact, limit=limit) if not after else []
    if found or "@" in sought:
        return found
    words = (await lower_case(tx, sought)).split()
    return await find_contacts(tx, team_id, replace(wanted, words=tuple(words)), after=after, limit=limit)


def _keys(text: str, region: str, key: bytes) -> tuple[bytes, ...]:
    """Of the address it may be."""
    keys = []
    for channel, read in (("email", read_email), ("sms", lambda number: read_phone(number, region))):
        try:
            keys.append(address_key(key, channel, read(text)))
        except InputError:
            continue
    return tuple(keys)
