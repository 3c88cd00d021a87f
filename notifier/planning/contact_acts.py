"""What people do for one contact: opt them out, lift a block, correct what we know. Each leaves its audit row."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, Contact, ContactKind
from notifier.domain.errors import Conflict, InputError, NotFound
from notifier.domain.person import Person
from notifier.planning.contact_import.columns import is_attribute_name
from notifier.planning.contact_import.values import (
    clean_cell,
    read_attribute,
    read_email,
    read_locale,
    read_name,
    read_phone,
    read_zone,
)
from notifier.planning.staff import check_staff
from notifier.store import contacts as store
from notifier.store.access import add_audit
from notifier.store.contacts import OptOut, StoredContact
from notifier.store.database import Tx

LIFTABLE = frozenset({"hard-bounce", "invalid", "manual"})
"""What we may take back ourselves. Opt-outs and complaints are the contact's own word, an erasure is for good."""
SOURCES = ("phone", "branch", "letter", "e-mail")
"""How the contact told us."""
_NOTE_CHARS = 500
_NAME_CHARS = 200
_ATTRIBUTES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A contact's facts as a person typed them; an attribute left empty goes."""

    kind: ContactKind
    name: str = field(repr=False)
    locale: str
    zone: str
    email: str = field(repr=False)
    phone: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)


def fingerprint(contact: Contact) -> str:
    """Changes with anything the form shows: who edits what another changed meanwhile is told."""
    shown = [str(getattr(contact, one.name)) for one in fields(contact) if one.name not in {"consents", "attributes"}]
    told = repr((shown, sorted((name, repr(value)) for name, value in contact.attributes.items())))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


async def opt_out_for(
    tx: Tx, team_id: int, contact_id: int, *, channel: Channel, topic: str, source: str, note: str, by: Person
) -> bool:
    """The contact told us to stop; out of a whole channel blocks the address too. False where they stood there anyway."""
    stored = await _lock(tx, team_id, contact_id)
    _check_line("topic", topic, _NAME_CHARS)
    _check_line("note", note, _NOTE_CHARS)
    if channel is Channel.SOCIAL:
        raise InputError("channel", "nobody is written to there", "Choose e-mail or SMS.")
    if source not in SOURCES:
        raise InputError("source", "is none we know", f"Say one of {', '.join(SOURCES)}.")
    act = OptOut(channel=channel, topic=topic, source=source, proof=" · ".join(filter(None, (by.name, note))))
    is_new = await store.opt_out(tx, team_id, contact_id, act)
    detail = {"channel": channel.value, "topic": topic, "source": source}
    await _note(tx, (team_id, stored), by, "contact.opted-out", **detail)
    return is_new


async def lift_suppression(
    tx: Tx, team_id: int, contact_id: int, channel: Channel, *, because: str, by: Person
) -> None:
    """Write to the address again. `Conflict` where the block is not ours to lift, `NotFound` where there is none."""
    stored = await _lock(tx, team_id, contact_id)
    _check_line("because", because, _NOTE_CHARS)
    if not because.strip():
        raise InputError("because", "is empty", "Say why the address may be written to again.")
    reason = await store.lift_suppression(tx, team_id, contact_id, channel, sorted(LIFTABLE))
    if reason is None:
        raise NotFound("nothing blocks this address")
    if reason not in LIFTABLE:
        raise Conflict(f"a block for the reason {reason} can be taken back by the contact alone")
    detail = {"channel": channel.value, "reason": reason, "because": because.strip()}
    await _note(tx, (team_id, stored), by, "contact.suppression-lifted", **detail)


