"""Who reads proofs, and which planned steps they have not been sent yet."""

from dataclasses import dataclass, field

from notifier.domain.errors import Conflict, NotFound
from notifier.store.database import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReader:
    """Somebody who gets one marked copy of what each run says."""

    id: int
    name: str
    email: str = field(repr=False)
    phone: str = field(repr=False)
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepToProof:
    """A planned step whose proofs are not queued yet."""

    run_id: int
    step: str


async def list_proof_readers(tx: Tx, team_id: int) -> list[ProofReader]:
    """By name as written."""
    rows = await tx.fetch(
        """
        SELECT id, name, email, phone, locale FROM notifier.proof_readers WHERE team_id = $1 ORDER BY name COLLATE "C"
        """,
        team_id,
    )
    return [ProofReader(**dict(row)) for row in rows]


async def get_proof_reader(tx: Tx, team_id: int, reader_id: int) -> ProofReader:
    """One of them, locked; `NotFound`."""
    row = await tx.fetchrow(
        """
        SELECT id, name, email, phone, locale FROM notifier.proof_readers WHERE team_id = $1 AND id = $2 FOR UPDATE
        """,
        team_id,
        reader_id,
    )
    if row is None:
        raise NotFound("there is no such proof reader")
    return ProofReader(**dict(row))


async def add_proof_reader(tx: Tx, team_id: int, *, name: str, email: str, phone: str, locale: str) -> int:
    """Keep a new one; `Conflict` where the name is taken."""
    identity: int | None = await tx.fetchval(
        """
        INSERT INTO notifier.proof_readers (team_id, name, email, phone, locale) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (team_id, name) DO NOTHING RETURNING id
        """,
        team_id,
        name,
        email,
        phone,
        locale,
    )
    if identity is None:
        raise Conflict(f"There is already a proof reader {name}. Give this one another name")
    return identity


async def change_proof_reader(tx: Tx, team_id: int, reader: ProofReader) -> None:
    """Make the stored one exactly this; `Conflict` where another has the name."""
    taken = await tx.fetchval(
        "SELECT true FROM notifier.proof_readers WHERE team_id = $1 AND name = $2 AND id <> $3",
        team_id,
        reader.name,
        reader.id,
    )
    if taken:
        raise Conflict(f"There is already a proof reader {reader.name}. Give this one another name")
    await tx.execute(
        """
        UPDATE notifier.proof_readers SET name = $3, email = $4, phone = $5, locale = $6
        WHERE team_id = $1 AND id = $2
        """,
        team_id,
        reader.id,
        reader.name,
        reader.email,
        reader.phone,
        reader.locale,
    )


async def remove_proof_reader(tx: Tx, team_id: int, reader_id: int) -> None:
    """From the next step on they get nothing; what they got stays listed."""
    await tx.execute("DELETE FROM notifier.proof_readers WHERE team_id = $1 AND id = $2", team_id, reader_id)


async def next_step_to_proof(tx: Tx) -> StepToProof | None:
    """A planned step whose proofs are not queued, locked for this transaction; each is given to one worker only."""
    row = await tx.fetchrow(
        """
        SELECT s.run_id, s.step FROM notifier.run_steps s JOIN notifier.runs r ON r.id = s.run_id
        WHERE s.proofed_at IS NULL AND s.state = 'planned' AND r.kind <> 'standing'
        ORDER BY s.run_id, s.position LIMIT 1 FOR UPDATE OF s SKIP LOCKED
        """
    )
    return StepToProof(run_id=row["run_id"], step=row["step"]) if row else None


async def mark_proofed(tx: Tx, run_id: int, step: str) -> None:
    """Its proofs are queued; they are never queued again."""
    await tx.execute(
        "UPDATE notifier.run_steps SET proofed_at = (SELECT notifier.now()) WHERE run_id = $1 AND step = $2",
        run_id,
        step,
    )


async def list_step_channels(tx: Tx, run_id: int, step: str) -> list[str]:
    """The channels by which a step writes to anybody at all, refused ones left out."""
    rows = await tx.fetch(
        """
        SELECT channel FROM notifier.tallies
        WHERE run_id = $1 AND step = $2 AND state <> 'refused' AND channel IN ('email', 'sms')
        GROUP BY channel HAVING sum(delta) > 0 ORDER BY channel COLLATE "C"
        """,
        run_id,
        step,
    )
    return [row["channel"] for row in rows]


async def find_included_contact(tx: Tx, run_id: int, locale: str) -> str | None:
    """The external id of one of the first included contacts, of this locale where one is among them."""
    found: str | None = await tx.fetchval(
        """
        SELECT c.external_id FROM (
            SELECT contact_id FROM notifier.recipients
            WHERE run_id = $1 AND outcome = 'included' AND contact_id IS NOT NULL ORDER BY id LIMIT 200) AS first
        JOIN notifier.contacts c ON c.id = first.contact_id ORDER BY c.locale <> $2, c.id LIMIT 1
        """,
        run_id,
        locale,
    )
    return found
