"""Notes: tests to oneself and proofs of every run, marked, queued, and outside all that is counted."""

from dataclasses import asdict, replace

from notifier.domain.channel import Channel, Content, SmsContent
from notifier.domain.errors import Conflict, InputError, NotFound, NotifierError
from notifier.domain.message import RunId
from notifier.domain.note import NoteKind, mark_content
from notifier.domain.person import Person
from notifier.domain.spec import account_from_spec
from notifier.domain.template import Bank
from notifier.logs import get_logger
from notifier.planning.catalogue import find_bank
from notifier.planning.samples import RunMaterial, read_material, render_for
from notifier.rendering.sms import count_parts
from notifier.store import contacts, proofs, runs
from notifier.store import definitions as stored
from notifier.store import notes as store
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx
from notifier.store.notes import Addressee, NewNote
from notifier.store.proofs import ProofReader
from notifier.store.releases import find_release
from notifier.store.runs import Run

log = get_logger()
TESTS_PER_HOUR = 20
_AT_ME = "Fill it in at /me"


class TooManyTests(Conflict):
    """Somebody asked for more tests than anybody reads."""


async def send_test(
    tx: Tx,
    *,
    team_id: int,
    by: Person,
    channel: Channel,
    content: Content,
    locale: str,
    run_id: int | None = None,
    step: str = "",
) -> int:
    """Queue rendered content, marked as a test, to the one who asks and to nobody else; returns the note's id.

    Ring `notes` after the commit. `InputError` where the user has no such address or no account carries the channel,
    `TooManyTests` after 20 within an hour.
    """
    user = await _asker(tx, by)
    address = _address(user, channel)
    if await store.count_tests(tx, user.id) >= TESTS_PER_HOUR:
        raise TooManyTests(f"You asked for {TESTS_PER_HOUR} tests within the last hour. Wait a little, then go on")
    run = await runs.get_run(tx, run_id) if run_id is not None else None
    account_id = await pick_account(tx, team_id, channel, run)
    marked = await _marked(tx, team_id, content, NoteKind.TEST, locale=locale, name=user.name)
    note_id = await store.add_note(
        tx,
        NewNote(
            team_id=team_id,
            kind=NoteKind.TEST,
            channel=channel,
            address=address,
            content=asdict(marked),
            locale=locale,
            account_id=account_id,
            run_id=run_id,
            step=step,
            user_id=user.id,
        ),
    )
    assert note_id is not None
    subject = f"run:{run_id}" if run_id is not None else f"note:{note_id}"
    detail = {"channel": channel.value, "locale": locale, "step": step, "note": note_id}
    await add_audit(tx, team_id, actor=by.name, act="test.asked", subject=subject, detail=detail)
    return note_id


async def ask_for_test(tx: Tx, run: Run, *, step: str, channel: Channel, locale: str, by: Person) -> int:
    """Send the one who asks what a step will say, with the values of one of the run's own contacts or the examples."""
    if channel is Channel.SOCIAL:
        raise InputError("channel", "a post cannot be sent to one person", "Look at its preview")
    material = await read_material(tx, run)
    wanted = locale or material.bank.default_locale
    content = await _sample(tx, run, material, step=step, channel=channel, locale=wanted)
    return await send_test(
        tx, team_id=run.team_id, by=by, channel=channel, content=content, locale=wanted, run_id=run.id, step=step
    )


async def pick_account(tx: Tx, team_id: int, channel: Channel, run: Run | None) -> int:
    """The account that carries a channel first: of the run's own versions, else of those in use.

    `InputError` where none does.
    """
    if run is not None and run.pinned.get("accounts"):
        found = [await stored.get_definition(tx, number) for number in run.pinned["accounts"].values()]
    else:
        found = await stored.list_latest(tx, team_id, "account")
    accounts = [(account_from_spec(one.spec), one.id) for one in found]
    fitting = sorted((account.order, account.key, number) for account, number in accounts if account.channel is channel)
    if not fitting:
        raise InputError("channel", f"no account sends {channel}", "Add one under campaigns/accounts")
    return fitting[0][2]


# ── proofs ────────────────────────────────────────────────────────────────────────────────────────


async def queue_proofs(database: Database, *, limit: int = 100) -> int:
    """Queue the proofs of every step planned since; returns how many notes. Safe to run twice and side by side.

    A step whose text cannot be shown as a proof has none: proofs never hold up a run. Nor has a run that its author
    let out alone: readers may be anybody, and no second person saw what it says.
    """
    queued = 0
    for _ in range(limit):
        async with database.transaction() as tx:
            due = await proofs.next_step_to_proof(tx)
            if due is None:
                break
            await proofs.mark_proofed(tx, due.run_id, due.step)
            run = await runs.get_run(tx, RunId(due.run_id))
            queued += await _queue_step(tx, run, due.step)
    return queued


async def _queue_step(tx: Tx, run: Run, step: str) -> int:
    release = await find_release(tx, run.id)
    if release is None or not release.needs_second:
        return 0
    readers = await proofs.list_proof_readers(tx, run.team_id)
    channels = await proofs.list_step_channels(tx, run.id, step) if readers else []
    if not channels:
        return 0
    queued = 0
    material = await _material(tx, run, step)
    for channel in [Channel(name) for name in channels] if material else []:
        for reader in readers:
            assert material is not None
            queued += await _queue_proof(tx, run, material, step=step, channel=channel, reader=reader)
    return queued


