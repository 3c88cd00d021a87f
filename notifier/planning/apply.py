"""Apply: the definitions of a folder become new versions, only where something changed.

What was taken over in the console stays as it is there, until a folder takes it back.
"""

from dataclasses import dataclass

from notifier.planning.definitions.folder import Definitions
from notifier.store import definitions as stored
from notifier.store.access import add_audit
from notifier.store.database import Database, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What apply did, or would do, to one definition."""

    kind: str
    key: str
    act: str  # "added", "changed", "retired", "taken-back", "kept": nothing was done, the console manages it
    file: str

    @property
    def does_something(self) -> bool:
        """Whether a new version is stored or a definition retired."""
        return self.act != "kept"


async def apply_definitions(
    database: Database,
    found: Definitions,
    *,
    team_id: int = 1,
    dry: bool = False,
    take_back: bool = False,
    by: str = "apply",
) -> list[Change]:
    """Store every definition that is new or differs, retire what its file no longer defines. Idempotent.

    A definition whose newest version was made in the console is kept, and said to be; with `take_back` the
    folder's becomes the newest again, and its file manages it.
    """
    wanted = {(entry.kind.value, entry.key): entry for entry in found.entries()}
    changes = []
    async with database.transaction() as tx:
        await stored.lock_definitions(tx, team_id)
        latest = {(old.kind, old.key): old for old in await stored.list_latest(tx, team_id)}
        for (kind, key), entry in sorted(wanted.items()):
            act = _decide(latest.get((kind, key)), entry.hash, take_back=take_back)
            if not act:
                continue
            change = Change(kind=kind, key=key, act=act, file=entry.file)
            changes.append(change)
            if change.does_something and not dry:
                await stored.add_version(
                    tx, team_id, kind=kind, key=key, digest=entry.hash, spec=entry.spec, file=entry.file
                )
        for (kind, key), old in sorted(latest.items()):
            if (kind, key) not in wanted and old.file:
                changes.append(Change(kind=kind, key=key, act="retired", file=old.file))
                if not dry:
                    await stored.retire(tx, team_id, kind, key)
        if not dry:
            await _audit(tx, team_id, changes, by)
    return changes


async def _audit(tx: Tx, team_id: int, changes: list[Change], by: str) -> None:
    """A row for each definition that is another from now on."""
    for one in changes:
        if one.does_something:
            subject, detail = f"{one.kind}:{one.key}", {"file": one.file}
            await add_audit(tx, team_id, actor=by, act=f"definition.{one.act}", subject=subject, detail=detail)


def _decide(old: stored.Definition | None, digest: bytes, *, take_back: bool) -> str:
    """What becomes of one definition of the folder; empty where nothing differs."""
    if old is None:
        return "added"
    if not old.file and take_back:
        return "taken-back"
    if old.hash == digest:
        return ""
    return "changed" if old.file else "kept"
