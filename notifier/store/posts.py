"""Posts by hand as rows: what somebody has to publish, what was published, and who said so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.store.callbacks import LockedMessage
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post whose row is ours until the transaction ends."""

    message: LockedMessage
    state: str
    run_state: str
    lane: int
    url: str
    posted_at: datetime | None  # when a person said so last
    told: int  # how often a person said anything of it


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTask:
    """A post that a person has to publish, or has published."""

    run_id: int
    message_id: int
    account: str
    campaign_key: str
    campaign_id: int
    step: str
    state: str
    run_state: str
    drill: bool
    since: datetime
    expires_at: datetime
    url: str
    posted_at: datetime | None
    posted_by: str
    followed_by: int | None = None  # the released correction or all-clear that holds instead


async def lock_post(tx: Tx, team_id: int, run_id: int, message_id: int) -> Post | None:
    """The post, locked with its run; None where the team has none of this number."""
    run = await tx.fetchrow(
        "SELECT state FROM notifier.runs WHERE id = $1 AND team_id = $2 FOR UPDATE", run_id, team_id
    )
    row = run and await tx.fetchrow(
        """
        SELECT run_id, id, step, channel, state, reason, lane, post_url,
            (SELECT max(at) FROM notifier.events e
                WHERE e.run_id = m.run_id AND e.message_id = m.id AND e.kind = 'posted') AS posted_at,
            (SELECT count(*) FROM notifier.events e
                WHERE e.run_id = m.run_id AND e.message_id = m.id AND e.kind IN ('posted', 'taken-back')) AS told
        FROM notifier.messages m WHERE run_id = $1 AND id = $2 AND channel = 'social' FOR UPDATE
        """,
        run_id,
        message_id,
    )
    if run is None or row is None:
        return None
    message = LockedMessage(**{name: row[name] for name in ("run_id", "id", "step", "channel", "state", "reason")})
    return Post(
        message=message,
        state=row["state"],
        run_state=run["state"],
        lane=row["lane"],
        url=row["post_url"],
        posted_at=row["posted_at"],
        told=row["told"],
    )


async def set_post_url(tx: Tx, run_id: int, message_id: int, url: str) -> None:
    """Where it was published."""
    await tx.execute(
        "UPDATE notifier.messages SET post_url = $3 WHERE run_id = $1 AND id = $2", run_id, message_id, url
    )


async def reopen_post(tx: Tx, run_id: int, message_id: int, *, until: datetime) -> None:
    """Without its link, and open at least until then; a run that had ended goes on."""
    await tx.execute(
        """
        UPDATE notifier.messages SET post_url = '', accepted_at = NULL, expires_at = greatest(expires_at, $3)
        WHERE run_id = $1 AND id = $2
        """,
        run_id,
        message_id,
        until,
    )
    await tx.execute(
        "UPDATE notifier.runs SET state = 'running', ended_at = NULL WHERE id = $1 AND state = 'ended'", run_id
    )


_FACTS = """
    SELECT m.run_id, m.id AS message_id, coalesce(k.account, m.account) AS account, r.campaign_key, r.campaign_id, m.step,
        m.state, r.state AS run_state, r.drill, coalesce(m.claimed_at, m.planned_at) AS since, m.expires_at,
        m.post_url AS url, said.at AS posted_at, coalesce(said.source, '') AS posted_by
"""
_SAID = """
    LEFT JOIN LATERAL (SELECT e.at, e.source FROM notifier.events e
        WHERE e.run_id = m.run_id AND e.message_id = m.id AND e.kind = 'posted' ORDER BY e.at DESC LIMIT 1) AS said ON true
"""


_LATER = """
    LEFT JOIN LATERAL (SELECT f.id FROM notifier.runs f JOIN notifier.definitions d ON d.id = f.campaign_id
        WHERE f.team_id = r.team_id AND f.state IN ('scheduled', 'running', 'ended')
            AND f.inputs ->> (d.spec #>> '{purpose,of}') = r.id::text ORDER BY f.id DESC LIMIT 1) AS later ON true
"""


async def list_open_posts(tx: Tx, team_id: int, *, limit: int = 50) -> list[PostTask]:
    """Posts that wait for a person, the one that expires first at the top; superseded ones last."""
    rows = await tx.fetch(
        f"""
        {_FACTS}, later.id AS followed_by FROM notifier.runs r JOIN notifier.messages m ON m.run_id = r.id
        LEFT JOIN notifier.recipients k ON k.run_id = m.run_id AND k.id = m.recipient_id {_SAID} {_LATER}
        WHERE r.team_id = $1 AND r.state IN ('running', 'stopped') AND m.state = 'to-post'
        ORDER BY later.id IS NOT NULL, m.expires_at, m.id LIMIT $2
        """,
        team_id,
        limit,
    )
    return [PostTask(**dict(row)) for row in rows]


async def list_done_posts(tx: Tx, team_id: int, accounts: Sequence[str], *, limit: int = 20) -> list[PostTask]:
    """Posts of these accounts that were published or that nobody published in time; of thirty days, the newest first."""
    rows = await tx.fetch(
        f"""
        {_FACTS} FROM notifier.runs r JOIN notifier.recipients k ON k.run_id = r.id AND k.account = ANY($2::text[])
        JOIN notifier.messages m ON m.run_id = k.run_id AND m.recipient_id = k.id {_SAID}
        WHERE r.team_id = $1 AND r.nominal_at > notifier.now() - interval '60 days'
            AND m.state IN ('accepted', 'expired')
            AND m.changed_at > notifier.now() - interval '30 days'
        ORDER BY m.changed_at DESC, m.id DESC LIMIT $3
        """,
        team_id,
        list(accounts),
        limit,
    )
    return [PostTask(**dict(row)) for row in rows]