async def _material(tx: Tx, run: Run, step: str) -> RunMaterial | None:
    try:
        return await read_material(tx, run)
    except NotifierError as error:
        log.warning("planning.proof_not_made", run=run.id, step=step, problem=str(error))
        return None


async def _queue_proof(
    tx: Tx, run: Run, material: RunMaterial, *, step: str, channel: Channel, reader: ProofReader
) -> bool:
    address = reader.email if channel is Channel.EMAIL else reader.phone
    if not address:
        return False
    locale = reader.locale or material.bank.default_locale
    try:
        content = await _sample(tx, run, material, step=step, channel=channel, locale=locale)
        account_id = await pick_account(tx, run.team_id, channel, run)
    except NotifierError as error:
        log.warning("planning.proof_not_made", run=run.id, step=step, channel=channel.value, problem=str(error))
        return False
    marked = mark(content, material.bank, NoteKind.PROOF, locale=locale, name=reader.name)
    return bool(
        await store.add_note(
            tx,
            NewNote(
                team_id=run.team_id,
                kind=NoteKind.PROOF,
                channel=channel,
                address=address,
                content=asdict(marked),
                locale=locale,
                account_id=account_id,
                run_id=run.id,
                step=step,
                reader_id=reader.id,
            ),
        )
    )


async def _sample(tx: Tx, run: Run, material: RunMaterial, *, step: str, channel: Channel, locale: str) -> Content:
    """With a frozen run's first contact of this locale, else with the template's example of one."""
    external_id = await proofs.find_included_contact(tx, run.id, locale) if run.frozen_at else None
    found = await contacts.get_contact(tx, run.team_id, external_id) if external_id else None
    one = material.step(step)
    if found is None:
        return render_for(one, channel, locale, None)
    return render_for(one, channel, locale, found.contact)


# ── proof readers ─────────────────────────────────────────────────────────────────────────────────


async def add_reader(tx: Tx, team_id: int, reader: ProofReader, by: Person) -> int:
    """Add somebody to the proof list; the id of `reader` is not looked at. Addresses are normalised by the door."""
    _check_reader(reader)
    reader_id = await proofs.add_proof_reader(
        tx, team_id, name=reader.name, email=reader.email, phone=reader.phone, locale=reader.locale
    )
    await _tell(tx, team_id, "proof-reader.added", replace(reader, id=reader_id), by)
    return reader_id


async def change_reader(tx: Tx, team_id: int, reader: ProofReader, by: Person) -> None:
    """Make one of them exactly this; `NotFound`, `Conflict` for a taken name."""
    await proofs.get_proof_reader(tx, team_id, reader.id)
    _check_reader(reader)
    await proofs.change_proof_reader(tx, team_id, reader)
    await _tell(tx, team_id, "proof-reader.changed", reader, by)


async def remove_reader(tx: Tx, team_id: int, reader_id: int, by: Person) -> None:
    """Take somebody off the list; proofs that are queued already still go out."""
    reader = await proofs.get_proof_reader(tx, team_id, reader_id)
    await proofs.remove_proof_reader(tx, team_id, reader_id)
    await _tell(tx, team_id, "proof-reader.removed", reader, by)


def _check_reader(reader: ProofReader) -> None:
    if not reader.name:
        raise InputError("name", "is empty", "Write whose copy it is")
    if not (reader.email or reader.phone):
        raise InputError("email", "is empty, and so is the phone", "Fill in one of them: proofs have to go somewhere")


async def _tell(tx: Tx, team_id: int, act: str, reader: ProofReader, by: Person) -> None:
    """Never the addresses: the audit is kept longer than they are."""
    ways = [name for name, value in (("email", reader.email), ("sms", reader.phone)) if value]
    detail = {"name": reader.name, "channels": ways, "locale": reader.locale}
    await add_audit(tx, team_id, actor=by.name, act=act, subject=f"proof-reader:{reader.id}", detail=detail)


# ── marks and addresses ───────────────────────────────────────────────────────────────────────────


def mark(content: Content, bank: Bank, kind: NoteKind, *, locale: str, name: str) -> Content:
    """The content marked, the parts of an SMS counted again."""
    signature = bank.sms_signature.get(locale, bank.default_locale)
    marked = mark_content(content, kind, locale=locale, name=name, signature=signature)
    if not isinstance(marked, SmsContent):
        return marked
    count = count_parts(marked.text)
    return replace(marked, parts=count.parts, encoding=count.encoding)


async def _marked(tx: Tx, team_id: int, content: Content, kind: NoteKind, *, locale: str, name: str) -> Content:
    return mark(content, await find_bank(tx, team_id), kind, locale=locale, name=name)


async def _asker(tx: Tx, by: Person) -> Addressee:
    if by.user_id is None:
        raise InputError("to", "this key stands for no user", "Make a key for the user who is to get the test")
    try:
        return await store.lock_addressee(tx, by.user_id)
    except NotFound:
        raise InputError("to", "this user is gone or disabled") from None


def _address(user: Addressee, channel: Channel) -> str:
    if channel is Channel.EMAIL:
        if not user.email:
            raise InputError("email", "you have no e-mail address here yet", _AT_ME)
        return user.email
    if channel is Channel.SMS:
        if not user.phone:
            raise InputError("phone", "you have no phone number here yet", _AT_ME)
        return user.phone
    raise InputError("channel", "a post cannot be sent to one person", "Look at its preview")