async def edit_contact(
    tx: Tx, team_id: int, contact_id: int, edited: Edited, *, seen: str, region: str, key: bytes, by: Person
) -> bool:
    """Correct what we know; False where nothing changed.

    `seen` is the fingerprint of what the editor saw: `Conflict` where somebody changed it meanwhile. `InputError`
    names the wrong field, an attribute as `attributes.NAME`; `Forbidden` where they may not make staff of a customer.
    """
    stored = await _lock(tx, team_id, contact_id)
    if seen != fingerprint(stored.contact):
        raise Conflict("somebody else changed this contact meanwhile. Look again before you change it")
    contact = read_edited(stored.contact, edited, region)
    changed = _changes(stored.contact, contact)
    if changed:
        await check_staff(tx, team_id, store.row_of(contact, key), by=by)
        await store.upsert_contact(tx, team_id, contact, key)
        await _note(tx, (team_id, stored), by, "contact.changed", fields=changed)
    return bool(changed)


async def put_contact(tx: Tx, team_id: int, contact: Contact, *, key: bytes, by: Person) -> bool:
    """Add the contact, or make the one there is exactly this; True where it is new.

    `Forbidden` where they may not make staff of a customer.
    """
    known = await store.get_contact(tx, team_id, contact.external_id)
    before = await store.lock_contact(tx, team_id, known.id) if known else None
    await check_staff(tx, team_id, store.row_of(contact, key), by=by)
    await store.upsert_contact(tx, team_id, contact, key)
    act, detail = (
        ("contact.changed", {"fields": _changes(before.contact, contact)}) if before else ("contact.added", {})
    )
    subject = f"contact:{contact.external_id}"
    await add_audit(tx, team_id, actor=by.name, act=act, subject=subject, detail=detail)
    return before is None


def read_edited(before: Contact, edited: Edited, region: str) -> Contact:
    """The contact as it shall be, values checked and in their usual form."""
    _check_line("name", edited.name, _NAME_CHARS)
    email, phone = edited.email.strip(), edited.phone.strip()
    return replace(
        before,
        kind=edited.kind,
        name=edited.name.strip(),
        locale=read_locale(edited.locale.strip()),
        zone=read_zone(edited.zone.strip()),
        email=read_email(email) if email else "",
        phone=read_phone(phone, region) if phone else "",
        attributes=_read_attributes(edited.attributes, known=frozenset(before.attributes)),
        consents=(),
    )


def _read_attributes(given: Mapping[str, str], *, known: frozenset[str]) -> dict[str, AttributeValue]:
    if len(given) > _ATTRIBUTES:
        raise InputError("attributes", f"more than {_ATTRIBUTES}", "Remove some.")
    found = {}
    for name, text in given.items():
        if name not in known and not is_attribute_name(name):
            remedy = "Use up to 60 letters, digits, spaces, dots, dashes and underscores."
            raise InputError("attributes", "this cannot be the name of an attribute", remedy)
        try:
            found[name] = read_attribute(text)
        except InputError as error:
            raise InputError(f"attributes.{name}", error.problem, error.remedy) from error
    return {name: value for name, value in found.items() if value is not None}


def _changes(before: Contact, after: Contact) -> list[str]:
    """The names of what changed, never the values: the audit holds no addresses."""
    plain = [
        name
        for name in ("kind", "name", "locale", "zone", "email", "phone")
        if getattr(before, name) != getattr(after, name)
    ]
    names = sorted({*before.attributes, *after.attributes})
    return plain + [f"attributes.{name}" for name in names if before.attributes.get(name) != after.attributes.get(name)]


def _check_line(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise InputError(name, f"longer than {longest} characters", "Shorten it.")
    try:
        read_name(clean_cell(text))
    except InputError as error:
        raise InputError(name, error.problem, "Write it on one line.") from error


async def _lock(tx: Tx, team_id: int, contact_id: int) -> StoredContact:
    stored = await store.lock_contact(tx, team_id, contact_id)
    if stored is None:
        raise NotFound("there is no such contact")
    return stored


async def _note(tx: Tx, which: tuple[int, StoredContact], by: Person, act: str, **detail: object) -> None:
    team_id, stored = which
    subject = f"contact:{stored.contact.external_id}"
    await add_audit(tx, team_id, actor=by.name, act=act, subject=subject, detail=detail)
