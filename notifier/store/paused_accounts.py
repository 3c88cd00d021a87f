"""Accounts that are given nothing for now, shared by all workers; real time, as leases have it."""

from dataclasses import dataclass
from datetime import datetime

from notifier.domain.person import SCHEDULE
from notifier.store.access import add_audit
from notifier.store.database import Tx

_FIRST_PROBE_S, _LAST_PROBE_S = 15.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Why an account is given nothing, and when one message may try it again."""

    account: str
    cause: str  # "provider": it is out of order; "sender": it does not accept us
    reason: str
    code: str
    paused_at: datetime
    probe_in_s: float  # 0 = now


async def list_pauses(tx: Tx, team_id: int) -> list[Pause]:
    """By account."""
    rows = await tx.fetch(
        """
        SELECT account, cause, reason, code, paused_at,
            greatest(extract(epoch FROM probe_at - now()), 0)::float8 AS probe_in_s
        FROM notifier.paused_accounts WHERE team_id = $1 ORDER BY account
        """,
        team_id,
    )
    return [Pause(**dict(row)) for row in rows]


async def pause_account(tx: Tx, team_id: int, account: str, *, cause: str, reason: str, code: str) -> bool:
    """Give it nothing more; audited. False where it pauses already for this cause or a graver one."""
    first_s = _FIRST_PROBE_S if cause == "provider" else _LAST_PROBE_S
    is_news = await tx.fetchval(
        """
        INSERT INTO notifier.paused_accounts AS p (team_id, account, cause, reason, code, probe_at)
        VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
        ON CONFLICT ON CONSTRAINT paused_accounts_pk DO UPDATE
            SET cause = excluded.cause, reason = excluded.reason, code = excluded.code, probe_at = excluded.probe_at
            WHERE p.cause = 'provider' AND excluded.cause = 'sender'
        RETURNING true
        """,
        team_id,
        account,
        cause,
        reason,
        code,
        first_s,
    )
    if is_news:
        detail = {"cause": cause, "reason": reason, "code": code}
        await add_audit(
            tx, team_id, actor=SCHEDULE.name, act="account.paused", subject=f"account:{account}", detail=detail
        )
    return bool(is_news)


async def take_probe(tx: Tx, team_id: int, account: str) -> bool:
    """Whether this worker, and no other, tries one message now.

    The next try comes later each time, after 5 minutes at most; always so where somebody has to mend it.
    """
    taken = await tx.fetchval(
        """
        UPDATE notifier.paused_accounts SET probes = probes + 1,
            probe_at = now() + make_interval(secs =>
                CASE WHEN cause = 'sender' THEN $4 ELSE least($3 * 2 ^ least(probes + 1, 10), $4::float8) END)
        WHERE team_id = $1 AND account = $2 AND probe_at <= now() RETURNING true
        """,
        team_id,
        account,
        _FIRST_PROBE_S,
        _LAST_PROBE_S,
    )
    return bool(taken)


async def resume_account(tx: Tx, team_id: int, account: str) -> bool:
    """It took a message: everything goes on; audited. False where it was not paused."""
    cause = await tx.fetchval(
        "DELETE FROM notifier.paused_accounts WHERE team_id = $1 AND account = $2 RETURNING cause", team_id, account
    )
    if cause is None:
        return False
    subject, detail = f"account:{account}", {"cause": cause}
    await add_audit(tx, team_id, actor=SCHEDULE.name, act="account.resumed", subject=subject, detail=detail)
    return True


async def try_now(tx: Tx, team_id: int, account: str, *, by: str) -> bool:
    """A person had it mended: one message may try it at once; audited. False where it is not paused."""
    found = await tx.fetchval(
        "UPDATE notifier.paused_accounts SET probe_at = now(), probes = 0 WHERE team_id = $1 AND account = $2 RETURNING true",
        team_id,
        account,
    )
    if found:
        await add_audit(tx, team_id, actor=by, act="account.tried", subject=f"account:{account}", detail={})
    return bool(found)


_UNTOLD = "cause = 'sender' AND told_at IS NULL"


async def list_untold(tx: Tx) -> list[tuple[int, str]]:
    """(team, account) of the pauses of our own making nobody was told of."""
    rows = await tx.fetch(f"SELECT team_id, account FROM notifier.paused_accounts WHERE {_UNTOLD}")
    return [(row["team_id"], row["account"]) for row in rows]


async def take_untold(tx: Tx, team_id: int, account: str) -> str | None:
    """Why it pauses, for whoever tells it now; None where somebody else did."""
    reason: str | None = await tx.fetchval(
        f"""
        UPDATE notifier.paused_accounts SET told_at = now() WHERE team_id = $1 AND account = $2 AND {_UNTOLD}
        RETURNING reason
        """,
        team_id,
        account,
    )
    return reason


async def give_probe_back(tx: Tx, team_id: int, account: str) -> None:
    """There was no message to try it with: the next worker may."""
    await tx.execute(
        """
        UPDATE notifier.paused_accounts SET probes = greatest(probes - 1, 0), probe_at = now()
        WHERE team_id = $1 AND account = $2
        """,
        team_id,
        account,
    )
