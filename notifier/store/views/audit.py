"""What the audit knows."""

from notifier.store.database import Tx


async def has_act(tx: Tx, team_id: int, act: str) -> bool:
    """Whether anybody ever did this."""
    found: bool = await tx.fetchval(
        "SELECT EXISTS (SELECT FROM notifier.audit WHERE team_id = $1 AND act = $2)", team_id, act
    )
    return found
