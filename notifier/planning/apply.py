"""Apply: the definitions of a folder become new versions, only where something changed."""

from dataclasses import dataclass

from notifier.planning.definitions.folder import Definitions
from notifier.store import definitions as stored
from notifier.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What apply did, or would do, to one definition."""

    kind: str
    key: str
    act: str  # "added", "changed", "retired"
    file: str


async def apply_definitions(
    database: Database, found: Definitions, *, team_id: int = 1, dry: bool = False
) -> list[Change]:
    """Store every definition that is new or differs, retire what its file no longer defines. Idempotent."""
    wanted = {(entry.kind.value, entry.key): entry for entry in found.entries()}
    changes = []
    async with database.transaction() as tx:
        await stored.lock_definitions(tx, team_id)
        latest = {(old.kind, old.key): old for old in await stored.list_latest(tx, team_id)}
        for (kind, key), entry in sorted(wanted.items()):
            digest, old = entry.hash, latest.get((kind, key))
            if old is not None and old.hash == digest:
                continue
            changes.append(Change(kind=kind, key=key, act="changed" if old else "added", file=entry.file))
            if not dry:
                await stored.add_version(
                    tx, team_id, kind=kind, key=key, digest=digest, spec=entry.spec, file=entry.file
                )
        for (kind, key), old in sorted(latest.items()):
            if (kind, key) not in wanted and old.file:
                changes.append(Change(kind=kind, key=key, act="retired", file=old.file))
                if not dry:
                    await stored.retire(tx, team_id, kind, key)
    return changes
