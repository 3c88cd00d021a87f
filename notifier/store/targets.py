"""Targets of tracked links, stored so that a link can lead nowhere else."""

from collections.abc import Iterable

from notifier.store.database import Tx


async def keep_targets(tx: Tx, team_id: int, targets: Iterable[str]) -> dict[str, int]:
    """The number of each target, new ones added."""
    wanted = sorted(targets)
    await tx.execute(
        "INSERT INTO notifier.links (team_id, target) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
        team_id,
        wanted,
    )
    rows = await tx.fetch(
        "SELECT target, id FROM notifier.links WHERE team_id = $1 AND target = ANY($2)", team_id, wanted
    )
    return {row["target"]: row["id"] for row in rows}
