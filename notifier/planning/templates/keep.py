"""Keep: what the editor holds becomes the newest version of a template, checked and on record."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from notifier.domain.errors import Conflict, DefinitionError, DefinitionErrors, InputError
from notifier.domain.notation.node import KEY
from notifier.domain.person import Person
from notifier.domain.spec import Kind, template_from_spec
from notifier.domain.template import Template
from notifier.planning.catalogue import find_bank
from notifier.planning.definitions.folder import Entry
from notifier.planning.templates.check import check_entry
from notifier.planning.templates.draft import DraftSource, TemplateDraft, draft_of, entry_of, layouts_of, read_draft
from notifier.planning.templates.look import CHILDREN
from notifier.planning.templates.versions import FileDifference, compare_specs
from notifier.store import definitions as stored
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx
from notifier.store.definitions import Definition

_TEMPLATE = Kind.TEMPLATE.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of a save: the number of the newest version, whether it is a new one, and what is worth a look."""

    version: int
    is_new: bool
    remarks: tuple[DefinitionError, ...] = ()


class EditedMeanwhile(Conflict):
    """Somebody kept a newer version than the one the editor began with."""

    def __init__(self, newest: int, differences: Sequence[FileDifference]) -> None:
        super().__init__(f"Somebody saved version {newest} meanwhile. Look at the difference, then save again over it")
        self.newest, self.differences = newest, tuple(differences)


class ManagedByFile(Conflict):
    """The files of a folder say what this template is."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} manages this template. Take it over first, or edit the file and apply it")
        self.file = file


async def save_template(
    database: Database, draft: TemplateDraft, *, team_id: int, base: int, by: Person, over: int = 0
) -> Saved:
    """Keep the draft as the newest version; nothing happens where it equals the newest.

    `base`: the version the editor began with; `over`: the newer one they looked at and want to replace.
    `DefinitionErrors` with all that is wrong, `EditedMeanwhile`, `ManagedByFile`, `NotFound`.
    """
    async with database.transaction() as tx:
        newest = await stored.find_latest(tx, team_id, _TEMPLATE, draft.key)
        entry, source = read_draft(draft, layouts_of(template_from_spec(newest.spec)))
        _require_editable(newest, {base, over}, entry)
    if entry is None:
        raise DefinitionErrors(source.errors)
    return await _keep(
        database, entry, team_id=team_id, based_on={base, over}, by=by, act="template.saved", detail={"from": base}
    )


async def restore_template(database: Database, key: str, version: int, *, team_id: int, base: int, by: Person) -> Saved:
    """Keep a new version equal to an old one, layouts and all; refused where today's check finds it wrong."""
    async with database.transaction() as tx:
        old = await stored.find_version(tx, team_id, _TEMPLATE, key, version)
        newest = await stored.find_latest(tx, team_id, _TEMPLATE, key)
        bank = await find_bank(tx, team_id)
    template = template_from_spec(old.spec)
    entry = _entry_with_places(template, bank.locales)
    _require_editable(newest, {base}, entry)
    detail = {"from": base, "restored": version}
    return await _keep(database, entry, team_id=team_id, based_on={base}, by=by, act="template.restored", detail=detail)


async def take_over(tx: Tx, key: str, *, team_id: int, by: Person) -> int:
    """From now on the console manages the template: an equal version that no file manages. Returns its number."""
    await stored.lock_definitions(tx, team_id)
    newest = await stored.find_latest(tx, team_id, _TEMPLATE, key)
    if not newest.file:
        raise Conflict(f"the template {key} is edited here already")
    return await _add(tx, team_id, newest.key, newest, by=by, act="template.taken-over", detail={"file": newest.file})


async def copy_template(tx: Tx, key: str, *, to: str, team_id: int, by: Person) -> int:
    """The same words under another key, managed by the console. Returns the number of its version."""
    if not KEY.fullmatch(to):
        raise InputError("to", f"cannot be {to[:60]!r}", "Use small letters, digits and hyphens, such as branch-news")
    await stored.lock_definitions(tx, team_id)
    original = await stored.find_latest(tx, team_id, _TEMPLATE, key)
    if (_TEMPLATE, to) in await stored.list_latest_ids(tx, team_id):
        raise InputError("to", f"there is a template {to} already", "Choose another key")
    copied = entry_of(replace(template_from_spec(original.spec), key=to), DraftSource(file=""))
    return await _add(tx, team_id, to, copied, by=by, act="template.copied", detail={"of": key})


def _entry_with_places(template: Template, locales: tuple[str, ...]) -> Entry[Template]:
    """The template exactly as it was kept, with places of what the editor would show of it."""
    _, source = read_draft(draft_of(template, locales), layouts_of(template))
    source.errors.clear()
    return entry_of(template, source)


def _require_editable(newest: Definition, based_on: set[int], mine: Entry[Template] | None) -> None:
    if newest.file:
        raise ManagedByFile(newest.file)
    if newest.version not in based_on:
        raise EditedMeanwhile(newest.version, compare_specs(newest.spec, mine.spec) if mine else ())


async def _keep(
    database: Database,
    entry: Entry[Template],
    *,
    team_id: int,
    based_on: set[int],
    by: Person,
    act: str,
    detail: Mapping[str, object],
) -> Saved:
    """Check outside of any transaction, for it takes its time; then look again who was faster."""
    async with database.transaction() as tx:
        in_use = await stored.list_latest(tx, team_id)
    checked = await asyncio.get_running_loop().run_in_executor(CHILDREN, check_entry, entry, in_use)
    if checked.errors:
        raise DefinitionErrors(checked.errors)
    async with database.transaction() as tx:
        await stored.lock_definitions(tx, team_id)
        newest = await stored.find_latest(tx, team_id, _TEMPLATE, entry.key)
        _require_editable(newest, based_on, entry)
        if newest.hash == entry.hash:
            return Saved(version=newest.version, is_new=False, remarks=checked.remarks)
        version = await _add(tx, team_id, entry.key, entry, by=by, act=act, detail=detail)
    return Saved(version=version, is_new=True, remarks=checked.remarks)


async def _add(
    tx: Tx,
    team_id: int,
    key: str,
    what: Entry[Template] | Definition,
    *,
    by: Person,
    act: str,
    detail: Mapping[str, object],
) -> int:
    """A new version and the audit row of who made it, in one transaction; returns its number."""
    await stored.add_version(
        tx, team_id, kind=_TEMPLATE, key=key, digest=what.hash, spec=what.spec, file="", author_id=by.user_id
    )
    version = (await stored.find_latest(tx, team_id, _TEMPLATE, key)).version
    subject = f"template:{key}"
    await add_audit(tx, team_id, actor=by.name, act=act, subject=subject, detail={"version": version, **detail})
    return version
